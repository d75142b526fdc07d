"""feature-extraction: hidden states of the tokens of a text, or one vector for it."""

import dataclasses
from typing import Any, Literal

import numpy as np

from fxformer.inference.features.pooling import pooled
from fxformer.inference.forward import Compute, HiddenStates
from fxformer.inference.pipelines.base import ForwardPipeline, PreparedRow, check_text
from fxformer.inference.pipelines.inputs import readable, templates, token_ids, tokenizer_of
from fxformer.inference.structure import layer_numbers, stack_of


@dataclasses.dataclass(frozen=True)
class FeatureOptions:
    """pool: token: the vector of each token; mean, max: their mean or maximum; first, last: that
        of the first or last token
    layers: one layer, or several; 0: the embeddings, -1: the last
    """

    pool: Literal["token", "mean", "first", "last", "max"] = "token"
    layers: int | list[int] = -1


class FeatureExtraction(ForwardPipeline):
    """float32 array: [1, T, D] for pool=token, as in transformers; [D] for the others.

    Several layers add an axis before T and D: [1, L, T, D] or [L, D]. Special tokens are among the
    T tokens and in the mean; padding is not. A row is a text; one that is too long is refused.
    """

    task = "feature-extraction"
    Options = FeatureOptions

    def check(self) -> None:
        """Make the templates of the model."""
        self._templates = templates(self.model)

    def prepare(self, row: Any, options: Any) -> PreparedRow:
        ids = token_ids(tokenizer_of(self.model), check_text(row))
        made = readable(self.model, self._templates.single(ids))
        return PreparedRow([made], self._templates.single(ids).tokens.shape[1])

    def compute(self, options: Any) -> tuple[Compute, int]:
        layers, stack = self._layers(options), stack_of(self.model.module, encoder=True)
        seq2seq = self.model.architecture == "seq2seq"
        return HiddenStates(layers, seq2seq), len(layers) * stack.dim

    def finish(self, state: int, outputs: list[np.ndarray], options: Any) -> Any:
        states = outputs[0][:, :state]  # [L, T, D]
        states = states[0] if isinstance(options.layers, int) else states
        if options.pool == "token":
            return states[None]
        return pooled(states, options.pool)

    def _layers(self, options: Any) -> tuple[int, ...]:
        stack = stack_of(self.model.module, encoder=True)
        return layer_numbers(options.layers, stack.layers, self.model.name)
