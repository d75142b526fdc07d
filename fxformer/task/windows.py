"""Overlapping windows over a token sequence that is longer than the model reads at once."""

import numpy as np
from jaxtyping import Int

from fxformer.errors import UserError


def windows(length: int, room: int, stride: int) -> list[tuple[int, int]]:
    """Half-open token ranges of at most `room` tokens that cover `length` tokens.

    stride: tokens that two windows in a row share, as in the `tokenizers` library
    Raises UserError unless 0 <= stride < room.
    """
    if not 0 <= stride < room:
        raise UserError(
            f"stride={stride}: windows of {room} tokens share fewer than {room} tokens; write "
            f"stride={max(0, room // 2)} or less"
        )
    found, low = [], 0
    while True:
        high = min(low + room, length)
        found.append((low, high))
        if high == length:
            return found
        low = high - stride


def max_context_window(spans: list[tuple[int, int]], length: int) -> Int[np.ndarray, "T"]:
    """For each token the number of the window where it has most context on its poorer side.

    The score of run_squad.py: min(tokens to the left, to the right) + 0.01 x window length; the
    first window wins a tie.
    """
    best, owner = np.full(length, -1.0), np.zeros(length, np.int64)
    for number, (low, high) in enumerate(spans):
        at = np.arange(low, high)
        score = np.minimum(at - low, high - 1 - at) + 0.01 * (high - low)
        better = score > best[low:high]
        best[low:high][better] = score[better]
        owner[low:high][better] = number
    return owner
