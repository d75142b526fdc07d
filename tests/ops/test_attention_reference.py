"""The stated gradients of attention against those that jax derives from the formula."""

import jax
import jax.numpy as jnp
import pytest

from fxformer.ops.attention import reference
from fxformer.ops.attention.mask import AttentionMask
from fxformer.ops.dropout import counters, kept, row_seeds
from tests.models import close


def given(length, groups=2, shared=2, width=4):
    """Random q, k, v, bias; two packed pieces and some padding, seen causally."""
    shapes = [(2, groups, shared, length, width), *[(2, groups, length, width)] * 2,
              (groups, shared, length, length)]  # fmt: skip
    arrays = [jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate(shapes)]
    segments = jnp.repeat(jnp.array([[1, 1, 2, 0], [1, 2, 2, 2]]), length // 4, axis=1)
    return arrays, AttentionMask(segments, segments, causal=True).to_dense()[:, :, None], segments


def formula(q, k, v, bias, seen, factor=1.0):
    """The same with the gradients jax derives. factor: what dropout multiplies each weight with"""
    logits = 0.7 * jnp.einsum("BGRTK,BGSK->BGRTS", q, k) + bias
    weights = jax.nn.softmax(jnp.where(seen, logits, jnp.finfo(jnp.float32).min))
    return jnp.einsum("BGRTS,BGSK->BGRTK", weights * factor, v)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("weigh", [reference.full_attention, reference.causal_attention])
def test_values_and_gradients_are_those_of_the_formula(weigh, dropout, monkeypatch):
    """With dropout too, whose decisions are the same in blocks of queries and in one."""
    monkeypatch.setattr(reference, "causal_block", lambda length: 5)  # 8 is no multiple of it
    arrays, seen, segments = given(8)
    real = (segments > 0)[:, None, None, :, None]

    def loss(f):
        return lambda q, k, v, bias: jnp.where(real, jnp.sin(f(q, k, v, bias)), 0).sum()

    seed, how, factor = None, None, 1.0
    if dropout:
        seed, how = row_seeds(jax.random.key(9), 2), reference.WeightDropout(dropout, 0, (8, 8))
        factor = kept(seed, dropout, counters((2, 2, 8, 8))) / (1 - dropout)
        assert 0.5 < float((factor > 0).mean()) < 0.7

    def ours(q, k, v, bias):
        return weigh(q, k, v, seen, bias, 0.7, seed, how)

    wanted = jax.value_and_grad(loss(lambda *a: formula(*a, seen, factor)), (0, 1, 2, 3))(*arrays)
    got = jax.value_and_grad(loss(ours), (0, 1, 2, 3))(*arrays)
    for left, right in zip(jax.tree.leaves(wanted), jax.tree.leaves(got), strict=True):
        close(left, right, 1e-6)


def test_blocks_follow_the_platform(monkeypatch):
    assert [reference.causal_block(n) for n in (64, 256, 1024)] == [128, 128, 256]
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert reference.causal_block(1024) == 1024
