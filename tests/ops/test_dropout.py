"""Dropout: its probability, its independence, its gradient, and that it ignores the batch's cut."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxformer.ops.dropout import batch_rows, drop

Z = 5  # standard errors: a correct implementation exceeds them in one of 1.7 million figures


def decisions(rate, shape, seed=0):
    """0 or 1 of each element."""
    return np.asarray(drop(jnp.ones(shape), rate, jax.random.key(seed)) > 0)


@pytest.mark.parametrize("rate", [0.5, 0.3, 0.1, 0.01])
def test_the_share_that_is_kept(rate):
    """Overall, in each row and in each column: within five standard errors."""
    shape = (256, 4096)
    kept = decisions(rate, shape)
    for share, count in ((kept.mean(), kept.size), (kept.mean(0), 256), (kept.mean(1), 4096)):
        error = (rate * (1 - rate) / count) ** 0.5
        # a binomial of few expected drops has a longer tail than the normal distribution
        limit = Z * error + (10 / count if count * rate < 30 else 0)
        assert np.abs(share - (1 - rate)).max() < limit


def test_what_is_kept_is_scaled_and_evaluation_drops_nothing():
    x = jnp.ones((10, 100))
    y = drop(x, 0.3, jax.random.key(0))
    np.testing.assert_allclose(y[y > 0], 1 / 0.7, rtol=1e-6)
    assert drop(x, 0.3, None) is x and drop(x, 0.0, jax.random.key(0)) is x
    assert drop(x.astype(jnp.bfloat16), 0.3, jax.random.key(0)).dtype == jnp.bfloat16


def test_decisions_are_uncorrelated_over_neighbours_rows_keys_and_layers():
    """Correlations of 2^20 pairs: each within five standard errors of 0."""
    shape, rate = (256, 4096), 0.3
    base = decisions(rate, shape)
    keys = jax.random.split(jax.random.key(0), 3)
    others = [np.asarray(drop(jnp.ones(shape), rate, key) > 0) for key in keys]
    pairs = {
        "the next element": (base[:, :-1], base[:, 1:]),
        "the element after": (base[:, :-2], base[:, 2:]),
        "64 elements on": (base[:, :-64], base[:, 64:]),
        "the next row": (base[:-1], base[1:]),
        "16 rows on": (base[:-16], base[16:]),
        "the next key": (base, decisions(rate, shape, 1)),
        "a key split from it": (base, others[0]),
        "two keys of one split": (others[1], others[2]),
    }
    for name, (left, right) in pairs.items():
        found = np.corrcoef(left.ravel(), right.ravel())[0, 1]
        assert abs(found) < Z / left.size**0.5, name


def test_counts_of_rows_vary_as_binomials_do():
    """Their variance is that of independent decisions: too even would be as wrong as too uneven."""
    rate, (rows, width) = 0.3, (4096, 256)
    counts = decisions(rate, (rows, width)).sum(1)
    expected = width * rate * (1 - rate)
    assert abs(counts.var() / expected - 1) < Z * (2 / rows) ** 0.5


def test_a_micro_batch_drops_what_the_whole_batch_drops_in_its_rows():
    x, key = jnp.ones((12, 3, 5)), jax.random.key(4)
    whole = drop(x, 0.5, key)
    for first in range(3):
        with batch_rows(first, 3):
            np.testing.assert_array_equal(drop(x[first::3], 0.5, key), whole[first::3])
    assert not np.array_equal(whole[0], whole[1])


def test_what_all_rows_share_is_dropped_alike_in_every_micro_batch():
    table, key = jnp.ones((64, 5)), jax.random.key(4)
    whole = drop(table, 0.5, key, per_row=False)
    with batch_rows(1, 3):
        np.testing.assert_array_equal(drop(table, 0.5, key, per_row=False), whole)


def test_the_gradient_passes_where_the_value_did():
    x, key = jax.random.normal(jax.random.key(1), (6, 50)), jax.random.key(2)
    y, pull = jax.vjp(lambda x: drop(x, 0.4, key), x)
    dy = jax.random.normal(jax.random.key(3), x.shape)
    np.testing.assert_allclose(pull(dy)[0], jnp.where(y == 0, 0, dy / 0.6), rtol=1e-6)
