"""Who sees whom where a causal row has a prefix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxformer.batch import Batch
from fxformer.ops.attention import reference
from fxformer.ops.attention.mask import AttentionMask
from tests.models import a_batch, choices, close, ids, logits, tiny

SEGMENTS = np.array([[1] * 5 + [2] * 4 + [0]], np.int32)
PREFIX = np.array([[1, 1, 1, 0, 0, 1, 1, 0, 0, 0]], bool)


def seen_by_hand(segments, prefix):
    T = len(segments)
    return np.array(
        [
            [segments[t] == segments[s] > 0 and bool(s <= t or prefix[s]) for s in range(T)]
            for t in range(T)
        ]
    )


def test_a_query_sees_all_of_its_own_prefix():
    mask = AttentionMask(
        jnp.array(SEGMENTS), jnp.array(SEGMENTS), causal=True, prefix=jnp.array(PREFIX)
    )
    assert (np.asarray(mask.to_dense())[0, 0] == seen_by_hand(SEGMENTS[0], PREFIX[0])).all()


def moved(model, prefix):
    """Which outputs (rows) change when each token (columns) does. [T, T] bool."""
    tokens = ids(1, 10)

    def out(tokens):
        return np.asarray(logits(model, Batch(tokens, SEGMENTS, prefix=prefix)))[0]

    base, T = out(tokens), tokens.shape[1]
    columns = []
    for s in range(T):
        other = tokens.copy()
        other[0, s] = tokens[0, s] % 38 + 1
        columns.append(abs(out(other) - base).max(-1) > 0)
    return np.stack(columns, 1)


def test_tokens_of_a_prefix_see_each_other_and_nothing_of_the_rest():
    model = tiny("decoder")
    inside = SEGMENTS[0] > 0
    wanted = seen_by_hand(SEGMENTS[0], PREFIX[0])
    assert (moved(model, PREFIX)[inside] == wanted[inside]).all()


# positions that tell distances want an attention of their own
KINDS = [p for p in choices("model/position") if p not in choices("model")]
PLAIN = [p for p in KINDS if not p.startswith(("disentangled", "relative"))]
PLAIN += ["relative model/attention=relative"]


@pytest.mark.parametrize("position", PLAIN)
@pytest.mark.sample(3)
def test_packing_a_prefix_is_invisible(position):
    model = tiny("decoder", *f"model/position={position}".split())
    tokens = ids(1, 10)
    together = logits(model, Batch(tokens, SEGMENTS, prefix=PREFIX))
    for part in (slice(0, 5), slice(5, 9)):
        alone = Batch(tokens[:, part], np.ones_like(tokens[:, part]), prefix=PREFIX[:, part])
        close(together[:, part], logits(model, alone))


def test_a_prefix_is_read_whole_in_a_row_of_several_blocks(monkeypatch):
    model = tiny("decoder")
    batch = Batch(ids(1, 10), SEGMENTS, prefix=PREFIX)
    whole = model(batch)
    monkeypatch.setattr(reference, "causal_block", lambda length: 2)
    close(whole, model(batch), 1e-6)


def test_no_prefix_is_an_empty_one():
    model = tiny("decoder")
    tokens = ids(2, 10)
    plain = logits(model, a_batch(model, tokens))
    close(plain, logits(model, a_batch(model, tokens).replace(prefix=np.zeros((2, 10), bool))))


def test_no_gradient_crosses_from_the_rest_into_a_prefix():
    model = tiny("decoder")
    words = model.token_embedding(ids(1, 10))

    def early(words):
        x = model.transformer(words, jnp.array(SEGMENTS), prefix=jnp.array(PREFIX))[0]
        return jnp.square(x[0, :3]).sum()

    grad = np.abs(jax.grad(early)(words))[0].max(-1)
    assert (grad[:3] > 0).all() and (grad[3:] == 0).all()
