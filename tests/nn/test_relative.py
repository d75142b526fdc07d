"""Relative attention and its memory against their formulas, written out pair by pair."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from omegaconf import OmegaConf

from fxformer.batch import Batch
from fxformer.config.compatibility_parts import biases_have_one_owner, positions_fit_attention
from fxformer.nn.attention import AttentionContext
from fxformer.nn.position import NoPosition
from fxformer.nn.relative import (
    RelativeAttention,
    RelativeSinusoids,
    RelativeSinusoidsShared,
    relative_shift,
)
from fxformer.ops.attention.mask import AttentionMask, segment_positions
from tests.models import a_batch, close, ids, normal_like, tiny

PAIR = ("model/attention=relative", "model/position=relative")
H, K, D = 2, 4, 6


def test_shift_is_the_loop_over_queries_and_keys():
    x = np.arange(2 * 3 * 9.0).reshape(2, 3, 9)
    made = np.asarray(relative_shift(jnp.asarray(x), 6))  # T=3 S=6 R=S+T
    for t, s in np.ndindex(3, 6):
        assert (made[:, t, s] == x[:, t, 3 + s - t]).all()
    short = np.asarray(
        relative_shift(jnp.asarray(x[..., :7]), 6)
    )  # R=S+1: of no use past the query
    for t in range(3):
        assert (short[:, t, : 6 - 2 + t] == made[:, t, : 6 - 2 + t]).all()


def loud(part):
    """The same part with every weight drawn, none of them trivial."""
    shape, state = nnx.split(part)
    leaves, tree = jax.tree.flatten(state)
    return nnx.merge(shape, jax.tree.unflatten(tree, normal_like(leaves, 0.5, 3)))


def here(segments, position, causal=True) -> AttentionContext:
    segments = jnp.asarray(segments)
    mask, at = AttentionMask(segments, segments, causal=causal), segment_positions(segments)
    return AttentionContext(position, at, at, mask)


def by_hand(part, position, x, blank, segments, *, causal=True, window=10**6):
    """softmax over (memory, then text) of ((q + u) k + (q + w) r[gap]) / √K, one pair at a time.

    x [T D]; blank [D], what stands for each of the memory's vectors, or None
    """
    kernel = lambda linear: np.asarray(linear.kernel[...])  # noqa: E731
    heads = lambda y: y.reshape(H, K)  # noqa: E731
    owner = part if part.content_bias is not None else position
    u, w = (heads(np.asarray(b[...])) for b in (owner.content_bias, owner.distance_bias))
    size, made = part.memory_length or 0, np.zeros_like(x)
    for t in range(len(x)):
        if segments[t] == 0:
            continue
        start = list(segments).index(segments[t])
        text = [(t - s, x[s]) for s in range(len(x)) if segments[s] == segments[t]]
        seen = [(t - start + n, blank) for n in range(1, size + 1)] + text
        seen = [(g, y) for g, y in seen if abs(g) < window and (g >= 0 or not causal)]
        q, logits, values = heads(x[t] @ kernel(part.q)), [], []
        for gap, y in seen:
            far = (
                gap
                if position.clamp_distance is None
                else np.clip(gap, -position.clamp_distance, position.clamp_distance)
            )
            angle = far / 10_000 ** (np.arange(0, D, 2) / D)
            r = heads(np.concatenate([np.sin(angle), np.cos(angle)]) @ kernel(part.position_k))
            k = heads(y @ kernel(part.k))
            logits.append((((q + u) * k).sum(1) + ((q + w) * r).sum(1)) / np.sqrt(K))
            values.append(heads(y @ kernel(part.v)))
        weights = np.exp(np.array(logits))  # [S H]
        mixed = np.einsum("sh,shk->hk", weights / weights.sum(0), np.array(values))
        made[t] = mixed.ravel() @ kernel(part.o)
    return made


SEGMENTS = [1, 1, 1, 2, 2, 2, 2, 0]
CASES = [  # knobs of the attention, of the position, window
    ({}, {}, None),
    ({}, {"clamp_distance": 2}, None),
    ({"memory_length": 3}, {}, None),
    ({"memory_length": 3}, {"clamp_distance": 4}, 3),
    ({"memory_length": 2, "per_layer_bias": False}, {}, 4),
]


@pytest.mark.parametrize(("knobs", "told", "window"), CASES)
@pytest.mark.sample(2)
def test_every_pair_counts_as_the_formula_says(knobs, told, window):
    kind = RelativeSinusoids if knobs.get("per_layer_bias", True) else RelativeSinusoidsShared
    more = {} if kind is RelativeSinusoids else {"head_dim": K}
    position = loud(kind(D, heads=H, causal=True, **told, **more, rngs=nnx.Rngs(0)))
    part = loud(RelativeAttention(D, heads=H, head_dim=K, **knobs, rngs=nnx.Rngs(1)))
    x = jax.random.normal(jax.random.key(0), (1, 8, D))
    blank = jax.random.normal(jax.random.key(1), (1, 1, D))
    read = x if part.memory_length is None else jnp.concatenate([blank, x], 1)
    reach = None if window is None else jnp.int32(window)
    look = jax.jit(lambda x, read: part(x, read, here([SEGMENTS], position), window=reach)[0])
    got = look(x, read)
    more = {} if window is None else {"window": window}
    want = by_hand(part, position, np.asarray(x[0]), np.asarray(blank[0, 0]), SEGMENTS, **more)
    close(got[0, :7], want[:7], 2e-6)


def test_an_encoder_looks_at_later_tokens_by_negative_distances():
    position = RelativeSinusoids(D, heads=H, causal=False, rngs=nnx.Rngs(0))
    part = loud(RelativeAttention(D, heads=H, head_dim=K, rngs=nnx.Rngs(1)))
    x = jax.random.normal(jax.random.key(0), (1, 8, D))
    got = jax.jit(lambda x: part(x, x, here([SEGMENTS], position, causal=False))[0])(x)
    want = by_hand(part, position, np.asarray(x[0]), None, SEGMENTS, causal=False)
    close(got[0, :7], want[:7], 2e-6)


def in_parts(model, tokens, cuts):
    """The vectors of a text read in parts, each remembering those before."""
    cache, found, extend = model.init_cache(len(tokens), 1), [], jax.jit(model.decode_step)
    for low, high in zip((0, *cuts), (*cuts, tokens.shape[1]), strict=True):
        part = tokens[:, low:high]
        x, cache = extend(part, np.ones_like(part), cache)
        found.append(x)
    return jnp.concatenate(found, axis=1), cache


@pytest.mark.parametrize(
    ("residual", "cuts"), [("post", (5, 6, 11)), ("pre", (2, 4, 6, 8, 10, 12, 14))]
)
@pytest.mark.sample(2)
def test_a_window_as_wide_as_the_memory_makes_cuts_invisible(residual, cuts):
    own = ("model.attention.memory_length=4", "model.windows=[4]", f"model/residual={residual}")
    model = tiny("transfo_xl", *own)
    tokens = ids(2, 16)
    parts, cache = in_parts(model, tokens, cuts)
    close(jax.jit(model)(a_batch(model, tokens)), parts)
    assert cache.layer(0).k.shape[2] == 4 and cache.length == 16  # no larger than it was


def test_without_a_window_a_part_sees_the_memory_and_itself():
    """The first token of a part sees the memory; one layer can tell that from a whole text."""
    model = tiny("transfo_xl", "model.attention.memory_length=4", "model.layers=1")
    tokens = ids(1, 12)
    changed = tokens.copy()
    changed[0, 3] = tokens[0, 3] % 38 + 1
    a, b = jnp.split(in_parts(model, np.concatenate([tokens, changed]), (6,))[0], 2)
    moved = np.abs(np.asarray(a - b)).max(-1)[0] > 0
    assert moved.tolist() == [False] * 3 + [True] * 9
    near, far = in_parts(model, np.concatenate([tokens, changed]), (6, 10))[0]
    assert (far[10:] == near[10:]).all()  # the fourth token is older than the memory


def test_a_memory_reaches_further_with_every_layer():
    """L layers that see N tokens each tell of L · (N - 1) tokens before, and of no other."""
    own = ("model.attention.memory_length=3", "model.windows=[3]", "model.layers=3")
    model, tokens = tiny("transfo_xl", *own), ids(1, 12)
    changed = tokens.copy()
    changed[0, 2] = tokens[0, 2] % 38 + 1
    a, b = jnp.split(in_parts(model, np.concatenate([tokens, changed]), (4, 8))[0], 2)
    moved = np.abs(np.asarray(a - b)).max(-1)[0] > 0
    assert moved.tolist() == [2 <= t <= 2 + 3 * (3 - 1) for t in range(12)]


def test_a_memory_is_nothing_but_keys_of_layer_inputs():
    """What is remembered of a text is what a fresh look at it would compute."""
    model = tiny(
        "transfo_xl", "model.attention.memory_length=4", "model.windows=[4]", "model.layers=1"
    )
    tokens = ids(1, 6)
    _, cache = in_parts(model, tokens, (3,))
    attention = jax.tree.map(lambda a: a[0], nnx.split(model.transformer.stack.blocks.attention)[1])
    words = model.token_embedding(tokens) * 24**0.5
    keys = (words[0, 2:] @ attention["k"]["kernel"][...]).reshape(4, 4, 6)
    close(cache.layer(0).k[0].swapaxes(0, 1), keys)


def test_a_prefix_is_read_in_both_directions():
    model, tokens = tiny("decoder", *PAIR), ids(1, 8)
    prefix = np.arange(8)[None] < 4
    changed = tokens.copy()
    changed[0, 3] = tokens[0, 3] % 38 + 1
    ones = np.ones_like(tokens)
    a, b = (jax.jit(model)(Batch(t, ones, prefix=prefix)) for t in (tokens, changed))
    assert (np.abs(np.asarray(a - b)).max(-1)[0] > 1e-4).all()  # the first sees the fourth


def test_without_distances_or_biases_it_is_refused():
    silent = NoPosition(D, heads=H, causal=True, rngs=nnx.Rngs(0))
    told = RelativeSinusoids(D, heads=H, causal=True, rngs=nnx.Rngs(0))
    x = jnp.ones((1, 4, D))
    cases = ((True, silent, "position=relative"), (False, told, "per_layer_bias"))
    for own, position, words in cases:
        part = RelativeAttention(D, heads=H, head_dim=K, per_layer_bias=own, rngs=nnx.Rngs(1))
        with pytest.raises(ValueError, match=words):
            part(x, x, here([[1] * 4], position))


@pytest.mark.parametrize(
    ("attention", "position", "words"),
    [
        ("relative.RelativeAttention", "position.Rotary", "write model/position=relative"),
        ("attention.MultiHeadAttention", "relative.RelativeSinusoids", "write model/attention=rel"),
        ("relative.RelativeAttention", "disentangled.Disentangled", "write model/position=rel"),
        ("relative.RelativeAttention", "relative.RelativeSinusoidsShared", None),
    ],
)
def test_the_config_says_what_goes_together(attention, position, words):
    said = positions_fit_attention(stack(attention, position))
    assert words in said if words else said is None


def test_the_config_says_who_has_the_biases():
    for own, kind, words in (
        (True, "RelativeSinusoids", None),
        (False, "RelativeSinusoidsShared", None),
        (True, "RelativeSinusoidsShared", "per_layer_bias=false or model/position=relative"),
        (False, "RelativeSinusoids", "per_layer_bias=true or model/position=relative_shared"),
    ):
        cfg = stack("relative.RelativeAttention", f"relative.{kind}", per_layer_bias=own)
        said = biases_have_one_owner(cfg)
        assert words in said if words else said is None


def stack(attention, position, **knobs):
    """A config with these parts."""
    parts = {
        "attention": {"_target_": f"fxformer.nn.{attention}", **knobs},
        "position": {"_target_": f"fxformer.nn.{position}"},
    }
    return OmegaConf.create({"model": {"network": {"transformer": parts}}})
