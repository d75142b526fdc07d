"""Pairs of source and target as token ids, and rows of a corpus that hold them."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from fxformer.data.documents import Documents, join
from fxformer.data.packing import Packed, PackedPieces, Template
from fxformer.data.packing_index import fitted
from fxformer.data.packing_pairs import PairRows
from fxformer.task.features import rounded, row_length

WINDOW = 65536  # examples that are fitted together at a time


@dataclasses.dataclass(frozen=True)
class PairFeature:
    """A source and its target, each with its special tokens.

    source: what precedes the target; of a decoder with the separator
    example: number of the example in its split
    given, lost: tokens of the texts (source, target), and how many of them were cut off
    """

    source: Int[np.ndarray, "s"]
    target: Int[np.ndarray, "t"]
    example: int
    given: tuple[int, int]
    lost: tuple[int, int] = (0, 0)

    @property
    def tokens(self) -> Int[np.ndarray, "n"]:
        """Source and target, one after the other."""
        return np.concatenate([self.source, self.target])


def pack_joined(
    features: Mapping[str, Sequence[PairFeature]], limit: int, pad: int, *, shared: bool
) -> dict[str, Packed]:
    """Rows with source and target in one stream, for decoders; only targets are scored.

    features: by split
    limit: tokens of a row at most
    shared: whether several examples share a row, kept apart by segment numbers
    """
    length = row_length(features, limit, shared)
    made: dict[str, Packed] = {}
    for split, some in features.items():
        scored = [np.arange(len(one.tokens)) >= len(one.source) for one in some]
        side = _documents([one.tokens for one in some], np.concatenate(scored))
        order, bounds = _order(np.diff(side.bounds), length, shared)
        made[split] = _pieces(side, length, pad, order, bounds)
    return made


def pack_pairs(
    features: Mapping[str, Sequence[PairFeature]],
    limits: tuple[int, int],
    pads: tuple[int, int],
    *,
    shared: bool,
) -> dict[str, Packed]:
    """Rows of sources and of targets, for encoder-decoders; each side has its own length.

    features: by split
    limits, pads: tokens of a row at most and id of padding, of sources and of targets
    shared: whether several pairs share a row, kept apart by segment numbers
    """
    lengths = limits
    if not shared:
        every = [one for some in features.values() for one in some]
        longest = max(len(one.source) for one in every), max(len(one.target) for one in every)
        lengths = min(limits[0], rounded(longest[0])), min(limits[1], rounded(longest[1]))
    made: dict[str, Packed] = {}
    for split, some in features.items():
        sides = [_documents([one.source for one in some]), _documents([one.target for one in some])]
        source, target = (np.diff(side.bounds) for side in sides)
        # a pair takes the larger of the shares of a row that its sides take
        widths = np.maximum(source, -(-target * lengths[0] // lengths[1]))
        order, bounds = _order(widths, lengths[0], shared)
        questions, answers = (
            _pieces(*one, order, bounds) for one in zip(sides, lengths, pads, strict=True)
        )
        made[split] = PairRows(answers, questions)
    return made


def _documents(parts: list[np.ndarray], scored: np.ndarray | None = None) -> Documents:
    return Documents(*join(parts), scored)


def _order(widths: np.ndarray, length: int, shared: bool) -> tuple[np.ndarray, np.ndarray]:
    """order and bounds of PackedPieces: one piece in each row, or as many as fit."""
    if shared:
        return fitted(widths, length, WINDOW)
    return np.arange(len(widths)), np.arange(len(widths) + 1)


def _pieces(
    side: Documents, length: int, pad: int, order: np.ndarray, bounds: np.ndarray
) -> PackedPieces:
    """Whole documents that hold their special tokens already."""
    none = np.zeros(0, np.int32)
    template = Template(pad, none, none)
    sizes = np.diff(side.bounds)
    return PackedPieces(side, length, template, side.bounds[:-1], sizes, order, bounds)
