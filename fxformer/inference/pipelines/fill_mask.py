"""fill-mask: the tokens that an encoder puts in the place of masks."""

import dataclasses
import re
from typing import Any, Literal

import numpy as np

from fxformer.batch import Batch
from fxformer.data.tokenizer import Tokenizer
from fxformer.errors import UserError
from fxformer.inference.forward import Compute
from fxformer.inference.model import Model
from fxformer.inference.pipelines.base import ForwardPipeline, PreparedRow, check_text
from fxformer.inference.pipelines.heads import PickedLogits
from fxformer.inference.pipelines.inputs import readable, templates, tokenizer_of
from fxformer.inference.pipelines.mask_text import TextWithMasks, filled, mask_name, target_id
from fxformer.ops.probabilities import softmax
from fxformer.types import Count


@dataclasses.dataclass(frozen=True)
class FillMaskOptions:
    """top_k: tokens for each mask
    targets: only these words, each a single token; None: all tokens
    order: of several masks: independent: each as if the others stayed masks; left_to_right: each
        after the best token was put in the place of those before it
    """

    top_k: Count = 5
    targets: list[str] | str | None = None
    order: Literal["independent", "left_to_right"] = "independent"


class FillMask(ForwardPipeline):
    """[{"score", "token", "token_str", "sequence"}, …], the best first; a list of such lists for a
    text with several masks.

    sequence: the text as given with this mask replaced. A row is a text with masks, written as the
    tokenizer writes them ([MASK], <mask>); one that is too long is refused. The model of an ELECTRA
    run is its generator.
    """

    task = "fill-mask"
    Options = FillMaskOptions

    def __init__(self, model: Model, **given: Any):
        super().__init__(model.generator or model, **given)

    def check(self) -> None:
        """Raise UserError for a model that is no encoder, or has no mask token or head."""
        if self.model.architecture != "encoder":
            raise UserError(
                f"fill-mask needs an encoder, {self.model.name} is a {self.model.architecture}"
            )
        self.model.check_head()
        if self.model.vocabulary.mask is None:
            raise UserError(f"{self.model.name} has no mask token")
        self._templates = templates(self.model)

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the model."""
        return tokenizer_of(self.model)

    def prepare(self, row: Any, options: Any) -> PreparedRow:
        name = mask_name(self.tokenizer)
        masked = TextWithMasks.of(check_text(row), self.tokenizer)
        if not len(masked.places):
            other = re.search(r"\[MASK\]|<mask>", masked.text)
            wrong = f": this tokenizer writes it {name}, not {other.group()}" if other else ""
            raise UserError(f"the text has no mask {name}{wrong}")
        return PreparedRow([self._input(masked.ids, masked.places)], masked)

    def _input(self, ids: np.ndarray, places: np.ndarray) -> Batch:
        """The model input with the masks as picked positions."""
        picked = (places + len(self._templates.before)).astype(np.int32)[None]
        row = readable(self.model, self._templates.single(ids))
        ones = np.ones(picked.shape, np.float32)
        return row.replace(picked=picked, targets=np.zeros_like(picked), weights=ones)

    def compute(self, options: Any) -> tuple[Compute, int]:
        return PickedLogits(), self.model.module.vocab

    def run(self, prepared: Any, options: Any) -> list[list[Any]]:
        """Probabilities [V] at each mask; one pass for all masks, or one for each in turn."""
        if options.order == "independent":
            made = super().run(prepared, options)
            counts = [len(one.state.places) for one in prepared]
            return [list(softmax(x[0][:n])) for x, n in zip(made, counts, strict=True)]
        found: list[list[Any]] = [[] for _ in prepared]
        ids = [one.state.ids.copy() for one in prepared]
        turns = max(len(one.state.places) for one in prepared)
        for turn in range(turns):
            open_ = [i for i, one in enumerate(prepared) if turn < len(one.state.places)]
            places = [prepared[i].state.places[turn:] for i in open_]
            rows = [
                PreparedRow([self._input(ids[i], p)]) for i, p in zip(open_, places, strict=True)
            ]
            for i, made in zip(open_, super().run(rows, options), strict=True):
                found[i].append(softmax(made[0][0]))
                best = self._ranked(found[i][-1], prepared[i].state, turn, options)[0]
                ids[i][prepared[i].state.places[turn]] = best
        return found

    def tokens(self, one: PreparedRow, outputs: list[Any], options: Any) -> int:
        """Those of each pass over the row."""
        passes = 1 if options.order == "independent" else len(outputs)
        return passes * one.input_tokens

    def finish(self, state: TextWithMasks, outputs: list[np.ndarray], options: Any) -> Any:
        answers, fills = [], {}
        for number, probabilities in enumerate(outputs):
            ranked = self._ranked(probabilities, state, number, options)
            answers.append([
                {
                    "score": float(probabilities[i]),
                    "token": int(i),
                    "token_str": token_text(self.tokenizer, int(i)),
                    "sequence": filled(state, {**fills, number: int(i)}, self.tokenizer),
                }
                for i in ranked
            ])  # fmt: skip
            if options.order == "left_to_right":
                fills[number] = int(ranked[0])
        return answers[0] if len(answers) == 1 else answers

    def _ranked(
        self, probabilities: np.ndarray, state: TextWithMasks, number: int, options: Any
    ) -> np.ndarray:
        """Ids for mask `number`, the most probable first."""
        if options.targets is not None:
            words = [options.targets] if isinstance(options.targets, str) else options.targets
            if not words:
                raise UserError("fill-mask: targets is empty: name a word, or leave it out")
            spaced = state.spaced[number]
            ids = np.array([target_id(word, self.tokenizer, spaced) for word in words])
            ids = np.unique(ids)
        else:
            ids = np.arange(self.tokenizer.vocabulary.size)
        order = np.argsort(-probabilities[ids], kind="stable")
        return ids[order[: options.top_k]]


def token_text(tokenizer: Tokenizer, token: int) -> str:
    """A token as the tokenizer decodes it alone; the name of a special token."""
    if tokenizer.vocabulary.special[token]:
        return tokenizer.name_of(token)
    return tokenizer.decode(np.array([token], np.int32))
