"""Whether all text of the packed rows is in the batch made of them, for any objective."""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fxformer.batch import Batch, Rows
from fxformer.objective.base import Objective
from fxformer.objective.pieces import Pieces, pieces_of
from fxformer.objective.segments import counts_of

NO_ROOM, NO_TARGET = "no room in the batch", "no target"


def present(rows: Rows, batch: Batch, pieces: Pieces) -> tuple[np.ndarray, np.ndarray]:
    """Which pieces are read (by encoder and decoder, where there are both), and which are of an
    example with a target. [P] bool each."""
    segments = np.asarray(batch.segments)
    top = int(max(rows.segments.max(initial=0), segments.max(initial=0))) + 1
    key = pieces.row * top + pieces.segment

    def found(segment: np.ndarray, row: np.ndarray) -> np.ndarray:
        return np.bincount(row * top + segment, minlength=len(rows.segments) * top)[key] > 0

    def anywhere(segments: np.ndarray) -> np.ndarray:
        row, column = np.nonzero(segments)
        return found(segments[row, column], row)

    read = anywhere(segments)
    if batch.source is not None:
        read &= anywhere(np.asarray(batch.source_segments))
    row, slot = np.nonzero(batch.weights)
    column = slot if batch.picked is None else np.asarray(batch.picked)[row, slot]
    aimed = found(segments[row, column], row)
    _, example = np.unique(pieces.example, return_inverse=True)
    return read, (np.bincount(example, aimed) > 0)[example]  # choices share one target


def expected(rows: Rows, pieces: Pieces) -> np.ndarray:
    """Pieces that have something to learn: two ordinary tokens, one of them scored. [P] bool."""
    scored = np.ones(len(pieces.tokens), bool)
    if rows.scored is not None:
        scored = np.asarray(rows.scored)[rows.segments > 0]
    return (pieces.free_lengths > 1) & (counts_of(pieces.piece, pieces.count, scored) > 0)


class Coverage:
    """Makes batches as an objective does and counts what became of the text; for several threads.

    pieces: those that have something to learn
    lost: tokens of pieces that are not in their batch, by reason
    """

    def __init__(self, objective: Objective):
        self.objective = objective
        self.pieces, self.missing, self.lost = 0, 0, Counter[str]()
        self._lock = threading.Lock()

    def counts(self) -> dict[str, Any]:
        """What was counted, as JSON."""
        with self._lock:
            return {"pieces": self.pieces, "missing": self.missing, "lost": dict(self.lost)}

    @classmethod
    def merged(cls, objective: Objective, counts: Iterable[Mapping[str, Any]]) -> "Coverage":
        """The sum of what several processes have counted."""
        made = cls(objective)
        for one in counts:
            made.pieces, made.missing = made.pieces + one["pieces"], made.missing + one["missing"]
            made.lost.update(one["lost"])
        return made

    def __call__(self, rows: Rows) -> Batch:
        batch = self.objective.corrupt(rows)
        if rows.teacher is not None:
            batch = batch.replace(teacher=rows.teacher)
        pieces = pieces_of(rows, self.objective.vocabulary)
        read, aimed = present(rows, batch, pieces)
        due = expected(rows, pieces)
        lost = {NO_ROOM: due & ~read, NO_TARGET: due & read & ~aimed}
        with self._lock:
            self.pieces += int(due.sum())
            self.missing += int((due & ~(read & aimed)).sum())
            for reason, which in lost.items():
                if which.any():
                    self.lost[reason] += int(pieces.free_lengths[which].sum())
        return batch
