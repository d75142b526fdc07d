"""Pareto front of two objectives to be minimized."""

from collections.abc import Sequence

import numpy as np


def pareto_front(costs: Sequence[float], values: Sequence[float]) -> list[int]:
    """Indices of the non-dominated points, by ascending cost.

    costs, values: [N], both to be minimized; non-finite points are left out. Of equal points only
    the first is kept.
    """
    pairs = np.array([costs, values], np.float64).T.reshape(-1, 2)
    finite = np.flatnonzero(np.isfinite(pairs).all(1))
    order = finite[np.lexsort((pairs[finite, 1], pairs[finite, 0]))]
    kept, best = [], np.inf
    for index in order:
        if pairs[index, 1] < best:
            best = pairs[index, 1]
            kept.append(int(index))
    return kept
