"""Base of the pipelines that generate text: prompts or sources in batches, decoded outputs."""

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from fxformer.config.type_check import nearest
from fxformer.errors import UserError
from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.pipelines.base import Pipeline, PreparedRow
from fxformer.inference.pipelines.inputs import tokenizer_of
from fxformer.inference.text_generation import decode_batch

BATCH_ROWS = 16  # sequences that are generated together, at most
BATCH_TOKENS = 8192  # of prompts and outputs together, at most, unless one row has more


@dataclasses.dataclass(frozen=True)
class GeneratingOptions:
    """generation: how to decode; options of a call set its fields by their own names"""

    generation: GenerationConfig = GenerationConfig()


@dataclasses.dataclass(frozen=True)
class _Row:
    """ids: of the prompt or source, [t] int32; new: most tokens to generate; number: of the row"""

    ids: np.ndarray
    new: int
    number: int


class GeneratingPipeline(Pipeline):
    """A pipeline whose answers are generated; UserError for rows too long for the model.

    new_tokens: most tokens of an output where neither the call nor the model's files say it
    """

    Options = GeneratingOptions
    new_tokens: ClassVar[int] = 256

    def default_options(self) -> Any:
        """Decoding as the model's files say it for this task."""
        return self.Options(generation=self.card_generation())

    def card_generation(self) -> GenerationConfig:
        """The model's GenerationConfig, with what config.json has for this task and no other."""
        known = {field.name for field in dataclasses.fields(GenerationConfig)}
        own = {k: v for k, v in self.card.task_params.get(self.name, {}).items() if k in known}
        return GenerationConfig.from_hf({**self.model.generation_settings, **own})

    def changed(self, options: Any, given: Mapping[str, Any]) -> Any:
        """Options, or fields of their GenerationConfig, with other values."""
        own = [f.name for f in dataclasses.fields(self.Options) if f.name != "generation"]
        decoding = [field.name for field in dataclasses.fields(GenerationConfig)]
        for name in given:
            if name not in (*own, *decoding, "generation"):
                known = [*own, *decoding]
                raise UserError(
                    f"{self.task} has no option {name}{nearest(name, known)}; it has "
                    f"{', '.join(known)}"
                )
        options = super().changed(options, {k: v for k, v in given.items() if k not in decoding})
        rest = {k: v for k, v in given.items() if k in decoding}
        return dataclasses.replace(options, generation=options.generation.replace(**rest))

    @abstractmethod
    def config(self, options: Any) -> GenerationConfig:
        """How to decode, with what the options mean for it."""

    def limit(self, ids: np.ndarray, options: Any) -> int:
        """Most new tokens for a prompt or source. UserError where they do not fit the model."""
        config, room = self.config(options), self.model.max_tokens
        seq2seq = self.model.architecture == "seq2seq"
        if seq2seq and room is not None and len(ids) > room:
            raise UserError(
                f"the text has {len(ids)} tokens with its special tokens, and {self.model.name} "
                f"reads at most {room}: shorten it by about {len(ids) - room}"
            )
        before = 1 if seq2seq else len(ids)
        room = None if room is None else room - before
        if room is not None and room < 1:
            raise UserError(
                f"the prompt has {before} tokens, and {self.model.name} reads at most "
                f"{self.model.max_tokens}: shorten it by {1 - room} or more"
            )
        told = config.max_new_tokens
        if told is None and config.max_length is not None:
            told = config.max_length - before
            if told < 1:
                raise UserError(
                    f"max_length={config.max_length} leaves no token after a prompt of {before}: "
                    "write max_new_tokens instead"
                )
        if told is None:
            return min(self.new_tokens, room or self.new_tokens)
        if room is not None and told > room:
            raise UserError(
                f"{before} tokens and {told} new ones are more than the {self.model.max_tokens} "
                f"that {self.model.name} reads: write max_new_tokens={room} or less"
            )
        return told

    def run(self, prepared: Sequence[PreparedRow], options: Any) -> list[list[np.ndarray]]:
        """The generated ids of each row, num_return_sequences of them. [n] int32 each."""
        rows = [_Row(one.state[0], one.state[1], one.number) for one in prepared]
        config = self.config(options)
        found: list[list[np.ndarray]] = [[] for _ in rows]
        order = sorted(range(len(rows)), key=lambda i: (rows[i].new, len(rows[i].ids)))
        while order:
            last = rows[order[-1]]
            most = BATCH_TOKENS // (len(last.ids) + last.new) // config.num_beams
            count = max(1, min(BATCH_ROWS, most))
            some = [i for i in order[-count:] if rows[i].new == last.new]
            order = order[: len(order) - len(some)]
            made = self._generate([rows[i] for i in some], config)
            for i, ids in zip(some, made, strict=True):
                found[i] = ids
        return found

    def _generate(self, rows: list[_Row], config: GenerationConfig) -> list[list[np.ndarray]]:
        """The outputs of some rows with the same limit, as one batch of a power of two of rows."""
        filled = rows + [rows[0]] * ((1 << (len(rows) - 1).bit_length()) - len(rows))
        made = decode_batch(
            self.model,
            [row.ids for row in filled],
            [row.number for row in filled],
            config.replace(max_new_tokens=rows[0].new),
        ).rows()
        each = config.num_return_sequences
        return [made[place * each : (place + 1) * each] for place in range(len(rows))]


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
