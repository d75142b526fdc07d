"""ProphetNet's decoder: against plain loops and a plain decoder, and what must not change it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fxformer.batch import Batch
from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.decoding.generate import generate
from fxformer.nn.ngram import NgramAttention, StreamContext
from fxformer.nn.position import relative_bucket
from fxformer.ops.attention.mask import AttentionMask
from tests.models import a_batch, close, ids, tiny

SHORT = ("model.position.length=16", "model.layers=1", "model.ngram_attention.max_distance=9")
SHORT = (*SHORT, "model.ngram_attention.num_buckets=6")


@pytest.fixture(scope="module")
def model():
    return tiny("prophetnet", *SHORT)


def foretell(model, batch, ahead=2):
    """The main stream and the predicting ones [B P T D]."""
    shape, state = nnx.split(model)

    def run(state):
        bound = nnx.merge(shape, state)
        memory = bound.encode(batch.source, batch.source_segments)
        there = {"encoder_output": memory, "encoder_segments": batch.source_segments}
        return bound.decoder.predict_ngrams(
            bound.token_embedding(batch.tokens), batch.segments, ahead, **there
        )[0]

    return jax.jit(run)(state)


def by_hand(part, x, streams, length):
    """The attention of one row of one segment, query by query. x: [P·T D] -> [P·T D]."""
    names = ("q", "k", "v", "relative", "o")
    pairs = {n: (getattr(part, n).kernel[...], getattr(part, n).bias[...]) for n in names}
    dense = {n: tuple(np.asarray(a, np.float64) for a in pair) for n, pair in pairs.items()}
    q, k, v, r = (x @ dense[n][0] + dense[n][1] for n in names[:4])
    heads, width = part.heads, part.head_dim
    y = np.zeros_like(q)
    for stream in range(streams):
        for t in range(length):
            i, s = stream * length + t, stream - 1  # s: -1 is the main stream
            if s < 0:
                keys = [(j, t - j) for j in range(t + 1)]
            else:
                keys = [(j, t - j + 1) for j in range(t + 1) if j <= t - s or j == 0] + [(i, 0)]
            shape = part.num_buckets, part.max_distance
            at = [int(relative_bucket(jnp.array(d), *shape)) for _, d in keys]
            table = r[i].reshape(part.num_buckets, heads)
            for h in range(heads):
                cut = slice(h * width, (h + 1) * width)
                rows = [j for j, _ in keys]
                logits = k[rows][:, cut] @ q[i, cut] / width**0.5 + table[at, h]
                weights = np.exp(logits - logits.max())
                y[i, cut] = weights / weights.sum() @ v[rows][:, cut]
    return y @ dense["o"][0] + dense["o"][1]


def test_the_attention_is_what_plain_loops_give():
    part = NgramAttention(12, heads=3, num_buckets=6, max_distance=9, rngs=nnx.Rngs(0))
    shape, state = nnx.split(part)
    drawn = np.random.default_rng(0)
    loud = jax.tree.map(lambda a: jnp.asarray(drawn.normal(size=a.shape), jnp.float32) / 2, state)
    part, length = nnx.merge(shape, loud), 12
    x = drawn.normal(size=(1, 4 * length, 12)).astype(np.float32)
    ones = jnp.ones((1, length), jnp.int32)
    got, _ = part(x, x, StreamContext.of(AttentionMask(ones, ones, causal=True), 3))
    close(got[0], by_hand(part, x[0].astype(np.float64), 4, length))


def test_no_stream_depends_on_a_later_one(model):
    batch = a_batch(model, ids(2, 9))
    three, two = foretell(model, batch), foretell(model, batch, 1)
    close(three[:, :2], two)
    close(three[:, 1], model(batch))
    assert jnp.abs(three[:, 1] - three[:, 2]).max() > 1e-2


def test_a_stream_sees_as_much_as_it_may(model):
    """Stream s at t changes with the token at j just when j <= t - s, or j = 0."""
    tokens = ids(1, 8)
    batch = a_batch(model, np.repeat(tokens, 9, 0))
    changed = batch.tokens.copy()
    changed[np.arange(8), np.arange(8)] = (tokens[0] + 1) % 40  # the last row is as it was
    x = np.asarray(foretell(model, batch.replace(tokens=changed)))
    moved = np.abs(x[:8] - x[8:]).max(-1)  # [j, stream, t]
    j, s, t = np.indices(moved.shape)
    seen = np.where(s == 0, j <= t, (j <= t) & ((j <= t - (s - 1)) | (j == 0)))
    assert (moved[~seen] == 0).all() and (moved[seen] > 1e-5).all()


def test_packing_and_padding_are_invisible(model):
    a, b = ids(1, 5, seed=1), ids(1, 5, seed=2)
    alone = foretell(model, a_batch(model, np.concatenate([a, b])))
    segments = np.array([[1] * 5 + [2] * 5 + [0]], np.int32)
    for filler in (0, 3):
        row = np.concatenate([a, b, np.full((1, 1), filler, np.int32)], 1)
        together = foretell(model, a_batch(model, row, segments))
        close(together[0, :, :5], alone[0])
        close(together[0, :, 5:10], alone[1])


def test_gradients_do_not_cross_segments(model):
    segments = np.array([[1] * 4 + [2] * 4], np.int32)
    tokens = np.array([[1, 2, 3, 4, 5, 6, 7, 8]], np.int32)
    batch = Batch(tokens, segments, source=tokens, source_segments=segments)
    shape, state = nnx.split(model)

    def second(state):
        return jnp.square(foretell(nnx.merge(shape, state), batch)[:, :, 4:]).sum()

    grad = nnx.to_pure_dict(jax.grad(second)(state))["token_embedding"]["embedding"]
    assert jnp.abs(grad[1:5]).max() == 0 and jnp.abs(grad[5:9]).min() > 0


def test_the_main_stream_is_a_plain_decoder():
    """With a bias that hangs on the distance alone, T5's relative one, and no other positions."""
    plain = tiny("seq2seq", "model/residual=post", "model/input=normed", "model/position=buckets")
    ours = tiny("prophetnet", "model/position=none")
    mine, theirs = (nnx.to_pure_dict(nnx.split(one)[1]) for one in (ours, plain))
    mine["token_embedding"] = theirs["token_embedding"]
    body, decoder = mine["decoder"]["transformer"], theirs["decoder"]
    table = decoder["position"]["table"]["embedding"]
    relative = body["stack"]["blocks"]["attention"]["relative"]
    for name in ("input", "norm"):
        if name in decoder:
            body[name] = decoder[name]
    body["stack"] = jax.tree.map(lambda x: x, decoder["stack"])
    flat = jnp.broadcast_to(table.reshape(1, -1), relative["bias"].shape)
    zero = jnp.zeros_like(relative["kernel"])
    body["stack"]["blocks"]["attention"]["relative"] = {"kernel": zero, "bias": flat}
    ours = nnx.merge(nnx.split(ours)[0], mine)
    batch = a_batch(plain, ids(2, 9))
    memory = plain.encode(batch.source, batch.source_segments)
    there = {"encoder_output": memory, "encoder_segments": batch.source_segments}
    words = ours.token_embedding(batch.tokens)
    x, _ = ours.decoder.predict_ngrams(words, batch.segments, 2, **there)
    close(x[:, 0], plain.decoder(words, batch.segments, **there)[0])


