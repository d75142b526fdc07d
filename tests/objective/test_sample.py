"""Drawing tokens: their check, their bits, and what is never drawn."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from fxformer.objective.sample import BLOCK, invert, sample


def bits(number, seed=0):
    return np.random.default_rng(seed).integers(0, 2**32, number, dtype=np.uint32)


def test_tokens_follow_the_softmax():
    draw = np.random.default_rng(1)
    words, rows = 2 * BLOCK + 44, 20_000  # three blocks, the last one not full
    kernel, bias = draw.normal(size=(words, 4)), draw.normal(size=words)
    one = draw.normal(size=4)
    features = jnp.broadcast_to(jnp.asarray(one, jnp.float32), (rows, 4))
    both = jnp.asarray(kernel, jnp.float32), jnp.asarray(bias, jnp.float32)
    drawn = sample(features, *both, bits(rows), size=words, chunk=5_000)
    check = jax.nn.softmax(jnp.asarray(kernel @ one + bias))
    often = np.asarray(check) * rows > 5
    counts = np.bincount(drawn, minlength=words)
    seen = [*counts[often], counts[~often].sum()]
    wanted = np.array([*check[often], check[~often].sum()], np.float64)
    assert stats.chisquare(seen, wanted / wanted.sum() * rows).pvalue > 1e-6


def test_chunks_change_nothing_and_rows_beyond_the_vocabulary_are_never_drawn():
    draw = np.random.default_rng(2)
    given = [jnp.asarray(draw.normal(size=s), jnp.float32) for s in ((50, 4), (32, 4), (32,))]
    whole = sample(*given, bits(50), size=20, chunk=64)
    assert (whole == sample(*given, bits(50), size=20, chunk=7)).all()
    assert whole.dtype == jnp.int32 and 0 <= int(whole.min()) and int(whole.max()) < 20
    assert (whole != sample(*given, bits(50, 1), size=20, chunk=64)).any()


def test_the_ends_of_the_unit_interval():
    weights = jnp.zeros((3, 300)).at[:, jnp.array([5, 130, 290])].set(jnp.array([1.0, 2, 1]))
    at = jnp.array([0.0, 0.5, 1 - 2.0**-24], jnp.float32)
    assert invert(weights, at).tolist() == [5, 130, 290]
