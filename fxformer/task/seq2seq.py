"""Sequence to sequence: writing a text from another one, as in summarisation and translation."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Protocol

import numpy as np
from jaxtyping import Int

from fxformer.data.labelled.rows import Row
from fxformer.data.packing import Packed
from fxformer.data.tokenizer import Tokenizer
from fxformer.errors import UserError
from fxformer.task.base import Encoded, RowTask, TextEncoder
from fxformer.task.class_labels import freeze
from fxformer.task.seq2seq_rows import PairFeature, pack_joined, pack_pairs
from fxformer.types import Natural, Range

_LOG = logging.getLogger(__name__)


class DecodingSettings(Protocol):
    """Settings of generation; see conf/generation."""

    max_new_tokens: int | None
    max_length: int | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConditionalGeneration(RowTask):
    """-log p(target | source) in training; generated texts are compared with the references.

    An encoder-decoder reads the source with its encoder (objective=seq2seq). A decoder reads the
    source, a separator and the target in one row (objective=clm), and is scored on the target only.
    Where a row has several references, the first one is learned, and all of them judge.

    prefix: text before every source, in training and evaluation ("summarize: ")
    separator: text between source and target for a decoder; None: the bos token
    target_length: tokens of a target at most, with the special ones. data.length is that of a
        source; for a decoder that of source and target together
    too_long: whether sources and targets that are longer are cut at their end, or refused
    generate_every: texts are generated at every n-th evaluation and at the last; 0: at the last
    generation: how texts are generated (conf/generation)
    """

    roles: ClassVar[tuple[str, ...]] = ("source", "target")
    architectures: ClassVar[frozenset[str]] = frozenset({"decoder", "seq2seq"})
    objectives: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"Seq2SeqLM": "seq2seq", "CausalLM": "clm"}
    )

    prefix: str = ""
    separator: str | None = None
    target_length: Annotated[int, Range(2)] = 64
    too_long: Literal["cut", "refuse"] = "cut"
    generate_every: Natural = 1
    generation: DecodingSettings
    metrics: Mapping[str, Any] | Sequence[Any] = ()

    def __post_init__(self) -> None:
        freeze(self, "metrics")

    @property
    def added_texts(self) -> tuple[str, ...]:
        return tuple(one for one in (self.prefix, self.separator) if one)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of the metrics of generated texts."""
        return tuple(name for one in self.judges for name in one.names)

    def read(self, row: Row) -> Row:
        """The row with the prefix before its source and its target as a list of references."""
        values, target = dict(row.values), row.get("target")
        if row.get("source") is not None:
            values["source"] = f"{self.prefix}{row.value('source')}"
        if isinstance(target, str):
            values["target"] = [target]
        return dataclasses.replace(row, values=values)

    def encode(self, row: Row, number: int, encoder: TextEncoder) -> Encoded:
        source = encoder.tokenizer.encode(row.value("source"))
        target = encoder.target.encode(row.value("target")[0])
        if not len(source) or not len(target):
            side = "target" if len(source) else "source"
            return Encoded([], len(source), skipped=f"a {side} without tokens")
        joined = encoder.architecture == "decoder"
        before, after = self._around_source(encoder, joined)
        first, last = self._around_target(encoder.target, joined)
        limit = encoder.length - (self.target_length + 1 if joined else 0)
        room = limit - len(before) - len(after), self.target_length - len(first) - len(last)
        self._check_room(room, encoder, joined)
        given = len(source), len(target)
        if self.too_long == "refuse":
            _refuse(row, given, room)
        feature = PairFeature(
            np.concatenate([before, source[: room[0]], after]).astype(np.int32),
            np.concatenate([first, target[: room[1]], last]).astype(np.int32),
            number,
            given,
            (max(0, given[0] - room[0]), max(0, given[1] - room[1])),
        )
        return Encoded([feature], given[0], cut=feature.lost[0])

    def pack(
        self, features: Mapping[str, Sequence[PairFeature]], encoder: TextEncoder, *, shared: bool
    ) -> dict[str, Packed]:
        pad = encoder.target.ids.pad
        if encoder.architecture == "decoder":
            return pack_joined(features, encoder.length, pad, shared=shared)
        limits = encoder.length, self.target_length
        pads = encoder.tokenizer.ids.pad, pad
        return pack_pairs(features, limits, pads, shared=shared)

    def facts(self, split: str, features: Sequence[PairFeature]) -> dict[str, Any]:
        """Lengths of targets before they were cut, and how many were; warns of those."""
        lengths = np.array([one.given[1] for one in features])
        cut = sum(one.lost[1] > 0 for one in features)
        if cut:
            _LOG.warning(
                "%d of %d %s targets are longer than task.target_length=%d and lose text at their "
                "end", cut, len(features), split, self.target_length,
            )  # fmt: skip
        return {
            "target_tokens": {
                "median": int(np.quantile(lengths, 0.5, method="higher")),
                "max": int(lengths.max()),
            },
            "target_truncated": int(cut),
            "target_truncated_share": cut / len(features),
        }

    def _around_source(
        self, encoder: TextEncoder, joined: bool
    ) -> tuple[Int[np.ndarray, "b"], Int[np.ndarray, "a"]]:
        """The ids before and after the text of a source."""
        if not joined:
            return encoder.template.before, encoder.template.after
        return encoder.template.before, separator_ids(encoder.target, self.separator)

    def _around_target(
        self, tokenizer: Tokenizer, joined: bool
    ) -> tuple[Int[np.ndarray, "b"], Int[np.ndarray, "a"]]:
        """The ids before and after the text of a target; the end of sequence is among the last."""
        end = _special(tokenizer, "eos", "choose a tokenizer that has it")
        if joined:
            return np.zeros(0, np.int32), np.array([end], np.int32)
        if end not in tokenizer.suffix:
            return tokenizer.prefix, np.append(tokenizer.suffix, end).astype(np.int32)
        return tokenizer.prefix, tokenizer.suffix

    def _check_room(self, room: tuple[int, int], encoder: TextEncoder, joined: bool) -> None:
        """Raise UserError where no token of a text fits."""
        if room[1] < 1:
            raise UserError(
                f"task.target_length={self.target_length} has no room for text beside the special "
                f"tokens: write task.target_length={self.target_length + 1 - room[1]} or more"
            )
        if room[0] < 1:
            length = encoder.length - 1 if joined else encoder.length
            why = f" beside task.target_length={self.target_length}" if joined else ""
            raise UserError(
                f"data.length={length} has no room for a source{why}: write "
                f"data.length={length + 1 - room[0]} or more"
            )


