"""A mixture of objectives: each piece of text is corrupted by one of them."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from flax import nnx

from fxformer.batch import Batch, Limit, Rows, Vocabulary
from fxformer.errors import UserError
from fxformer.objective.base import Objective
from fxformer.objective.infilling import InfillExample, ScoringRequest
from fxformer.objective.pieces import Pieces, pieces_of
from fxformer.objective.segments import ranks_of
from fxformer.ops.cross_entropy import CrossEntropy
from fxformer.types import Part, Positive

# What a batch says of each token that a stack reads, and of each that an encoder reads.
READ = ("tokens", "segments", "targets", "weights", "prefix")
SOURCE = ("source", "source_segments")


@dataclasses.dataclass(frozen=True)
class Share:
    """An objective and its weight: its share of the pieces, relative to the others."""

    objective: Part
    weight: Positive = 1.0


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a part may know of the model, which the mixture owns."""

    architecture: str


class Mixture(Objective):
    """Each piece of text is given to one objective, drawn with the weights; losses are summed.

    The draw, and what it does to a piece, depend on (seed, epoch, example) alone, however pieces
    are packed. Losses are summed over the targets of all pieces: an objective with more targets in
    a piece counts for more.

    Rows of all parts have one width, the largest, and pieces of several parts lie in one row. Where
    only some parts list their targets in `picked`, all targets are put at their positions, and the
    head runs everywhere. Text rows are as long as the part with the shortest rows can take.
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
            raise UserError("a mixture of no objectives: list some under objective.parts")
        kind, made = Kind(self.model.architecture), []
        for part in parts:
            check_scored_alike(getattr(part.objective, "func", None))
            made.append(part.objective(lambda **_: kind, vocabulary=vocabulary, rngs=rngs))
            check_scored_alike(type(made[-1]))
            made[-1].tally = self.tally
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

    def limits(self, width: int) -> tuple[Limit, ...]:
        """Those of all parts: a piece may come under any."""
        return tuple(limit for part in self.parts for limit in part.limits(width))

    def which(self, rows: Rows, pieces: Pieces) -> np.ndarray:
        """The number of the objective of each piece. [P] int64."""
        steps = np.cumsum(self.shares)[:-1]
        lots = pieces.draws(rows.seed, rows.epoch).uniform("objective")
        return np.searchsorted(steps, lots, side="right")

    def shared(self, rows: Rows) -> list[Rows]:
        """For each part the rows with its pieces alone, moved to the left."""
        pieces = pieces_of(rows, self.vocabulary)
        which = self.which(rows, pieces)
        return [only(rows, pieces, which == k, self.vocabulary.pad) for k in range(len(self.parts))]

    def corrupt(self, rows: Rows) -> Batch:
        """rows [B, T] -> a batch that holds every piece as its own objective makes it."""
        shared = self.shared(rows)
        made = [part.corrupt(own) for part, own in zip(self.parts, shared, strict=True)]
        room = max((0 if b.picked is None else b.picked.shape[1] for b in made), default=0)
        everywhere = any(batch.picked is None for batch in made)
        made = [spread(batch) for batch in made]
        joined = self._joined(made, READ, "segments")
        if made[0].source is not None:
            joined |= self._joined(made, SOURCE, "source_segments")
        batch = Batch(**joined)
        return batch if everywhere else self._picked(batch, room)

    def _joined(self, made: list[Batch], names: Sequence[str], segments: str) -> dict:
        """Arrays [B, W] with the tokens of all batches, row by row in the order of their segments;
        None for what no batch has. A last token that is nobody's target may have no place."""
        everyone = [np.asarray(getattr(batch, segments)) for batch in made]
        height, width = len(everyone[0]), max(segment.shape[1] for segment in everyone)
        top = 1 + max(int(segment.max(initial=0)) for segment in everyone)
        places = [np.flatnonzero(segment) for segment in everyone]
        key = np.concatenate(
            [
                place // segment.shape[1] * top + segment.reshape(-1)[place]
                for place, segment in zip(places, everyone, strict=True)
            ]
        )
        order = np.argsort(key, kind="stable")  # a segment is of one batch, and in order there
        row = key[order] // top
        rank = ranks_of(row, height)
        inside = rank < width
        spare = np.unique(row[~inside]).size if "weights" in names else 0
        lost = np.count_nonzero(~inside) - spare
        self.tally.add("tokens without room in a row of several objectives", lost)
        target = np.empty(len(key), np.int64)
        target[order] = np.where(inside, row * width + rank, -1)
        targets = np.split(target, np.cumsum([len(place) for place in places])[:-1])
        moves = [(to[to >= 0], place[to >= 0]) for to, place in zip(targets, places, strict=True)]
        arrays: dict[str, Any] = dict.fromkeys(names)
        for name in names:
            given = [getattr(batch, name) for batch in made]
            kinds = [np.asarray(array).dtype for array in given if array is not None]
            if not kinds:
                continue
            fill = self.vocabulary.pad if name in ("tokens", "source") else 0
            arrays[name] = np.full((height, width), fill, kinds[0])
            for array, (to, place) in zip(given, moves, strict=True):
                if array is not None:
                    arrays[name].reshape(-1)[to] = np.asarray(array).reshape(-1)[place]
        return arrays

    def _picked(self, batch: Batch, room: int) -> Batch:
        """The batch with its targets listed, `room` a row."""
        height = len(batch.weights)
        row, column = np.nonzero(batch.weights)
        slot = ranks_of(row, height)
        self.tally.add("masked LM targets without room", np.count_nonzero(slot >= room))
        row, column, slot = (part[slot < room] for part in (row, column, slot))
        picked = np.zeros((height, room), np.int32)
        targets, weights = np.zeros_like(picked), np.zeros((height, room), np.float32)
        picked[row, slot] = column
        targets[row, slot] = batch.targets[row, column]
        weights[row, slot] = 1
        return batch.replace(picked=picked, targets=targets, weights=weights)

    def scoring_requests(self, example: InfillExample) -> list[ScoringRequest] | None:
        """Those of the first part that has any."""
        of_parts = (part.scoring_requests(example) for part in self.parts)
        return next((questions for questions in of_parts if questions is not None), None)


