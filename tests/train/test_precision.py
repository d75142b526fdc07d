"""The precision asked for reaches every product of a step, those of stated gradients too."""

import jax
import jax.numpy as jnp
from flax import nnx

from fxformer.nn.core import Linear
from fxformer.train.optim import SGD
from fxformer.train.precision import Precision
from fxformer.train.state import abstract, graphdef_of, make_state, shapes_of
from fxformer.train.step import make_step


class Fit(nnx.Module):
    """Sum of squares of two dense layers: the smallest thing with a custom VJP."""

    def __init__(self, rngs):
        self.first, self.second = Linear(3, 4, rngs=rngs), Linear(4, 2, rngs=rngs)

    def __call__(self, batch, *, key=None):
        return {"loss": (jnp.square(self.second(self.first(batch.x))).sum(), jnp.float32(1))}


def test_highest_precision_in_both_directions():
    import flax.struct

    @flax.struct.dataclass
    class Numbers:
        x: jax.Array
        segments: jax.Array

    def make(key):
        return Fit(nnx.Rngs(key))

    tx = SGD(lr=0.1).build(lambda count: 1.0, shapes_of(abstract(make)))
    step = make_step(graphdef_of(abstract(make)), tx, precision=Precision(matmul="highest"))
    state = jax.eval_shape(make_state(make, tx), jax.random.key(0))
    batch = Numbers(jnp.ones((5, 3)), jnp.ones((5, 3), jnp.int32))
    text = jax.jit(step).lower(state, batch).as_text()
    products = [line for line in text.splitlines() if "dot_general" in line]
    assert len(products) == 5  # two forward, two for the kernels, one for the first layer's output
    assert all("HIGHEST" in line for line in products)
