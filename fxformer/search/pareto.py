"""The front of value against energy: the trials that no other beats in both."""

from collections.abc import Sequence

import numpy as np


def front(costs: Sequence[float], values: Sequence[float]) -> list[int]:
    """Indices of the points that no other point beats, from the cheapest to the dearest.

    costs, values: [N], both the smaller the better; what is not finite is left out. Of equal points
    the first stays.
    """
    pairs = np.array([costs, values], np.float64).T.reshape(-1, 2)
    sound = np.flatnonzero(np.isfinite(pairs).all(1))
    order = sound[np.lexsort((pairs[sound, 1], pairs[sound, 0]))]
    kept, best = [], np.inf
    for index in order:
        if pairs[index, 1] < best:
            best = pairs[index, 1]
            kept.append(int(index))
    return kept
