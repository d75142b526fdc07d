"""What must hold of a source in which every hidden span has become one mask."""

from typing import Any

import numpy as np

from fxformer.batch import Batch, Rows
from fxformer.objective.law import Law
from fxformer.objective.segments import counts_of
from fxformer.objective.span_corruption_law import flat


def source_law(objective: Any) -> tuple[Law, ...]:
    """Laws of `GapSentenceGeneration`'s sources, between rows and batch."""

    def left(rows: Rows, batch: Batch) -> np.ndarray:
        pieces, hidden = objective.seen(rows)
        stays = np.ones(len(pieces.tokens), bool)
        stays[hidden.index] = False
        _, token, piece = flat(batch.source, batch.source_segments, pieces)
        text = token != objective.vocabulary.mask
        same = token[text], piece[text]
        right = pieces.tokens[stays], pieces.piece[stays]
        if len(same[0]) != len(right[0]):
            return np.ones(1, bool)
        return (same[0] != right[0]) | (same[1] != right[1])

    def masks(rows: Rows, batch: Batch) -> np.ndarray:
        """Masks of each piece less its hidden sentences, and masks in the wrong place."""
        pieces, hidden = objective.seen(rows)
        _, token, piece = flat(batch.source, batch.source_segments, pieces)
        mask = token == objective.vocabulary.mask
        number = counts_of(piece, pieces.count, mask) - hidden.number(pieces)
        if number.any():
            return number
        first = np.sort(hidden.index[hidden.begins(pieces)])
        gone = np.zeros(len(pieces.tokens), np.int64)
        gone[hidden.index] = 1
        before = (np.cumsum(1 - gone) - (1 - gone))[first]  # tokens that stay before each span
        return np.concatenate([number, (np.cumsum(~mask) - ~mask)[mask] - before])

    return (
        Law("source tokens other than what is left", 0.0, left, "exact"),
        Law("masks other than one for each sentence, in its place", 0.0, masks, "exact"),
    )
