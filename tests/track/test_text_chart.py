"""Curves of characters."""

import numpy as np
import pytest

from fxformer.track.text_chart import dots, sparkline


def test_a_sparkline_falls_with_its_values():
    assert sparkline([7, 6, 5, 4, 3, 2, 1, 0], 8) == "█▇▆▅▄▃▂▁"
    assert sparkline([1, np.nan, 3], 3) == "▁ █"
    assert sparkline([np.nan]) == "" and sparkline([]) == "" and sparkline([2, 2]) == "▁▁"


def test_a_diagonal_goes_from_corner_to_corner():
    x = np.arange(50.0)
    rows, xs, ys = dots([(x, x)], 10, 5)
    assert (xs, ys) == ((0, 49), (0, 49)) and len(rows) == 5 and len(rows[0]) == 10
    assert rows[4][0][0] != "⠀" and rows[0][9][0] != "⠀"
    assert rows[0][0] == ("⠀", -1)


def test_points_that_are_not_finite_are_left_out():
    rows, _, ys = dots([(np.arange(3.0), np.array([1, np.nan, 2])), (np.ones(1), np.ones(1))], 4, 2)
    assert ys == (1, 2) and {o for row in rows for _, o in row} == {-1, 0, 1}
    with pytest.raises(ValueError, match="no finite point"):
        dots([(np.ones(1), np.array([np.inf]))], 4, 2)
