"""The layout of parameters for decoding: of the present ones, and held no longer than they live."""

import gc

import jax.numpy as jnp
from flax import nnx

from fxformer.inference.decoding.layout import _latest, decoding_layout
from tests.models import close, tiny


def test_the_layout_is_of_the_present_parameters():
    model = tiny("decoder")
    first = decoding_layout(model)[1]
    assert decoding_layout(model)[1] is first  # the same arrays: no other copy
    kernel = model.transformer.stack.blocks.attention.q.kernel
    kernel[...] = 2 * kernel[...]
    second = nnx.merge(*decoding_layout(model)).transformer.stack.blocks
    for i in range(len(second)):
        close(second[i].attention.q.kernel[...], kernel[...][i].T)


def test_the_layout_is_dropped_with_its_parameters():
    model = tiny("decoder", seed=1)
    decoding_layout(model)
    assert _latest.entry is not None
    del model
    gc.collect()
    assert _latest.entry is None


def test_the_layers_of_an_encoder_are_arrays_of_their_own_and_compute_the_same():
    model = tiny("seq2seq")
    laid_out = nnx.merge(*decoding_layout(model))
    assert len(laid_out.encoder.stack.blocks) == model.encoder.stack.layers
    ids = jnp.arange(12).reshape(2, 6) % 7 + 1
    segments = jnp.ones_like(ids)
    close(laid_out.encode(ids, segments), model.encode(ids, segments))
