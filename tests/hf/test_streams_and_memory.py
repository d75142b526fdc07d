"""What ProphetNet and Transformer-XL have and others have not: streams, and a loss in levels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fxformer.config.options import composed, plain
from fxformer.hf.config_map import ConfigMismatch
from fxformer.hf.detect_family import detect_family
from fxformer.hf.published_model import load_model
from fxformer.ops.cross_entropy import CrossEntropy
from tests.hf.fixture import HERE, TOLERANCE, published, reference


@pytest.mark.parametrize("name", ["transfo_xl", "transfo_xl_shared"])
def test_the_loss_is_that_of_transformers(name):
    """Every token but the first, given those before it and the blanks before the text."""
    shape, state = nnx.split(load_model(published(HERE / name))[0])
    ids = jnp.asarray(reference(HERE / name)["in.input_ids.0"], jnp.int32)

    def loss(state):
        model = nnx.merge(shape, state)
        hidden = model.transformer(model.token_embedding(ids), jnp.ones_like(ids))[0][:, :-1]
        flat, ones = hidden.reshape(-1, model.dim), jnp.ones(hidden.shape[0] * hidden.shape[1])
        return model.head.score(
            flat, model.token_embedding, ids[:, 1:].ravel(), ones, CrossEntropy()
        )

    total, weight = jax.jit(loss)(state)["loss"]
    np.testing.assert_allclose(total / weight, reference(HERE / name)["loss"], rtol=1e-6)


def test_every_stream_of_prophetnet_foretells_what_transformers_does():
    folder = HERE / "prophetnet"
    shape, state = nnx.split(load_model(published(folder))[0])
    arrays = {k: jnp.asarray(v) for k, v in reference(folder).items()}

    def predicted(state):
        model = nnx.merge(shape, state)
        source, segments = arrays["in.input_ids"], arrays["in.attention_mask"]
        words, there = (
            model.token_embedding(arrays["in.decoder_input_ids"]),
            model.encode(source, segments),
        )
        known = {"encoder_output": there, "encoder_segments": segments}
        ones = arrays["in.decoder_attention_mask"]
        return model.logits(model.decoder.predict_ngrams(words, ones, 3, **known)[0][:, 1:])

    ours, theirs = jax.jit(predicted)(state), arrays["ahead.logits"]
    assert ours.shape == theirs.shape  # [B n T V]
    assert np.abs(ours - theirs).max() <= TOLERANCE * max(1, np.abs(theirs).max())


def said(*choices):
    """config.json of a model of ours over 100 words."""
    found = detect_family(
        plain(composed(None, ["+size=tiny", "+model=transfo_xl", *choices]).model)
    )
    return found.family.serialize({"vocab_size": 100, **found.config})


@pytest.mark.slow
def test_a_transformer_xl_of_ours_says_what_it_is():
    config = said()
    assert config["cutoffs"] == [12, 50] and config["tie_projs"] == [True] * 3
    assert (config["mem_len"], config["same_length"], config["clamp_len"]) == (0, False, -1)
    config = said(
        "model.attention.memory_length=8", "model.windows=[8]", "model.position.clamp_distance=5"
    )
    assert (config["mem_len"], config["same_length"], config["clamp_len"]) == (8, True, 5)
    with pytest.raises(ConfigMismatch, match=r"write model.windows=\[8\], or null"):
        said("model.attention.memory_length=8", "model.windows=[9]")