def check_scored_alike(kind: type | None) -> None:
    """Raise UserError for a class of objectives whose loss is not that of all; asked before one is
    made too, since a loss of its own may want more of a model than `Kind` tells."""
    if isinstance(kind, type) and kind.__call__ is not Objective.__call__:
        raise UserError(f"{kind.__name__} computes its loss in its own way and cannot be mixed")


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


def only(rows: Rows, pieces: Pieces, which: np.ndarray, pad: int) -> Rows:
    """The rows with the pieces `which` [P] bool alone, moved to the left under their old segment
    numbers; their sources too."""
    top = int(rows.segments.max(initial=0)) + 1
    mine = np.zeros((len(rows.segments), top), bool)
    mine[pieces.row[which], pieces.segment[which]] = True

    def kept(segments: np.ndarray) -> np.ndarray:
        return (segments > 0) & mine[np.arange(len(mine))[:, None], np.minimum(segments, top - 1)]

    def moved(here: np.ndarray, **arrays: tuple[np.ndarray | None, int]) -> dict:
        """Each array with what is `here` at the left of its rows, behind it its fill."""
        place, width = np.flatnonzero(here), here.shape[1]
        row = place // width
        there, made = row * width + ranks_of(row, len(here)), {}
        for name, (array, fill) in arrays.items():
            made[name] = None if array is None else np.full(array.shape, fill, array.dtype)
            if array is not None:
                made[name].reshape(-1)[there] = array.reshape(-1)[place]
        return made

    changes = moved(
        kept(rows.segments),
        tokens=(rows.tokens, pad),
        segments=(rows.segments, 0),
        examples=(rows.examples, -1),
        scored=(rows.scored, 0),
    )
    if rows.source_segments is not None:
        there = kept(rows.source_segments)
        source = {"source": (rows.source, pad), "source_segments": (rows.source_segments, 0)}
        changes |= moved(there, **source)
    return dataclasses.replace(rows, **changes)
