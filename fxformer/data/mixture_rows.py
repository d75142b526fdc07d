"""Rows of several corpora: one after the other, or mixed in given proportions."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from fxformer.batch import Rows
from fxformer.data.packing import Packed
from fxformer.data.permutation import Permutation
from fxformer.errors import UserError

_ARRAYS = ("tokens", "segments", "examples", "source", "source_segments", "scored")
_DIFFERENT = (
    "data.parts: the corpora give different kinds of rows, such as pairs and single texts, or "
    "sentence pairs of a corpus with one document; mix corpora of one kind"
)


@dataclasses.dataclass(frozen=True)
class JoinedRows:
    """A `Packed` of all rows of several, each once, in their order.

    align: the rows of each part are filled up with rows of padding to a multiple of this many, so
        that no batch of as many rows has rows of two parts
    """

    parts: Mapping[str, Packed]
    align: int

    @property
    def length(self) -> int:
        return next(iter(self.parts.values())).length

    @functools.cached_property
    def _firsts(self) -> np.ndarray:
        return first_pieces(self.parts)

    @property
    def _ends(self) -> np.ndarray:
        return np.cumsum([-(-len(one) // self.align) * self.align for one in self.parts.values()])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def part_of(self, row: int) -> str:
        """The name of the part of a row."""
        return list(self.parts)[int(np.searchsorted(self._ends, row, side="right"))]

    def rows(self, which: np.ndarray, seed: int = 0, epoch: int = 0) -> Rows:
        which = np.asarray(which, np.int64)
        part = np.searchsorted(self._ends, which, side="right")
        own = which - np.concatenate([[0], self._ends])[part]
        sizes = np.array([len(one) for one in self.parts.values()])
        part = np.where(which < 0, 0, part)
        own = np.where((which < 0) | (own >= sizes[part]), -1, own)
        return merged(self.parts, self._firsts, part, own, np.full_like(which, epoch), seed, epoch)

    def facts(self) -> dict:
        return summed_facts(self.parts) | {"rows": len(self)}


@dataclasses.dataclass(frozen=True)
class MixedRows:
    """A `Packed` whose epochs have rows of several corpora in given proportions.

    An epoch has as many rows as all parts together. Of its places, the first belong to the first
    part and so on, as many as its share of them; rounding errors are carried over, so that after
    any number of epochs each part has had its share to within one row. The rows of a part are
    counted on through the epochs, in a permuted order, and begin again at its end in another one: a
    `repeat`. `Shuffled` permutes the places of an epoch.

    shares: of the rows, by name; they sum to 1
    """

    parts: Mapping[str, Packed]
    shares: Mapping[str, float]

    @property
    def length(self) -> int:
        return next(iter(self.parts.values())).length

    def __len__(self) -> int:
        return sum(len(one) for one in self.parts.values())

    @functools.cached_property
    def _firsts(self) -> np.ndarray:
        return first_pieces(self.parts)

    def _before(self, epoch: int) -> np.ndarray:
        """Places of each part in the epochs before this one. [parts] int64."""
        bounds = np.cumsum([self.shares[name] for name in self.parts])
        bounds[-1] = 1.0
        places = np.floor(epoch * len(self) * bounds + 0.5).astype(np.int64)
        return np.diff(places, prepend=0)

    def rows(self, which: np.ndarray, seed: int = 0, epoch: int = 0) -> Rows:
        """As of `Packed`. The examples of each repeat are numbered anew, so that what an objective
        draws differs between repeats within an epoch too."""
        which = np.asarray(which, np.int64)
        before = self._before(epoch)
        ends = np.cumsum(self._before(epoch + 1) - before)
        part = np.searchsorted(ends, which, side="right")
        rank = before[part] + which - np.concatenate([[0], ends])[part]
        sizes = np.array([len(one) for one in self.parts.values()])
        repeat, own = np.divmod(rank, sizes[part])
        for number, time in sorted(set(zip(part.tolist(), repeat.tolist(), strict=True))):
            here = (part == number) & (repeat == time) & (which >= 0)
            own[here] = Permutation(int(sizes[number]), seed, time)(own[here])
        part, own = np.where(which < 0, 0, part), np.where(which < 0, -1, own)
        return merged(
            self.parts, self._firsts, part, own, np.where(which < 0, 0, repeat), seed, epoch
        )

    def repeats(self, rows: int) -> dict[str, float]:
        """How many times the text of each part is read by so many rows of training."""
        return {name: rows * self.shares[name] / len(one) for name, one in self.parts.items()}

    def facts(self) -> dict:
        return summed_facts(self.parts) | {"shares": dict(self.shares)}


def first_pieces(parts: Mapping[str, Packed]) -> np.ndarray:
    """Numbers of the first piece of each part, and behind them that of all pieces."""
    return np.concatenate([[0], np.cumsum([one.facts()["pieces"] for one in parts.values()])])


def merged(
    parts: Mapping[str, Packed],
    firsts: np.ndarray,
    part: np.ndarray,
    own: np.ndarray,
    repeat: np.ndarray,
    seed: int,
    epoch: int,
) -> Rows:
    """Rows of several parts in one batch.

    firsts: of each part the number of its first piece, and at last the number of all pieces
    part, own, repeat: [B], of each row its part, its number
    there (-1: padding) and how many times the part has been read before
    """
    packed = list(parts.values())
    made: list[tuple[np.ndarray, Rows]] = []
    for number, time in sorted(set(zip(part.tolist(), repeat.tolist(), strict=True))):
        here = np.flatnonzero((part == number) & (repeat == time))
        rows = packed[number].rows(own[here], seed, time)
        offset = firsts[number] + time * firsts[-1]
        examples = np.where(rows.examples < 0, -1, rows.examples + offset)
        made.append((here, dataclasses.replace(rows, examples=examples)))
    place = np.argsort(np.concatenate([here for here, _ in made]), kind="stable")
    found: dict[str, Any] = {
        name: _stacked([getattr(rows, name) for _, rows in made], place) for name in _ARRAYS
    }
    pairs: list[Any] = [rows.pairs for _, rows in made]
    if any(one is not None for one in pairs):
        if any(one is None for one in pairs):
            raise UserError(_DIFFERENT)
        fields = dataclasses.fields(type(pairs[0]))
        columns = {f.name: [getattr(one, f.name) for one in pairs] for f in fields}
        found["pairs"] = type(pairs[0])(**{n: _stacked(c, place) for n, c in columns.items()})
    return Rows(seed=seed, epoch=epoch, **found)


def _stacked(columns: list[Any], place: np.ndarray) -> Any:
    """Arrays of the rows of each part as one, in the order of the batch."""
    if all(one is None for one in columns):
        return None
    if any(one is None for one in columns):
        raise UserError(_DIFFERENT)
    return np.concatenate(columns)[place]


def part_names(packed: Packed) -> list[str]:
    """Names of the parts of joined rows, whose losses are told apart; none for other rows."""
    return list(packed.parts) if isinstance(packed, JoinedRows) else []


def part_of(packed: Packed, row: int) -> str | None:
    """The name of the part of a row, where the rows are joined."""
    return packed.part_of(row) if isinstance(packed, JoinedRows) else None


def summed_facts(parts: Mapping[str, Packed]) -> dict:
    """Facts of all parts together, and of each under "parts"."""
    each = {name: one.facts() for name, one in parts.items()}
    names = ("rows", "pieces", "tokens_in", "tokens_used", "tokens_dropped")
    whole: dict[str, Any] = {name: sum(one[name] for one in each.values()) for name in names}
    empty = sum(one["padding_share"] * one["rows"] for one in each.values())
    whole["row_length"] = next(iter(each.values()))["row_length"]
    whole["padding_share"] = round(empty / max(whole["rows"], 1), 6)
    return whole | {"parts": each}
