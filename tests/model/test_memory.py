"""The memory of a Transformer-XL in training against one forward pass over the whole text."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxformer.batch import Batch
from fxformer.errors import UserError
from fxformer.nn.memory import CarriedMemory
from fxformer.ops.attention.mask import segment_positions
from tests.models import a_batch, close, ids, tiny

L = 4


def rows_of(tokens: np.ndarray, segments: np.ndarray) -> list[Batch]:
    """A text in rows of L tokens that continue each other, as the packing numbers them."""
    positions = np.asarray(segment_positions(jnp.asarray(segments)))
    found = []
    for low in range(0, tokens.shape[1], L):
        part = segments[:, low : low + L]
        own = part - part[:, :1] + 1
        at = positions[:, low : low + L]
        found.append(Batch(tokens[:, low : low + L], own, positions=at))
    return found


def in_rows(model, batches: list[Batch], length: int):
    """Hidden states of rows, each of which continues the one before, and the last memory."""
    read = jax.jit(model.with_memory)
    memory, found = model.empty_memory(len(batches[0].tokens), length), []
    for batch in batches:
        x, memory = read(batch, memory)
        found.append(x)
    return jnp.concatenate(found, axis=1), memory


def segments_from(lengths: list[int]) -> np.ndarray:
    return np.repeat(np.arange(1, len(lengths) + 1, dtype=np.int32), lengths)[None]


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("model.windows=[5]", "model.layers=3"),
        ("model/residual=pre", "model.layer_groups=1", "model.remat=true"),
        ("model/residual=parallel_shared", "model.unroll=1"),
    ],
)
@pytest.mark.sample(2)
def test_rows_with_a_memory_are_one_text(words):
    """Several documents too: none sees the one before it."""
    model, tokens = tiny("transfo_xl", *words), ids(3, 4 * L)
    lengths = ([4 * L], [6, 10], [3, 5, 8])
    segments = np.concatenate([segments_from(one) for one in lengths])
    whole = jax.jit(model)(a_batch(model, tokens, segments))
    parts, memory = in_rows(model, rows_of(tokens, segments), 3 * L)
    close(parts, whole, 1e-5)
    assert memory.filled.tolist() == [3 * L] * 3 and memory.length == 3 * L


def test_a_shorter_memory_is_a_shorter_reach():
    """One layer with a memory of two sees the last two tokens of the row before, and no older."""
    model, tokens = tiny("transfo_xl", "model.layers=1"), ids(1, 2 * L)
    segments = np.ones_like(tokens)
    plain = in_rows(model, rows_of(tokens, segments), 2)[0]
    for place, seen in ((0, False), (1, False), (2, True), (3, True)):
        changed = tokens.copy()
        changed[0, place] = tokens[0, place] % 38 + 1
        other = in_rows(model, rows_of(changed, segments), 2)[0]
        assert (np.abs(np.asarray(other - plain))[0, L:].max() > 1e-4) == seen


def test_what_was_not_finite_does_not_stay():
    memory = CarriedMemory(jnp.full((2, 1, 3, 4), jnp.nan), jnp.array([3, 1]))
    assert jax.tree.all(jax.tree.map(lambda a: (a == 0).all(), memory.cleared_unless(jnp.bool_(0))))
    kept = memory.cleared_unless(jnp.bool_(1))
    assert jnp.isnan(kept.hidden).all() and kept.filled.tolist() == [3, 1]
    assert memory.visible(jnp.array([2, 5])).tolist() == [[False, True, True], [False, False, True]]
    assert not memory.visible(jnp.array([0, 0])).any()


def test_only_relative_attention_without_zero_inputs_has_a_memory():
    batch = rows_of(ids(1, L), np.ones((1, L), np.int32))[0]
    for model in (tiny("gpt2"), tiny("transfo_xl", "model.attention.memory_length=3")):
        with pytest.raises(UserError, match="model=transfo_xl model.attention.memory_length=null"):
            model.with_memory(batch, model.empty_memory(1, 2))
