"""Checks of mixtures of objectives: shares, and each text as its own objective makes it."""

import functools
from collections.abc import Callable, Sequence

import numpy as np

from fxformer.batch import Batch, Rows
from fxformer.evaluate.audit.check import Check, once
from fxformer.evaluate.audit.checks.dispatch import objective_checks
from fxformer.objective.mixture import READ, SOURCE, Mixture, spread
from fxformer.objective.pieces import pieces_of
from fxformer.objective.segments import ranks_of


@objective_checks.register
def mixture(objective: Mixture) -> tuple[Check, ...]:
    """The shares, that pieces are what their objective makes of them, and its own checks."""

    def share(rows: Rows, batch: Batch) -> np.ndarray:
        pieces = pieces_of(rows, objective.vocabulary)
        return np.bincount(objective.which(rows, pieces), minlength=len(objective.shares))

    own = (
        check.through(view, f"{k} {type(part).__name__}")
        for k, part in enumerate(objective.parts)
        for view in (_of(objective, k),)
        for check in objective_checks(part)
    )
    return (
        Check("shares of the objectives", objective.shares, share, "shares"),
        Check(
            "pieces other than their objective makes",
            0.0,
            functools.partial(_other, objective),
            "exact",
        ),
        *own,
    )


def _of(objective: Mixture, number: int) -> Callable[[Rows, Batch], tuple[Rows, Batch]]:
    """The pieces of one part, and what it makes of them."""

    def view(rows: Rows, batch: Batch) -> tuple[Rows, Batch]:
        mine = objective.shared(rows)[number]
        return mine, objective.parts[number].corrupt(mine)

    return once(view)


def _other(objective: Mixture, rows: Rows, batch: Batch) -> np.ndarray:
    """What the model reads and answers, piece by piece, against each part's own batch."""
    whole, wrong = spread(batch), []
    for part, own in zip(objective.parts, objective.shared(rows), strict=True):
        alone = spread(part.corrupt(own))
        for names in (READ, SOURCE) if batch.source is not None else (READ,):
            wrong.append(_differ(alone, whole, own, names))
    return np.concatenate(wrong)


def _differ(alone: Batch, whole: Batch, own: Rows, names: Sequence[str]) -> np.ndarray:
    """Where what two batches say of the pieces in `own` differs, token by token. A row of `whole`
    that is full may lack one token, its last, which is nobody's target."""
    mine = np.unique(
        np.stack([np.nonzero(own.segments)[0], own.segments[own.segments > 0]]), axis=1
    )
    top = int(max(np.max(getattr(b, names[1]), initial=0) for b in (alone, whole))) + 1
    known = mine[0] * top + mine[1]
    sides, counts = [], []
    for batch in (whole, alone):
        segments = np.asarray(getattr(batch, names[1]))
        row, column = np.nonzero(segments)
        key = row * top + segments[row, column]
        order = np.argsort(key, kind="stable")
        row, column, key = row[order], column[order], key[order]
        here = np.isin(key, known)
        counts.append(np.bincount(key, minlength=len(segments) * top))
        if batch is alone:
            beyond = ranks_of(key, len(segments) * top) >= counts[0][key]
            last = beyond & (batch.weights[row, column] == 0 if "weights" in names else False)
            here &= ~(last & (np.bincount(row, last, len(segments))[row] == 1))
        row, column, key = row[here], column[here], key[here]
        given = (getattr(batch, n) for n in names if getattr(alone, n) is not None)
        sides.append(np.stack([key, *(np.asarray(array)[row, column] for array in given)]))
    if sides[0].shape != sides[1].shape:
        return np.ones(1, bool)
    return (sides[0] != sides[1]).any(0)
