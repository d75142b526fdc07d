"""Decoder inputs and targets of a seq2seq model: the target shifted right by one."""

import numpy as np

from fxformer.batch import Rows
from fxformer.objective.causal import scored


def answer(rows: Rows, start: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(tokens, targets, weights) [B, T]: each piece shifted right, itself, and what counts.

    `start` comes first. Every token of a piece is a target, its special tokens too, unless
    `rows.scored` leaves it out. Padding stays padding in `tokens`.
    """
    inside = rows.segments > 0
    counts = inside & scored(rows)
    tokens = rows.tokens.astype(np.int32)  # a copy
    same = inside[:, 1:] & (rows.segments[:, 1:] == rows.segments[:, :-1])
    tokens[:, 1:] = np.where(same, rows.tokens[:, :-1], np.where(inside, start, tokens)[:, 1:])
    tokens[:, 0] = np.where(inside[:, 0], start, tokens[:, 0])
    targets = np.where(counts, rows.tokens, 0).astype(np.int32)
    return tokens, targets, counts.astype(np.float32)
