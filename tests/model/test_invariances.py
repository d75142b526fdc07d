"""What must not change a model's numbers: padding, packing, caching, scanning, remat."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fxformer.batch import Batch
from tests.models import a_batch, choices, close, ids, logits, tiny

KINDS = ("encoder", "decoder", "seq2seq")


def kinds_of(group: str) -> list[str]:
    """The yamls of a group but those which only fix the knobs of another for one family."""
    return [name for name in choices(group) if name not in choices("model")]


def alone(group: str) -> list[str]:
    """The kinds of a group but those of attention by distances, which come in pairs."""
    paired = ("disentangled", "relative")
    return [f"{group}={name}" for name in kinds_of(group) if not name.startswith(paired)]


PAIRS = [
    "model/position=disentangled model.position.max_distance=9 model.position.num_buckets=4"
    " model/attention=disentangled",
    "model/position=disentangled_learned model.position.num_buckets=null"
    " model.position.max_distance=3"
    " model/attention=deberta",
    "model/position=relative model/attention=relative",
    "model/position=relative_shared model.position.clamp_distance=3"
    " model/attention=relative model.attention.per_layer_bias=false",
    "model/position=relative model/attention=relative model.attention.memory_length=3"
    " model.windows=[3]",
]
POSITIONS = [*alone("model/position"), *PAIRS]
PARTS = [
    *POSITIONS,
    *(f"model/residual={name}" for name in kinds_of("model/residual")),
    *alone("model/attention"),
    *(f"model/ffn={name}" for name in kinds_of("model/ffn")),
    *(f"model/norm={name}" for name in kinds_of("model/norm")),
    *(f"model/act={name}" for name in kinds_of("model/act")),
    # Word vectors of another width want an output table of their own.
    *(f"model/input={name} model/head=untied" for name in kinds_of("model/input")),
    "model.layer_groups=1",
    "model.windows=[null,3]",
    "model.input.width=12 model/head=untied",
    "model/embedding=adaptive model/head=adaptive model.embedding.div_val=2",
]


def built(kind: str, part: str):
    return tiny(kind, *part.split())


# Every part in an encoder; in the other architectures those whose place in a row matters.
PACKED = [
    *(("encoder", part) for part in PARTS),
    ("encoder", "model/convolution=gelu"),
    *(
        pytest.param("seq2seq", part, marks=() if number % 4 == 0 else pytest.mark.slow)
        for number, part in enumerate(p for p in PARTS if "position" in p or "residual" in p)
    ),
    *(("decoder", part) for part in PARTS if "position" in part or "windows" in part),
]


@pytest.mark.parametrize(("kind", "part"), PACKED)
@pytest.mark.sample(8)
def test_packing_and_padding_are_invisible(kind, part):
    """Two texts and padding in one row give each text the numbers it has alone in a row."""
    model = built(kind, part)
    a, b = ids(1, 5, seed=1), ids(1, 5, seed=2)
    alone = logits(model, a_batch(model, np.concatenate([a, b])))
    segments = np.array([[1] * 5 + [2] * 5 + [0]], np.int32)
    for filler in (0, 3):  # whatever stands where the padding is
        row = np.concatenate([a, b, np.full((1, 1), filler, np.int32)], axis=1)
        together = logits(model, a_batch(model, row, segments))
        close(together[0, :5], alone[0])
        close(together[0, 5:10], alone[1])


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_do_not_cross_segments(kind):
    """d(outputs of segment 2) / d(words of segment 1) is exactly 0."""
    model = tiny(kind)
    segments = np.array([[1] * 4 + [2] * 4], np.int32)
    # Ids of segment 1 differ from those of segment 2, so a gradient in their rows is a leak.
    tokens = np.array([[1, 2, 3, 4, 5, 6, 7, 8]], np.int32)
    # Both sides of a seq2seq model read the same ids, so that a leak on either shows.
    batch = Batch(tokens, segments, source=tokens, source_segments=segments)
    shape, state = nnx.split(model)

    def second(state):
        return jnp.square(nnx.merge(shape, state)(batch)[:, 4:]).sum()

    grad = nnx.to_pure_dict(jax.grad(second)(state))["token_embedding"]["embedding"]
    assert jnp.abs(grad[1:5]).max() == 0
    assert jnp.abs(grad[5:9]).min() > 0


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.sample(4)
def test_a_decoder_sees_no_later_token_and_caches_exactly(part):
    model = built("decoder", part)
    tokens = ids(1, 8)
    changed = tokens.copy()
    changed[0, 5] = (tokens[0, 5] + 1) % 40
    both = np.concatenate([tokens, changed])
    full = model(a_batch(model, both))
    close(full[0, :5], full[1, :5], 0)
    assert (jnp.abs(full[0, 5:] - full[1, 5:]).max(-1) > 1e-4).all()

    extend = jax.jit(model.decode_step)
    cache, heard = model.init_cache(2, 12), []
    for i, j in ((0, 4), (4, 5), (5, 6), (6, 7), (7, 8)):
        x, cache = extend(both[:, i:j], np.ones_like(both[:, i:j]), cache)
        heard.append(x)
    close(full, jnp.concatenate(heard, axis=1))


def test_an_encoder_sees_every_token():
    model = tiny("encoder")
    shape, state = nnx.split(model)

    def first(words):
        seen, _ = nnx.merge(shape, state).transformer(words, jnp.ones((1, 6), jnp.int32))
        return seen[0, 0].sum()

    grad = jax.grad(first)(jax.random.normal(jax.random.key(0), (1, 6, 24)))
    assert (jnp.abs(grad).sum(-1) > 0).all()


def test_cached_decoding_of_a_seq2seq_model():
    model = tiny("seq2seq")
    batch = a_batch(model, ids(2, 6))
    memory = model.encode(batch.source, batch.source_segments)
    cache, heard = model.init_cache(2, 8), []
    extend, one = jax.jit(model.decode_step), np.ones((2, 1), np.int32)
    for i in range(6):
        x, cache = extend(batch.tokens[:, i : i + 1], one, cache, memory, batch.source_segments)
        heard.append(x)
    close(model(batch), jnp.concatenate(heard, axis=1))


def values_and_gradients(model, batch, key):
    shape, state = nnx.split(model)

    def loss(state):
        return jnp.square(nnx.merge(shape, state)(batch, key=key)).mean()

    value, grad = jax.jit(jax.value_and_grad(loss))(state)
    return value, nnx.to_pure_dict(grad)


@pytest.mark.parametrize(
    "kind", ["encoder", "decoder", pytest.param("seq2seq", marks=pytest.mark.slow)]
)
@pytest.mark.sample(2)
def test_scan_unroll_and_remat_give_the_same_numbers(kind):
    base = ("model.layers=3", "model.dropout=0.2")
    plain = tiny(kind, *base, "model.unroll=3")
    batch, key = a_batch(plain, ids()), jax.random.key(5)
    a, da = values_and_gradients(plain, batch, key)
    for switch in (("model.unroll=1",), ("model.unroll=2", "model.remat=true")):
        b, db = values_and_gradients(tiny(kind, *base, *switch), batch, key)
        close(a, b, 1e-6)
        jax.tree.map(lambda x, y: close(x, y, 2e-6), da, db)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.sample(3)
def test_an_encoder_knows_order_only_by_its_positions(position):
    model = built("encoder", position)
    tokens = ids(1, 6)
    turned = tokens[:, ::-1].copy()
    a, b = logits(model, a_batch(model, tokens)), logits(model, a_batch(model, turned))[:, ::-1]
    if position in ("model/position=none", "model/position=alibi"):  # alibi is symmetric
        close(a, b)
    else:
        assert jnp.abs(a - b).max() > 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_no_key_no_dropout(kind):
    model = tiny(kind, "model.dropout=0.5")
    batch = a_batch(model, ids())
    close(logits(model, batch), logits(model, batch), 0)
    noisy = logits(model, batch, key=jax.random.key(0))
    assert jnp.abs(noisy - logits(model, batch)).max() > 1e-2
    close(noisy, logits(model, batch, key=jax.random.key(0)), 0)


def test_rows_longer_than_the_position_table_are_refused():
    model = tiny("decoder", "model/position=learned", "model.position.length=6")
    with pytest.raises(ValueError, match=r"rows of 8 tokens.*position table of 6.*length=6"):
        jax.eval_shape(lambda: model(a_batch(model, ids(length=8))))


def test_bfloat16_stays_close_to_float32():
    model = tiny("seq2seq")
    batch = a_batch(model, ids())
    shape, state = nnx.split(model)
    half = nnx.merge(shape, jax.tree.map(lambda x: x.astype(jnp.bfloat16), state))
    a, b = logits(model, batch), logits(half, batch)
    assert b.dtype == jnp.float32
    close(a, b, 0.05)
    assert half(batch).dtype == jnp.bfloat16
