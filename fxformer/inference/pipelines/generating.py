"""Base of the pipelines that generate text: settings, limits, decoded outputs."""

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fxformer.batch import Batch
from fxformer.config.type_check import nearest
from fxformer.errors import UserError
from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.generation_limits import new_token_limit
from fxformer.inference.pipelines.base import Pipeline, PreparedRow
from fxformer.inference.pipelines.inputs import tokenizer_of
from fxformer.inference.text_encoding import check_length
from fxformer.inference.text_generation import (
    GeneratedText,
    Prompt,
    decoding_config,
    generate_rows,
)


@dataclasses.dataclass(frozen=True)
class GeneratingOptions:
    """generation_config: how to decode; options of a call set its fields by their own names"""

    generation_config: GenerationConfig = GenerationConfig()


@dataclasses.dataclass(frozen=True)
class Request:
    """A row to be answered.

    ids: of the prompt or source with its special tokens. [t] int32
    new: most tokens to generate
    text: of the row
    """

    ids: np.ndarray
    new: int
    text: str


class GeneratingPipeline(Pipeline):
    """A pipeline whose answers are generated; UserError for rows too long for the model.

    Settings and limits are those of `Model.generate`, with what config.json has for the task.
    """

    Options = GeneratingOptions

    def default_options(self) -> Any:
        """Decoding as the model's files say it for this task."""
        own = self.card.params(self.name)
        return self.Options(generation_config=self.model.generation_of(own))

    def changed(self, options: Any, given: Mapping[str, Any]) -> Any:
        """Options, or fields of their GenerationConfig, with other values."""
        name = "generation_config"
        own = [f.name for f in dataclasses.fields(self.Options) if f.name != name]
        known = [*own, *(field.name for field in dataclasses.fields(GenerationConfig)), name]
        if unknown := [one for one in given if one not in known]:
            raise UserError(
                f"{self.task} has no option {unknown[0]}{nearest(unknown[0], known)}; it has "
                f"{', '.join(known)}"
            )
        settings = given.get(name)
        if not isinstance(settings, Mapping | GenerationConfig | None):
            raise UserError(f"{self.task}: {name}: expected a GenerationConfig, got {settings!r}")
        options = super().changed(options, {k: v for k, v in given.items() if k in own})
        rest = {k: v for k, v in given.items() if k not in (*own, name)}
        config = decoding_config(options.generation_config, settings, rest)
        return dataclasses.replace(options, generation_config=config)

    def config(self, options: Any) -> GenerationConfig:
        """How to decode, with what the options mean for it."""
        return options.generation_config

    def prepared(self, made: Batch, text: str, options: Any) -> PreparedRow:
        """A row whose prompt or source is `made` [1, t]. UserError where it does not fit."""
        ids = made.tokens[0]
        seq2seq = self.model.architecture == "seq2seq"
        what = "the text" if seq2seq else "the prompt"
        if seq2seq:
            check_length(len(ids), self.model.max_tokens, what, self.model.name)
        new = new_token_limit(self.model, len(ids), self.config(options), what)
        return PreparedRow([made], Request(ids, new, text))

    def run(self, prepared: Sequence[PreparedRow], options: Any) -> list[list[GeneratedText]]:
        """The generated texts of each row, num_return_sequences of them."""
        prompts = [Prompt(one.state.ids, one.state.new, one.number) for one in prepared]
        return generate_rows(self.model, prompts, self.config(options))

    def tokens(self, one: PreparedRow, outputs: list[GeneratedText], options: Any) -> int:
        """Tokens of the prompt or source, and those generated: of beam search by each beam, of
        contrastive search with each candidate."""
        config, lengths = self.config(options), [len(made.ids) for made in outputs]
        rows = config.top_k if config.penalty_alpha else config.num_beams
        return one.input_tokens + (rows * max(lengths) if rows > 1 else sum(lengths))

    @abstractmethod
    def finish(self, state: Request, outputs: list[GeneratedText], options: Any) -> Any:
        """The answer of a row."""


def check_generator(model: Any, task: str, architectures: tuple[str, ...]) -> None:
    """Raise UserError unless the model is of an architecture that generates, and has its head."""
    if model.architecture not in architectures:
        use = {"encoder": "fill-mask", "decoder": "text-generation"}
        other = use.get(model.architecture, "text2text-generation")
        raise UserError(
            f"{task} needs a {' or '.join(architectures)} model, and {model.name} is of kind "
            f"{model.architecture}: use {other}"
        )
    model.check_head()
    tokenizer_of(model)
