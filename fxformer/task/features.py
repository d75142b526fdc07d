"""Labelled examples as token ids, and rows of one length that hold them."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Int

from fxformer.batch import Labels, Rows
from fxformer.data.packing import account, places
from fxformer.data.packing_index import fitted
from fxformer.ranges import ranges

ROUND = 8  # rows are as long as the longest input, rounded up to a multiple of this


@dataclasses.dataclass(frozen=True)
class Feature:
    """One input of a model: a labelled example, or a window of one.

    tokens: [n] int32, with the special tokens; types: [n] int32, 0 or 1 of the second text
    parts: lengths of the texts that do not see each other (choices); one for most tasks
    example: number of the example in its split
    label: what `Task.label_arrays` makes of it: a class, numbers, positions in `tokens`
    """

    tokens: Int[np.ndarray, "n"]
    types: Int[np.ndarray, "n"]
    parts: tuple[int, ...]
    example: int
    label: Any


@dataclasses.dataclass(frozen=True)
class Placed:
    """Features in rows: feature i lies in `row[i]` from `begin[i]` and is the `slot[i]`-th there;
    `number[i]` is its number in its split.

    shape: (rows, tokens of a row); slots: features that a row can hold
    parts: most parts of a feature of the split
    """

    features: Sequence[Feature]
    number: Int[np.ndarray, "n"]
    row: Int[np.ndarray, "n"]
    slot: Int[np.ndarray, "n"]
    begin: Int[np.ndarray, "n"]
    shape: tuple[int, int]
    slots: int
    parts: int


class MakesLabels(Protocol):
    """The part of a task that turns the labels of features into arrays."""

    def label_arrays(self, placed: Placed) -> Labels:
        """The labels of features in rows."""
        ...


@dataclasses.dataclass(frozen=True)
class PackedFeatures:
    """A `Packed` of features: each row holds whole features, kept apart by segment numbers.

    order, bounds: features by row, as in PackedPieces
    task: makes the labels
    pad: id of padding
    """

    features: Sequence[Feature]
    length: int
    order: Int[np.ndarray, "n"]
    bounds: Int[np.ndarray, "rows+1"]
    task: MakesLabels
    pad: int

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @functools.cached_property
    def slots(self) -> int:
        """Features of the fullest row."""
        return int(np.diff(self.bounds).max(initial=1))

    @functools.cached_property
    def parts(self) -> int:
        """Most parts of a feature."""
        return max(len(one.parts) for one in self.features)

    def rows(self, which: np.ndarray, seed: int = 0, epoch: int = 0) -> Rows:
        """The rows of these numbers; -1 gives a row of padding. examples: numbers of features."""
        which = np.asarray(which, np.int64)
        real = np.flatnonzero(which >= 0)
        counts = self.bounds[which[real] + 1] - self.bounds[which[real]]
        slot = ranges(np.zeros_like(counts), counts)
        number, row = self.order[ranges(self.bounds[which[real]], counts)], np.repeat(real, counts)
        chosen = [self.features[i] for i in number]
        width = np.array([len(one.tokens) for one in chosen], np.int64)
        begin = places(row, width, self.length)
        shape = (len(which), self.length)
        tokens = np.full(shape, self.pad, np.int32)
        segments, types = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        examples = np.full(shape, -1, np.int64)
        taken = np.zeros(len(which), np.int64)  # segments that each row has so far
        for i, one in enumerate(chosen):
            here = slice(begin[i], begin[i] + width[i])
            tokens.flat[here], types.flat[here] = one.tokens, one.types
            examples.flat[here] = number[i]
            parts = np.arange(len(one.parts)) + 1 + taken[row[i]]
            segments.flat[here] = np.repeat(parts, one.parts)
            taken[row[i]] += len(one.parts)
        placed = Placed(
            chosen, number, row, slot, begin - row * self.length, shape, self.slots, self.parts
        )
        labels = self.task.label_arrays(placed)
        return Rows(tokens, segments, examples, seed, epoch, types=types, labels=labels)

    def facts(self) -> dict:
        tokens = sum(len(one.tokens) for one in self.features)
        return account(self, len(self.features), tokens, tokens, 0)


def row_length(features: Mapping[str, Sequence[Any]], limit: int, shared: bool) -> int:
    """Tokens of a row: `limit` if features share rows, else as many as the longest one has.

    features: by split
    """
    longest = max(len(one.tokens) for some in features.values() for one in some)
    return max(limit if shared else min(limit, rounded(longest)), longest)


def rounded(length: int) -> int:
    """A length rounded up to a multiple of ROUND."""
    return ROUND * math.ceil(length / ROUND)


def pack_features(
    features: Sequence[Feature], length: int, task: MakesLabels, pad: int, *, shared: bool
) -> PackedFeatures:
    """Rows of `length` tokens with one feature each, or, if `shared`, with as many as fit.

    Best-fit decreasing, as data/packing=segments does.
    """
    if shared:
        widths = np.array([len(one.tokens) for one in features], np.int64)
        order, bounds = fitted(widths, length, window=65536)
    else:
        order, bounds = np.arange(len(features)), np.arange(len(features) + 1)
    return PackedFeatures(features, length, order, bounds, task, pad)
