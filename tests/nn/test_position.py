"""Position schemes against the sources' own statements."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fxformer.nn.position import Alibi, RelativeBuckets, Rotary, Sinusoidal
from tests.models import close


def test_alibi_slopes_are_the_published_ones():
    def slopes(heads):
        return Alibi(8, heads=heads, causal=True, rngs=nnx.Rngs(0)).slopes()

    np.testing.assert_allclose(slopes(8), [2.0**-i for i in range(1, 9)])
    # 12 heads: the series of 8, then every other one of the series of 16.
    np.testing.assert_allclose(slopes(12)[8:], [2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5], rtol=1e-6)


def bucket(gap: int, causal: bool, buckets: int = 32, reach: int = 128) -> int:
    """The bucket of one distance, from the text of Raffel et al. 2020, in float64."""
    start = 0
    if not causal:
        buckets //= 2
        start, gap = (buckets, -gap) if gap < 0 else (0, gap)
    gap = max(gap, 0)
    exact = buckets // 2
    if gap < exact:
        return start + gap
    far = exact + int(np.log(gap / exact) / np.log(reach / exact) * (buckets - exact))
    return start + min(far, buckets - 1)


@pytest.mark.parametrize("causal", [True, False])
def test_relative_buckets(causal):
    part = RelativeBuckets(8, heads=1, causal=causal, rngs=nnx.Rngs(0))
    part.table.embedding[...] = jnp.arange(32, dtype=jnp.float32)[:, None]
    gaps = np.arange(-300, 301)
    got = part.bias(jnp.asarray(gaps)[:, None])[0, :, 0]
    assert got.tolist() == [bucket(int(g), causal) for g in gaps]


@pytest.mark.parametrize("layout", ["halves", "interleaved"])
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_rotary_products_depend_on_the_distance_alone(layout, share):
    part = Rotary(16, heads=2, causal=True, layout=layout, rotary_fraction=share, rngs=nnx.Rngs(0))
    q, k = jax.random.normal(jax.random.key(0), (2, 1, 1, 2, 8))

    def product(i, j):
        turned = [part.rotate(x, jnp.array([[at]])) for x, at in ((q, i), (k, j))]
        return (turned[0] * turned[1]).sum(-1)

    close(product(7, 3), product(104, 100), 1e-5)
    assert jnp.abs(product(7, 3) - product(7, 4)).max() > 1e-3
    close(part.rotate(q, jnp.array([[0]])), q, 0)


def test_rotary_refuses_an_odd_head_width():
    part = Rotary(15, heads=3, causal=True, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="head width of 5"):
        part.rotate(jnp.ones((1, 1, 3, 5)), jnp.zeros((1, 1), jnp.int32))


@pytest.mark.parametrize("layout", ["concat", "interleaved"])
def test_sinusoids(layout):
    part = Sinusoidal(6, heads=1, causal=True, length=50, layout=layout, rngs=nnx.Rngs(0))
    got = np.asarray(part.embed(jnp.zeros((1, 1, 6)), jnp.array([[37]]))[0, 0])
    angles = [37 / 10000 ** (2 * j / 6) for j in range(3)]
    order = np.argsort([0, 2, 4, 1, 3, 5]) if layout == "interleaved" else slice(None)
    want = np.array([*map(np.sin, angles), *map(np.cos, angles)])[order]
    np.testing.assert_allclose(got, want, atol=1e-6)
