"""Several objectives in one run: every row of a batch comes under one of them."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from flax import nnx

from fxformer.batch import Batch, Rows, Vocabulary
from fxformer.objective.base import Objective
from fxformer.objective.draw import Draws
from fxformer.objective.hole import Hole, Question
from fxformer.objective.law import Law
from fxformer.objective.loss import CrossEntropy
from fxformer.types import Part, Positive

# What stands where a row has nothing to say; the padding id goes into tokens and source.
_WIDE = ("tokens", "segments", "targets", "weights", "source", "source_segments", "prefix")


@dataclasses.dataclass(frozen=True)
class Share:
    """An objective and its weight: its share of the rows, relative to the others."""

    objective: Part
    weight: Positive = 1.0


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a part may know of the model, which the mixture owns."""

    architecture: str


class Mixture(Objective):
    """Σ weight_k · loss_k: each row is given to one objective, drawn with the weights.

    The draw is that of the row's first piece, so it is the same for any number of devices or
    workers; pieces that are packed otherwise may come under another objective, but what that does
    to a piece stays a function of the piece alone. Losses are summed over the targets of all rows:
    an objective with more targets in a row counts for more.

    Rows of all parts have one shape, the largest. Where only some parts list their targets in
    `picked`, all targets are put at their positions, and the head runs everywhere. Text rows are as
    long as the part with the shortest rows can take.
    """

    legal = frozenset({"encoder", "decoder", "seq2seq"})  # the parts say what they can train

    def __init__(
        self,
        model: Part,
        *,
        parts: Sequence[Share],
        loss: CrossEntropy = CrossEntropy(),
        vocabulary: Vocabulary,
        rngs: nnx.Rngs,
    ):
        super().__init__(model, loss=loss, vocabulary=vocabulary, rngs=rngs)
        if not parts:
            raise ValueError("a mixture of no objectives: list some under objective.parts")
        kind, made = Kind(self.model.architecture), []
        for part in parts:
            check_scored_alike(getattr(part.objective, "func", None))
            made.append(part.objective(lambda **_: kind, vocabulary=vocabulary, rngs=rngs))
            check_scored_alike(type(made[-1]))
        self.parts = nnx.List(made)
        weights = np.array([part.weight for part in parts], np.float64)
        self.shares = tuple(float(share) for share in weights / weights.sum())

    def row_length(self, length: int) -> int:
        """The shortest that a part wants."""
        return min(part.row_length(length) for part in self.parts)

    def source_length(self, length: int) -> int | None:
        """The longest source of any part; None without one."""
        lengths = [part.source_length(length) for part in self.parts]
        return None if None in lengths else max(lengths)

    def which(self, rows: Rows) -> np.ndarray:
        """The number of the objective of each row. [B] int64."""
        draws = Draws.of(rows.seed, rows.epoch, rows.examples[:, 0])
        steps = np.cumsum(self.shares)[:-1]
        return np.searchsorted(steps, draws.uniform("objective"), side="right")

    def corrupt(self, rows: Rows) -> Batch:
        """rows [B, T] -> a batch that holds every row as its own objective makes it."""
        which = self.which(rows)
        made = [part.corrupt(_rows(rows, which == k)) for k, part in enumerate(self.parts)]
        if any(batch.picked is None for batch in made):
            made = [spread(batch) for batch in made]
        joined = {
            name: self._joined([getattr(batch, name) for batch in made], name, which)
            for name in (*_WIDE, "picked")
        }
        return Batch(**joined)

    def _joined(self, arrays: list, name: str, which: np.ndarray) -> np.ndarray | None:
        """Rows of all parts in one array, filled up on the right. None if no part has any."""
        given = [array for array in arrays if array is not None]
        if not given:
            return None
        fill = self.vocabulary.pad if name in ("tokens", "source") else 0
        shape = (len(which), max(array.shape[1] for array in given))
        whole = np.full(shape, fill, given[0].dtype)
        for k, array in enumerate(arrays):
            if array is not None:
                whole[which == k, : array.shape[1]] = array
        return whole

    def questions(self, hole: Hole) -> list[Question] | None:
        """Those of the first part that has any."""
        of_parts = (part.questions(hole) for part in self.parts)
        return next((questions for questions in of_parts if questions is not None), None)

    def laws(self) -> tuple[Law, ...]:
        """The shares, that rows are what their objective makes of them, and its own laws."""

        def share(rows: Rows, batch: Batch) -> np.ndarray:
            real = rows.segments[:, 0] > 0
            return np.bincount(self.which(rows)[real], minlength=len(self.shares))

        own = (
            law.through(self._of(k), f"{k} {type(part).__name__}")
            for k, part in enumerate(self.parts)
            for law in part.laws()
        )
        return (
            Law("shares of the objectives", self.shares, share, "shares"),
            Law("rows other than their objective makes", 0.0, self._other, "exact"),
            *own,
        )

    def _of(self, number: int) -> Callable[[Rows, Batch], tuple[Rows, Batch]]:
        """The rows of one part, and what it makes of them."""

        def view(rows: Rows, batch: Batch) -> tuple[Rows, Batch]:
            mine = _rows(rows, self.which(rows) == number)
            return mine, self.parts[number].corrupt(mine)

        return view

    def _other(self, rows: Rows, batch: Batch) -> np.ndarray:
        """What the model reads and answers, row by row, against each part's own batch."""
        which, wrong = self.which(rows), []
        for k, part in enumerate(self.parts):
            alone, here = spread(part.corrupt(_rows(rows, which == k))), spread(batch)
            for name in _WIDE:
                right, seen = getattr(alone, name), getattr(here, name)
                if right is not None:
                    width = right.shape[1]
                    wrong.append((seen[which == k, :width] != right).any(1))
                    if name in ("segments", "weights", "source_segments", "prefix"):
                        wrong.append(seen[which == k, width:].any(1))
        return np.concatenate(wrong)


def check_scored_alike(kind: type | None) -> None:
    """Raise ValueError for a class of objectives whose loss is not that of all; asked before one is
    made too, since a loss of its own may want more of a model than `Kind` tells."""
    if isinstance(kind, type) and kind.__call__ is not Objective.__call__:
        raise ValueError(f"{kind.__name__} computes its loss in its own way and cannot be mixed")


def spread(batch: Batch) -> Batch:
    """The batch with targets and weights [B, T] at their positions, and nothing picked."""
    if batch.picked is None:
        return batch
    shape = np.shape(batch.tokens)
    targets, weights = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    row, slot = np.nonzero(batch.weights)
    column = batch.picked[row, slot]
    targets[row, column] = batch.targets[row, slot]
    weights[row, column] = batch.weights[row, slot]
    return batch.replace(targets=targets, weights=weights, picked=None)


def _rows(rows: Rows, which: np.ndarray) -> Rows:
    """Some of the rows."""
    arrays = ("tokens", "segments", "examples", "source", "source_segments", "scored")
    given = {name: getattr(rows, name) for name in arrays}
    some = {name: array[which] for name, array in given.items() if array is not None}
    return dataclasses.replace(rows, **some)
