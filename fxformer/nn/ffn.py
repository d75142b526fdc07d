"""Position-wise feed-forward layers, plain and gated."""

from collections.abc import Callable

from flax import nnx
from jaxtyping import Array, Float

from fxformer.nn.core import Linear
from fxformer.ops.dropout import drop
from fxformer.types import Count, Rate


class FeedForward(nnx.Module):
    """Feed-forward layer: act(x W₁) W₂. Vaswani et al. 2017, eq. 2.

    hidden: width between the two; dropout: on it
    """

    def __init__(
        self,
        dim: int,
        *,
        hidden: Count,
        act: Callable,
        bias: bool = True,
        dropout: Rate = 0.0,
        rngs: nnx.Rngs,
    ):
        self.up = Linear(dim, hidden, bias=bias, rngs=rngs)
        self.down = Linear(hidden, dim, bias=bias, rngs=rngs)
        self.act, self.dropout = act, dropout

    def __call__(self, x: Float[Array, "B T D"], *, key=None) -> Float[Array, "B T D"]:
        return self.down(drop(self.act(self.up(x)), self.dropout, key))


class GatedFeedForward(nnx.Module):
    """Gated feed-forward layer, SwiGLU or GEGLU: (act(x W_gate) ⊙ x W_up) W_down. Shazeer 2020.

    hidden: width between the two; dropout: on it
    """

    def __init__(
        self,
        dim: int,
        *,
        hidden: Count,
        act: Callable,
        bias: bool = False,
        dropout: Rate = 0.0,
        rngs: nnx.Rngs,
    ):
        self.gate = Linear(dim, hidden, bias=bias, rngs=rngs)
        self.up = Linear(dim, hidden, bias=bias, rngs=rngs)
        self.down = Linear(hidden, dim, bias=bias, rngs=rngs)
        self.act, self.dropout = act, dropout

    def __call__(self, x: Float[Array, "B T D"], *, key=None) -> Float[Array, "B T D"]:
        return self.down(drop(self.act(self.gate(x)) * self.up(x), self.dropout, key))
