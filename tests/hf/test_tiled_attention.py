"""Models with windows and global tokens, their attention in tiles: the answers of transformers."""

import jax
import numpy as np
import pytest
from flax import nnx

from fxformer.hf.forward import batch_of
from fxformer.hf.published_model import load_model
from fxformer.nn.attention import MultiHeadAttention
from fxformer.ops.attention import attend
from fxformer.ops.attention.tiled import tiled_attention
from tests.hf.fixture import HERE, TOLERANCE, published, reference, valid, wanted


def in_small_tiles(*arguments):
    return tiled_attention(*arguments, sizes=(2, 3))


@pytest.mark.parametrize("name", ["longformer", "led", "modernbert", "gpt_neo"])
def test_the_answers_are_those_of_transformers(name, monkeypatch):
    calls = []
    monkeypatch.setitem(
        attend.BACKENDS, "cpu", lambda *a: calls.append(a[3].window) or in_small_tiles(*a)
    )
    folder = HERE / name
    model, _ = load_model(published(folder))
    for _, part in nnx.iter_graph(model):
        if isinstance(part, MultiHeadAttention):
            part.backend = "cpu"
    inputs = {k[3:]: v for k, v in reference(folder).items() if k.startswith("in.")}
    batch = batch_of(published(folder), inputs, seq2seq=model.architecture == "seq2seq")
    graphdef, state = nnx.split(model)

    def logits(state, batch):
        bound = nnx.merge(graphdef, state)
        return bound.logits(bound(batch))

    ours, theirs = np.asarray(jax.jit(logits)(state, batch)), wanted(folder)["logits"]
    where = valid(folder, "logits", theirs)
    assert np.abs(ours - theirs)[where].max() <= TOLERANCE * max(1.0, np.abs(theirs[where]).max())
    assert any(window is not None for window in calls)
