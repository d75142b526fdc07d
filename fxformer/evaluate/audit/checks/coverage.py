"""Check of every objective: all text of the rows is in its batch."""

import numpy as np

from fxformer.batch import Batch, Rows
from fxformer.evaluate.audit.check import Check
from fxformer.objective.base import Objective
from fxformer.objective.coverage import expected, present
from fxformer.objective.pieces import pieces_of


def whole(objective: Objective) -> Check:
    """Every piece of two tokens or more is read and has a target."""

    def missing(rows: Rows, batch: Batch) -> np.ndarray:
        pieces = pieces_of(rows, objective.vocabulary)
        read, aimed = present(rows, batch, pieces)
        return ~(read & aimed)[expected(rows, pieces)]

    return Check("pieces of text that are not in the batch", 0.0, missing, "exact")
