"""What the heads look at: the weights that are shown are those the output was made with."""

import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fxformer.batch import Batch
from fxformer.nn.attention import MultiHeadAttention
from fxformer.nn.longformer import LongformerAttention
from fxformer.nn.ngram import NgramAttention, StreamContext
from fxformer.nn.relative import RelativeAttention
from tests.models import choices, close, ids, logits, tiny

FAMILIES = choices("model")
SHORT = {"prophetnet": ("model.position.length=16",)}
PAIRS = {
    "disentangled": "model/position=disentangled",
    "deberta": "model/position=disentangled",
    "disentangled_learned": "model/attention=disentangled",
    "relative": "model/attention=relative model/position=relative",
    "relative_shared": "model/attention=relative model.attention.per_layer_bias=false",
}
THIRDS = ("gpt_neox", "gptj")  # a quarter of a head is turned, which must be pairs
PARTS = [
    pytest.param(
        f"model/{group}={name} {PAIRS.get(name, '')} model.heads={3 if name in THIRDS else 4}",
        id=f"{group}={name}",
        marks=pytest.mark.slow if name in FAMILIES else (),  # the knobs of another yaml
    )
    for group in ("attention", "position")
    for name in choices(f"model/{group}")
    if name != "prophetnet"  # its stack is another: see the families
]
MORE = [
    "model.layer_groups=1",
    "model.windows=[null,3]",
    "model/attention=longformer model.windows=[3] model.attention.first_global=true",
    "model/residual=sandwich",
    "model.attention.scale_by_layer_index=true",
]


def packed(model) -> Batch:
    """Two texts and padding in a row, a longer text in another; a prefix, global tokens."""
    tokens = ids(2, 9)
    segments = np.array([[1] * 3 + [2] * 4 + [0] * 2, [1] * 9], np.int32)
    batch = Batch(tokens, segments)
    if model.architecture == "seq2seq":
        there = np.array([[1] * 4 + [2] * 3 + [0] * 4, [1] * 10 + [0]], np.int32)
        return batch.replace(source=ids(2, 11, seed=3), source_segments=there)
    return batch


