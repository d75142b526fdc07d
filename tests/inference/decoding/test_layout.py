"""The layout of parameters for decoding: of the present ones, and held no longer than they live."""

import gc

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