def separator_ids(tokenizer: Tokenizer, separator: str | None) -> Int[np.ndarray, "n"]:
    """The ids between source and target of a decoder: those of a text; None: the bos token.

    Raises UserError where the tokenizer has none for it.
    """
    if separator is None:
        return np.array([_special(tokenizer, "bos", "write task.separator=' => '")], np.int32)
    between = tokenizer.encode(separator)
    if not len(between) or tokenizer.ids.unk in between:
        raise UserError(
            f"task.separator={separator!r}: the tokenizer has no tokens for it; write "
            "task.separator=null, or characters that it knows"
        )
    return np.asarray(between, np.int32)


def _special(tokenizer: Tokenizer, name: str, advice: str) -> int:
    """The id of a special token. Raises UserError where the tokenizer lacks it."""
    found = getattr(tokenizer.ids, name)
    if found is None:
        raise UserError(f"task=seq2seq needs a {name} token, and the tokenizer has none: {advice}")
    return int(found)


def _refuse(row: Row, given: tuple[int, int], room: tuple[int, int]) -> None:
    """Raise UserError for a source or a target that does not fit."""
    knobs = "data.length", "task.target_length"
    for side, knob, size, most in zip(("source", "target"), knobs, given, room, strict=True):
        if size > most:
            raise UserError(
                f"{row.where}: the {side} has {size} tokens and {most} fit; write a {knob} that is "
                f"{size - most} larger, or task.too_long=cut"
            )
