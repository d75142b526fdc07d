"""Disentangled attention and its neighbours against their formulas, written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fxformer.config.compatibility_parts import positions_fit_attention
from fxformer.nn.attention import AttentionContext
from fxformer.nn.convolution import Convolution
from fxformer.nn.disentangled import Disentangled, DisentangledAttention
from fxformer.nn.norm import LayerNorm
from fxformer.nn.position import NoPosition
from fxformer.ops.attention.mask import AttentionMask, segment_positions
from tests.models import close, tiny


def here(length: int, position) -> AttentionContext:
    ones = jnp.ones((1, length), jnp.int32)
    mask = AttentionMask(ones, ones)
    at = segment_positions(ones)
    return AttentionContext(position, at, at, mask, None, position.relative(mask.distances()))


def row(gap: int, reach: int, buckets: int | None) -> int:
    """The table's row of one distance, from the text of He et al. 2021 and their v2's buckets."""
    span = buckets or reach
    if buckets and abs(gap) > buckets // 2:
        near = buckets // 2
        far = np.log(abs(gap) / near) / np.log((reach - 1) / near) * (near - 1)
        gap = int(np.sign(gap)) * (int(np.ceil(far - 1e-9)) + near)
    return min(max(gap + span, 0), 2 * span - 1)


@pytest.mark.parametrize(("reach", "buckets"), [(4, None), (512, 256), (20, 6)])
def test_rows_of_distances(reach, buckets):
    known = {"max_distance": reach, "num_buckets": buckets}
    part = Disentangled(8, heads=2, causal=False, **known, rngs=nnx.Rngs(0))
    gaps = np.arange(-1000, 1001)
    got = part.relative(jnp.asarray(gaps)[:, None]).rows[:, 0]
    assert got.tolist() == [row(int(g), reach, buckets) for g in gaps]


def test_buckets_need_room():
    with pytest.raises(ValueError, match="max_distance larger than 4, got 4"):
        Disentangled(8, heads=2, causal=False, max_distance=4, num_buckets=6, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("shared", [True, False])
def test_the_logits_are_the_three_terms(shared):
    position = Disentangled(12, heads=3, causal=False, max_distance=3, rngs=nnx.Rngs(0))
    part = DisentangledAttention(12, heads=3, share_projections=shared, rngs=nnx.Rngs(1))
    x = jax.random.normal(jax.random.key(0), (1, 7, 12))
    where = here(7, position)
    table, rows = np.asarray(where.relative.table), np.asarray(where.relative.rows)
    apply = lambda linear, a: np.asarray(linear(jnp.asarray(a))).reshape(-1, 3, 4)  # noqa: E731
    q, k, v = (apply(linear, x[0]) for linear in (part.q, part.k, part.v))
    r_k = apply(part.k if shared else part.position_k, table)
    r_q = apply(part.q if shared else part.position_q, table)
    want = np.zeros((7, 3, 4))
    for t, h in np.ndindex(7, 3):
        logits = [
            q[t, h] @ k[s, h] + q[t, h] @ r_k[rows[t, s], h] + k[s, h] @ r_q[rows[t, s], h]
            for s in range(7)
        ]
        weights = np.exp(np.array(logits) / np.sqrt(3 * 4))
        want[t, h] = weights @ v[:, h] / weights.sum()
    close(part(x, x, where)[0], part.o(jnp.asarray(want.reshape(1, 7, 12))), 1e-6)


def test_without_distances_it_is_refused():
    part = DisentangledAttention(12, heads=3, rngs=nnx.Rngs(1))
    silent = NoPosition(12, heads=3, causal=False, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="model/position=disentangled"):
        part(jnp.ones((1, 4, 12)), jnp.ones((1, 4, 12)), here(4, silent))


@pytest.mark.parametrize(
    ("attention", "position", "word"),
    [
        ("disentangled.DisentangledAttention", "position.Rotary", "model/position=disentangled"),
        ("attention.MultiHeadAttention", "disentangled.Disentangled", "model/attention=disent"),
        ("disentangled.DisentangledAttention", "disentangled.DisentangledLearned", None),
        ("attention.MultiHeadAttention", "position.Rotary", None),
    ],
)
def test_the_config_says_so_before(attention, position, word):
    from omegaconf import OmegaConf

    parts = {"attention": attention, "position": position}
    stack = {name: {"_target_": f"fxformer.nn.{target}"} for name, target in parts.items()}
    said = positions_fit_attention(OmegaConf.create({"model": {"network": {"encoder": stack}}}))
    assert word in said if word else said is None


def test_a_convolution_is_the_sum_over_neighbours_of_the_segment():
    norm = lambda dim, rngs: LayerNorm(dim, rngs=rngs)  # noqa: E731
    part = Convolution(4, act=jnp.tanh, norm=norm, size=3, rngs=nnx.Rngs(0))
    x, y = jax.random.normal(jax.random.key(0), (2, 1, 5, 4))
    segments = jnp.array([[1, 1, 1, 2, 2]])
    taps = np.asarray(part.conv.kernel[...]).reshape(3, 4, 4)
    want = np.zeros((5, 4))
    for t, i in np.ndindex(5, 3):
        there = t + i - 1
        if 0 <= there < 5 and segments[0, there] == segments[0, t]:
            want[t] += np.asarray(x)[0, there] @ taps[i]
    close(part(x, y, segments), part.norm(y + jnp.tanh(want)), 1e-6)


def test_a_convolution_wants_a_middle_and_an_encoder():
    with pytest.raises(ValueError, match="write 5"):
        Convolution(4, act=jnp.tanh, norm=LayerNorm, size=4, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="model/convolution=none"):
        tiny("decoder", "model/convolution=gelu")
