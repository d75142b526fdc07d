"""Texts that could stand in another's place: equally long, from another document."""

import dataclasses

import numpy as np

from fxformer.objective.counter_rng import Draws

MOST = 1_000_000  # sentence starts that are considered; evenly spread where there are more


@dataclasses.dataclass(frozen=True)
class Rivals:
    """For a text of b tokens, some run of whole sentences of another document of b tokens.

    Every such run is equally likely. Where no other document has one, the rival is any b tokens of
    the longest other document. To judge by it is to judge by content: it begins and ends as texts
    do and is as long as the one it stands for.

    bounds: [D + 1] int64, of the documents
    keys: int64, ascending: length · (N + 1) + start of each run, N being the tokens there are
    """

    bounds: np.ndarray
    keys: np.ndarray

    @classmethod
    def of(cls, bounds: np.ndarray, ends: np.ndarray, room: int) -> "Rivals":
        """bounds: of documents, two of which at least are not empty; ends: where sentences end,
        ascending; room: of the longest text that is asked for."""
        points = np.unique(np.concatenate([bounds, ends]))  # where sentences begin and end
        last = bounds[np.minimum(np.searchsorted(bounds, points, side="right"), len(bounds) - 1)]
        here = np.arange(len(points) - 1)
        here = here[:: -(-len(here) // MOST) if len(here) else 1]
        keys, step = [np.empty(0, np.int64)], 1
        while len(here := here[here + step < len(points)]):
            size = points[here + step] - points[here]
            fits = (size <= room) & (points[here + step] <= last[here])
            here = here[fits]
            keys.append(size[fits] * (bounds[-1] + 1) + points[here])
            step += 1
        return cls(np.asarray(bounds, np.int64), np.sort(np.concatenate(keys)))

    @property
    def longest(self) -> int:
        """The longest text that has a rival, whatever document it is from."""
        return int(np.sort(np.diff(self.bounds))[-2])

    def __call__(self, size: np.ndarray, document: np.ndarray, draws: Draws) -> np.ndarray:
        """Where the rivals of texts of `size` <= longest of these documents begin. [n] each."""
        unit = self.bounds[-1] + 1
        edges = (size * unit, size * unit + self.bounds[document])
        low, own = (np.searchsorted(self.keys, edge) for edge in edges)
        own_end = np.searchsorted(self.keys, size * unit + self.bounds[document + 1])
        high = np.searchsorted(self.keys, (size + 1) * unit)
        count = high - low - (own_end - own)
        at = low + draws.below("rival", count)
        at = np.where(at < own, at, at + own_end - own)
        elsewhere = self._elsewhere(size, document, draws)
        if not len(self.keys):
            return elsewhere
        found = self.keys[np.minimum(at, len(self.keys) - 1)] - size * unit
        return np.where(count > 0, found, elsewhere)

    def _elsewhere(self, size: np.ndarray, document: np.ndarray, draws: Draws) -> np.ndarray:
        second, first = np.argsort(np.diff(self.bounds), kind="stable")[-2:]
        other = np.where(document == first, second, first)
        spare = np.diff(self.bounds)[other] - size
        return self.bounds[other] + draws.below("elsewhere", spare + 1)
