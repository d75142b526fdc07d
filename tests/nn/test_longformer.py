"""Longformer's attention against its formula, and what global tokens change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fxformer.nn.attention import AttentionContext
from fxformer.nn.longformer import LongformerAttention
from fxformer.nn.position import NoPosition
from fxformer.ops.attention.mask import AttentionMask, segment_positions
from tests.models import a_batch, close, ids, logits, tiny

LONG = ("model/attention=longformer", "model.windows=[2]", "model/position=learned")


def here(segments, chosen) -> AttentionContext:
    mask, at = AttentionMask(segments, segments), segment_positions(segments)
    silent = NoPosition(12, heads=3, causal=False, rngs=nnx.Rngs(0))
    return AttentionContext(silent, at, at, mask, global_tokens=chosen)


def test_it_is_the_formula():
    part = LongformerAttention(12, heads=3, rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (1, 7, 12))
    segments, chosen = jnp.array([[1, 1, 1, 1, 2, 2, 0]]), np.array([[0, 0, 1, 0, 0, 1, 0]], bool)
    apply = lambda linear: np.asarray(linear(x)).reshape(7, 3, 4)  # noqa: E731
    local = [apply(getattr(part, name)) for name in "qkv"]
    far = [apply(getattr(part, f"{name}_global")) for name in "qkv"]
    want = np.zeros((7, 3, 4))
    for t, h in np.ndindex(6, 3):
        q, k, v = far if chosen[0, t] else local
        inside = [s for s in range(7) if segments[0, s] == segments[0, t]]
        shown = [s for s in inside if chosen[0, t] or chosen[0, s] or abs(s - t) < 2]
        weights = np.exp([q[t, h] @ k[s, h] / 2 for s in shown])
        want[t, h] = weights @ v[shown, h] / weights.sum()
    got, _ = part(x, x, here(segments, jnp.asarray(chosen)), window=jnp.int32(2))
    close(got[0, :6], part.o(jnp.asarray(want.reshape(7, 12)))[:6], 1e-6)


def test_a_token_reaches_the_far_end_only_through_a_global_one():
    model = tiny("encoder", *LONG)
    tokens = ids(1, 8)
    changed = tokens.copy()
    changed[0, 7] = (tokens[0, 7] + 1) % 40
    chosen = np.zeros((1, 8), bool)
    chosen[0, 3] = True

    def moved(chosen):
        a, b = (a_batch(model, t).replace(global_tokens=chosen) for t in (tokens, changed))
        return np.abs(logits(model, a) - logits(model, b))[0, 0].max()

    assert moved(None) == 0  # two layers see two tokens to each side
    assert moved(chosen) > 1e-4


def test_global_tokens_are_those_of_their_segment():
    """Packed or alone, the numbers are the same."""
    model = tiny("encoder", *LONG, "model.attention.first_global=true")
    a, b = ids(1, 5, seed=1), ids(1, 5, seed=2)
    segments = np.array([[1] * 5 + [2] * 5], np.int32)
    together = logits(model, a_batch(model, np.concatenate([a, b], axis=1), segments))
    close(together[:, :5], logits(model, a_batch(model, a)))
    close(together[:, 5:], logits(model, a_batch(model, b)))


def test_the_first_token_is_global_unless_a_batch_says_otherwise():
    plain, first = (
        tiny("encoder", *LONG, f"model.attention.first_global={v}") for v in ("false", "true")
    )
    batch, chosen = a_batch(plain, ids(1, 8)), np.zeros((1, 8), bool)
    chosen[0, 0] = True
    close(logits(first, batch), logits(plain, batch.replace(global_tokens=chosen)))
    none = batch.replace(global_tokens=np.zeros((1, 8), bool))
    close(logits(first, none), logits(plain, batch))


def test_a_seq2seq_model_takes_them_for_its_source():
    model = tiny("led", "model.encoder_position.length=16", "model.encoder.windows=[2]")
    batch, chosen = a_batch(model, ids(1, 8)), np.zeros((1, 8), bool)
    chosen[0, 2] = True
    changed = logits(model, batch.replace(global_tokens=chosen))
    assert np.abs(changed - logits(model, batch)).max() > 1e-3


def test_there_is_no_generating_with_global_tokens():
    model = tiny("decoder", *LONG, "model.attention.first_global=true")
    with pytest.raises(ValueError, match="model/attention=multihead"):
        model.decode_step(ids(1, 2), np.ones((1, 2), np.int32), model.init_cache(1, 4))