def output_of(module, x, memory, where) -> jax.Array:
    """The attention's output made of the weights it has shown: weights · v, then W_o."""
    weights, v = where.capture[-1], module.project(x, memory)[2]
    v = jnp.repeat(v, weights.shape[1] // v.shape[2], axis=2)
    y = jnp.einsum("BHTS,BSHK->BTHK", weights, v)
    if isinstance(module, LongformerAttention):
        chosen = module.global_tokens(where)
        if chosen is not None:
            far = jnp.einsum("BHTS,BSHK->BTHK", weights, module.project_global(x, memory)[2])
            y = jnp.where(chosen[:, :, None, None], far, y)
    return module.o(y.reshape(*x.shape[:2], -1))


def shown(module, where, window) -> np.ndarray:
    """Which keys each query may look at, by the mask, the window and the global tokens."""
    seen = np.asarray(where.mask if isinstance(where, StreamContext) else where.mask.to_dense())
    if isinstance(module, NgramAttention):
        return seen[:, :1]
    if window is None:
        return seen
    near = np.asarray(where.mask.within(window))
    chosen = module.global_tokens(where) if isinstance(module, LongformerAttention) else None
    if chosen is not None:
        chosen = np.asarray(chosen)[:, None]
        near = near | chosen[:, :, None] | chosen[..., None]
    return seen & near


def check(module, x, memory, where, y, window) -> None:
    """What must hold of one call of an attention; everything is concrete."""
    (weights,) = where.capture
    weights = np.asarray(weights)
    assert weights.dtype == np.float32
    assert weights.shape == (len(x), module.heads, x.shape[1], memory.shape[1])
    seen = np.broadcast_to(shown(module, where, window), weights.shape)
    reads = seen.any(-1)
    np.testing.assert_allclose(weights.sum(-1), reads, atol=2e-6)
    assert (weights[~seen] == 0).all()
    made = output_of(module, x, memory, where)
    some = reads[:, 0]  # padding gets a mean of values that nobody reads
    close(np.asarray(y)[some], np.asarray(made)[some])


def checked_calls(model, batch, monkeypatch) -> int:
    """Run the model layer by layer, eagerly, each attention checked as it answers."""
    calls = []

    def watching(known):
        def call(self, x, memory, where, **knobs):
            answer = known(self, x, memory, where, **knobs)
            check(self, x, memory, where, answer[0], knobs.get("window"))
            calls.append(where)
            return answer

        return call

    with monkeypatch.context() as patch, jax.disable_jit():
        kinds = (MultiHeadAttention, LongformerAttention, NgramAttention, RelativeAttention)
        for kind in kinds:
            patch.setattr(kind, "__call__", watching(kind.__call__))
        model.intermediates(batch)
    return len({id(where) for where in calls})


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.sample(6)
def test_the_weights_are_those_of_the_output(part, monkeypatch):
    kind = "decoder" if zlib.crc32(part.encode()) % 2 else "encoder"
    model = tiny(kind, *part.split(), "model.layers=1")
    batch = packed(model)
    if kind == "decoder":
        batch = batch.replace(prefix=np.array([[1, 1] + [0] * 7, [1] * 4 + [0] * 5], bool))
    assert checked_calls(model, batch, monkeypatch) == 1


@pytest.mark.parametrize("part", MORE)
def test_every_layer_shows_its_own(part, monkeypatch):
    model = tiny("encoder", *part.split())
    assert checked_calls(model, packed(model), monkeypatch) == 2


@pytest.mark.parametrize(
    "family",
    [pytest.param(f, marks=() if f == "prophetnet" else pytest.mark.slow) for f in FAMILIES],
)
def test_the_weights_of_every_family(family, monkeypatch):
    model = tiny(family, *SHORT.get(family, ()))
    batch = packed(model)
    calls = checked_calls(model, batch, monkeypatch)
    assert calls == 2 * (3 if model.architecture == "seq2seq" else 1) * inner(model)
    if family == "prophetnet":  # which answers from a stream that is not the one that reads
        return
    shape, state = nnx.split(model)
    made = jax.jit(lambda state: nnx.merge(shape, state).intermediates(batch))(state)
    last = made[-1] if model.architecture == "seq2seq" else made
    read = np.asarray(batch.segments) > 0
    hidden = jax.jit(lambda state: nnx.merge(shape, state)(batch))(state)
    close(hidden[read], last.hidden_states[-1][read], 1e-6)
    assert last.self_attention.shape[0] == last.hidden_states.shape[0] - 1


def inner(model) -> int:
    """Blocks of a layer (ALBERT)."""
    body = model.decoder if hasattr(model, "decoder") else model.transformer
    return body.stack.inner_layers


@pytest.mark.parametrize("kind", ["encoder", "decoder", "seq2seq"])
def test_watching_changes_no_logit(kind):
    model = tiny(kind)
    batch = packed(model)
    shape, state = nnx.split(model)

    @jax.jit
    def watched(state):
        bound = nnx.merge(shape, state)
        inside = bound.intermediates(batch)
        last = inside[-1] if kind == "seq2seq" else inside
        return bound.logits(last.hidden_states[-1]), inside

    np.testing.assert_array_equal(watched(state)[0], logits(model, batch))


@pytest.mark.parametrize("kind", ["decoder", pytest.param("seq2seq", marks=pytest.mark.slow)])
def test_a_loop_shows_what_layers_in_a_row_show(kind):
    plain, looped = tiny(kind), tiny(kind, "model.unroll=1", "model.remat=true")
    batch = packed(plain)

    def inside(model):
        shape, state = nnx.split(model)
        return jax.jit(lambda state: nnx.merge(shape, state).intermediates(batch))(state)

    jax.tree.map(lambda a, b: close(a, b, 1e-6), inside(plain), inside(looped))


def test_a_head_that_looks_one_token_back_is_shown_doing_so():
    """ALiBi and keys that say nothing: the weights are softmax(-slope · distance), by hand."""
    model = tiny("decoder", "model/position=alibi", "model.layers=1")
    attention = model.transformer.stack.blocks.attention
    attention.q.kernel[...] = 0 * attention.q.kernel[...]
    attention.q.bias[...] = 0 * attention.q.bias[...]
    tokens = ids(1, 6)
    own = model.intermediates(Batch(tokens, np.ones_like(tokens))).self_attention[0, 0]
    gap = np.arange(6)[:, None] - np.arange(6)[None]
    for head, slope in enumerate(model.transformer.position.slopes()):
        wanted = np.where(gap >= 0, np.exp(-slope * gap), 0)
        close(wanted / wanted.sum(-1, keepdims=True), own[head], 1e-6)
