"""Convolution over neighbouring tokens, parallel to the first layer of a stack (DeBERTa v2)."""

from collections.abc import Callable

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from fxformer.errors import UserError
from fxformer.nn.core import Linear
from fxformer.ops.dropout import drop
from fxformer.types import Count, Part, Rate


class Convolution(nnx.Module):
    """norm(y + act(conv(x))), x the input and y the output of the first layer. He et al. 2021
    (DeBERTa v2).

    Neighbours of another segment, and those beyond the row's ends, count as zeros. The kernel is
    stored as a matrix [size · D, D], the earliest neighbour first.

    size: tokens that the kernel covers, an odd number
    """

    def __init__(
        self,
        dim: int,
        *,
        act: Callable,
        norm: Part,
        size: Count = 3,
        dropout: Rate = 0.0,
        rngs: nnx.Rngs,
    ):
        if size % 2 == 0:
            raise UserError(f"the size of a convolution must be odd, got {size}: write {size + 1}")
        self.conv = Linear(size * dim, dim, rngs=rngs)
        self.norm = norm(dim, rngs=rngs)
        self.act, self.size, self.dropout = act, size, dropout

    def __call__(
        self,
        x: Float[Array, "B T D"],
        y: Float[Array, "B T D"],
        segments: Int[Array, "B T"],
        *,
        key: Array | None = None,
    ) -> Float[Array, "B T D"]:
        half, length = self.size // 2, x.shape[1]
        wide = jnp.pad(x, ((0, 0), (half, half), (0, 0)))
        neighbours = jnp.pad(segments, ((0, 0), (half, half)), constant_values=-1)
        taps = [
            jnp.where(
                (neighbours[:, i : i + length] == segments)[..., None],
                wide[:, i : i + length],
                0,
            )
            for i in range(self.size)
        ]
        mixed = self.conv(jnp.concatenate(taps, axis=-1))
        return self.norm(y + self.act(drop(mixed, self.dropout, key)))
