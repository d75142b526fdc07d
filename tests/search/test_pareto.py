"""The front of value against energy."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fxformer.search.pareto import pareto_front

NUMBERS = st.one_of(st.integers(0, 6).map(float), st.just(float("nan")), st.just(float("inf")))


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12))
def test_front_is_what_nothing_beats(points):
    """Against the definition: every sound point is on the front or beaten, or equalled, by one."""
    costs, values = [c for c, _ in points], [v for _, v in points]
    found = pareto_front(costs, values)
    assert [costs[n] for n in found] == sorted({costs[n] for n in found})
    for n, (cost, value) in enumerate(points):
        if not np.isfinite([cost, value]).all():
            assert n not in found
            continue
        matched = [m for m in found if costs[m] <= cost and values[m] <= value]
        assert matched and (n not in found or matched == [n])


def test_front_of_nothing_is_empty():
    assert pareto_front([], []) == []
