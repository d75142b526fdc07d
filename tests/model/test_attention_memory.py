"""Long rows: the compiled step holds no array of queries times keys."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fxformer.batch import Batch
from fxformer.flops.jaxpr_flops import executed_flops
from tests.models import tiny

LENGTH = 1024
NONE = "model/position=none"


def gradient(model):
    """Function (parameters, batch) -> gradient of a loss, and abstract arguments."""
    graphdef, state = nnx.split(model)
    tokens = jax.ShapeDtypeStruct((1, LENGTH), jnp.int32)

    def loss(state, tokens):
        return nnx.merge(graphdef, state)(Batch(tokens, jnp.ones_like(tokens))).sum()

    return jax.grad(loss), (state, tokens)


def largest(text: str) -> int:
    """Elements of the largest array in the text of a compiled program."""
    shapes = re.findall(r"[a-z]+[0-9]*\[([0-9,]+)\]", text)
    return max(int(np.prod([int(n) for n in shape.split(",")])) for shape in shapes)


ONE = "model.layers=1"
GLOBAL = ("model/attention=longformer", "model.attention.first_global=true")
slow = pytest.mark.slow


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(["encoder", NONE, ONE, "model.windows=[17]", *GLOBAL], id="global"),
        pytest.param(["encoder", NONE, ONE, "model.windows=[17]"], id="window", marks=slow),
        pytest.param(["decoder", NONE, ONE], id="causal", marks=slow),
        pytest.param(["decoder", NONE, "model.windows=[null,17]"], id="alternating", marks=slow),
    ],
)
def test_no_array_is_as_large_as_queries_times_keys(kind):
    function, given = gradient(tiny(*kind))
    compiled = jax.jit(function).lower(*given).compile()
    assert largest(compiled.as_text()) < LENGTH**2 / 4
    assert compiled.memory_analysis().temp_size_in_bytes < 16e6


@slow
def test_the_reference_has_such_arrays():
    function, given = gradient(tiny("decoder", NONE, "model.attention.backend=reference"))
    assert largest(jax.jit(function).lower(*given).compile().as_text()) >= LENGTH**2 / 4


def test_a_window_executes_fewer_products():
    """Half of the tiles are left out by causality, most by a window of 17."""
    whole, causal, near = (
        executed_flops(*_flat(tiny(*words, "model.attention.backend=cpu")))
        for words in (
            ("encoder", NONE),
            ("decoder", NONE),
            ("encoder", NONE, "model.windows=[17]"),
        )
    )
    assert near < 0.6 * causal < 0.6 * 0.8 * whole


def _flat(model):
    function, given = gradient(model)
    return function, *given
