"""Attention against its formula, written out with loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fxformer.nn.attention import AttentionContext, MultiHeadAttention
from fxformer.ops.attention.attend import attend
from fxformer.ops.attention.mask import AttentionMask, segment_positions
from tests.models import close


def slowly(q, k, v, seen, scale, bias=None):
    """softmax(scale q·k + bias) v, one query and one head at a time, in float64."""
    q, k, v = (np.asarray(a, np.float64) for a in (q, k, v))
    out = np.zeros(q.shape)
    for b, t, h in np.ndindex(q.shape[:3]):
        g = h * k.shape[2] // q.shape[2]
        logits = np.array([scale * q[b, t, h] @ k[b, s, g] for s in range(k.shape[1])])
        logits = logits if bias is None else logits + np.asarray(bias)[h, t]
        shown = np.asarray(seen)[b, 0, t]
        weight = np.where(shown, np.exp(logits - logits[shown].max()), 0)
        out[b, t, h] = (weight / weight.sum()) @ v[b, :, g]
    return out


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("causal", [True, False])
def test_attend_is_the_formula(groups, causal):
    draw = np.random.default_rng(0).normal
    q, k, v = draw(size=(2, 5, 4, 3)), draw(size=(2, 5, groups, 3)), draw(size=(2, 5, groups, 3))
    bias = draw(size=(4, 5, 5))
    segments = jnp.array([[1, 1, 2, 2, 2], [1, 1, 1, 1, 1]])
    seen = AttentionMask(segments, segments, causal=causal).to_dense()
    got = attend(*(jnp.asarray(a, jnp.float32) for a in (q, k, v)), seen, bias=bias, scale=0.7)
    close(slowly(q, k, v, seen, 0.7, bias), got, 1e-6)


def test_a_query_that_sees_nothing_is_finite_and_has_finite_gradients():
    x = jnp.ones((1, 3, 1, 2))
    seen = jnp.zeros((1, 1, 3, 3), bool)
    y, pull = jax.vjp(lambda x: attend(x, x, x, seen, scale=1.0), x)
    assert jnp.isfinite(y).all() and jnp.isfinite(pull(y)[0]).all()


def test_masked_keys_get_no_gradient_at_all():
    x = jax.random.normal(jax.random.key(0), (1, 4, 2, 3))
    segments = jnp.array([[1, 1, 2, 2]])
    seen = AttentionMask(segments, segments).to_dense()
    grad = jax.grad(lambda k: attend(x, k, k, seen, scale=1.0)[:, :2].sum())(x)
    assert jnp.abs(grad[:, 2:]).max() == 0


def test_positions_restart_with_each_segment():
    segments = jnp.array([[1, 1, 1, 2, 2, 3, 0, 0], [1, 1, 1, 1, 1, 1, 1, 1]])
    got = segment_positions(segments)
    assert got[0].tolist() == [0, 1, 2, 0, 1, 0, 0, 1]
    assert got[1].tolist() == list(range(8))


def test_a_window_of_one_is_the_token_itself():
    segments = jnp.ones((1, 4), jnp.int32)
    assert (AttentionMask(segments, segments).within(1)[0, 0] == jnp.eye(4, dtype=bool)).all()
    wide = AttentionMask(segments, segments, causal=True)
    seen = (wide.to_dense() & wide.within(2))[0, 0].sum(-1)
    assert seen.tolist() == [1, 2, 2, 2]


def test_heads_must_split_the_width():
    with pytest.raises(ValueError, match="12 does not split into 5 heads.* 4 heads|6 heads"):
        MultiHeadAttention(12, heads=5, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="4 heads do not split into 3 key-value heads"):
        MultiHeadAttention(12, heads=4, kv_heads=3, rngs=nnx.Rngs(0))


def test_grouped_heads_equal_repeated_ones():
    few = MultiHeadAttention(12, heads=4, kv_heads=2, rngs=nnx.Rngs(0))
    many = MultiHeadAttention(12, heads=4, rngs=nnx.Rngs(1))
    many.q, many.o = few.q, few.o
    for name in ("k", "v"):
        for leaf in ("kernel", "bias"):
            value = getattr(getattr(few, name), leaf)[...]
            apart = value.reshape(*value.shape[:-1], 2, 3)
            getattr(getattr(many, name), leaf)[...] = jnp.repeat(apart, 2, -2).reshape(
                *value.shape[:-1], 12
            )
    x = jax.random.normal(jax.random.key(0), (2, 5, 12))
    ones = jnp.ones((2, 5), jnp.int32)
    mask = AttentionMask(ones, ones, causal=True)
    where = AttentionContext(None, segment_positions(ones), segment_positions(ones), mask)
    close(few(x, x, where)[0], many(x, x, where)[0], 1e-6)
