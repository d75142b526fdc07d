"""Keyed permutations: bijective for every size, uniform, and unrelated between epochs and seeds."""

import math
import tracemalloc

import numpy as np
import pytest

from fxformer.data.permutation import Permutation


def order(size: int, seed: int = 0, epoch: int = 0) -> np.ndarray:
    return Permutation(size, seed, epoch)(np.arange(size))


def exceeds(statistic: float, freedom: int) -> bool:
    """Whether a chi-square statistic is above its 1 - 1e-6 quantile (Wilson & Hilferty 1931)."""
    normal = 4.753  # of the standard normal distribution
    spread = 2 / (9 * freedom)
    return statistic > freedom * (1 - spread + normal * math.sqrt(spread)) ** 3


def test_every_size_up_to_300_and_sizes_around_powers_of_two_are_permuted():
    sizes = [*range(1, 301), *(2**k + d for k in range(9, 15) for d in (-1, 0, 1)), 99_991]
    for size in sizes:
        found = order(size, seed=size)
        assert found.dtype == np.int64
        assert (np.sort(found) == np.arange(size)).all(), size


def test_each_index_is_equally_likely_at_each_place():
    """Chi-square at the level 1e-6 for each size, over 10000 rows of each."""
    for size in (3, 5, 13):
        counts = np.zeros((size, size))
        for key in range(10_000 // size):
            counts[np.arange(size), order(size, seed=key)] += 1
        expected = counts.sum() / size**2
        assert not exceeds(float(((counts - expected) ** 2 / expected).sum()), (size - 1) ** 2)


def test_each_order_of_four_rows_is_equally_likely():
    """All 24 orders, chi-square at the level 1e-6 over 6000 epochs."""
    epochs = [tuple(order(4, 7, epoch)) for epoch in range(6000)]
    counts = np.array([epochs.count(one) for one in set(epochs)])
    assert len(counts) == 24
    assert not exceeds(float(((counts - 250) ** 2 / 250).sum()), 23)


@pytest.mark.parametrize("size", [1000, 65_537])
def test_indices_spread_over_the_places_of_a_large_order(size):
    """32 by 32 blocks of places and indices, chi-square at the level 1e-6."""
    found = sum(
        np.histogram2d(np.arange(size), order(size, epoch=e), 32)[0] for e in range(200_000 // size)
    )
    expected = np.outer(found.sum(1), found.sum(0)) / found.sum()
    assert not exceeds(float(((found - expected) ** 2 / expected).sum()), 31 * 31)


def test_epochs_and_seeds_are_not_correlated():
    """Places of the same row: |correlation| of 5000 pairs is below 4.9 standard errors (1e-6)."""
    orders = [order(5000, seed, epoch) for seed in (0, 1) for epoch in range(5)]
    correlation = np.corrcoef(orders) - np.eye(10)
    assert np.abs(correlation).max() < 4.9 / math.sqrt(5000)
    neighbours = [np.corrcoef(one[1:], one[:-1])[0, 1] for one in orders]
    assert np.abs(neighbours).max() < 4.9 / math.sqrt(5000)


def test_a_trillion_rows_need_no_memory_and_keep_their_order():
    rows = Permutation(10**12 + 39, 3, 5)
    tracemalloc.start()
    found = rows(np.arange(10**12 - 64, 10**12))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert len(set(found)) == 64
    assert 0 <= found.min() <= found.max() < rows.size
    with pytest.raises(IndexError):
        rows(np.array([rows.size]))


def test_the_order_is_the_same_on_every_machine():
    """The golden of the order of rows: whoever changes it changes every run."""
    assert order(10, 1, 2).tolist() == [5, 8, 2, 3, 6, 7, 1, 4, 0, 9]
    assert Permutation(10**9, 1, 2)(np.arange(3)).tolist() == [141420884, 653045758, 904248967]