def test_generation_from_the_cache_is_that_of_whole_passes(model):
    source = ids(2, 6)
    ones = np.ones_like(source)
    settings = GenerationConfig(max_new_tokens=7, decoder_start_token_id=0)
    written = generate(model, settings, source=source, source_segments=ones).sequences
    tokens = np.concatenate([np.zeros((2, 1), np.int32), written[:, :-1]], 1)
    batch = Batch(tokens, np.ones_like(tokens), source=source, source_segments=ones)
    assert (model.logits(model(batch)).argmax(-1) == written).all()


def test_states_are_the_main_streams(model):
    batch = a_batch(model, ids(2, 6))
    states = model.hidden_states(batch)[1]
    assert states.shape == (2, 2, 6, 24)
    close(states[-1], foretell(model, batch)[:, 0])


@pytest.mark.parametrize(
    "words, said",
    [
        (("model/position=rotary",), "relative bias of its own.*Rotary"),
        (("model.windows=[null,3]",), "no windows"),
        (("model.ngram_attention.max_distance=2",), "max_distance larger than"),
        (("model/attention@model.ngram_attention=multihead",), "needs n-gram attention"),
    ],
)
def test_parts_that_streams_know_nothing_of_are_refused(words, said):
    with pytest.raises(ValueError, match=said):
        tiny("prophetnet", *words)


def test_rows_need_a_position_to_foretell():
    model = tiny("prophetnet", "model.position.length=8")
    with pytest.raises(ValueError, match=r"position table has 8.*data\.length=7"):
        jax.eval_shape(lambda: model(a_batch(model, ids(length=8))))
