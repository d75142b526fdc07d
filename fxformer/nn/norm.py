"""LayerNorm and RMSNorm over the last axis, computed in float32 whatever the input's dtype."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from fxformer.types import Positive


class LayerNorm(nnx.Module):
    """LayerNorm: (x - mean) / sqrt(var + eps) · scale + bias. Ba, Kiros and Hinton 2016.

    The variance is computed from the centred values: E[x²] - E[x]² loses precision where the mean
    is large compared with the deviation.
    """

    def __init__(self, dim: int, *, eps: Positive = 1e-5, bias: bool = True, rngs: nnx.Rngs):
        self.scale = nnx.Param(jnp.ones((dim,), jnp.float32))
        self.bias = nnx.Param(jnp.zeros((dim,), jnp.float32)) if bias else None
        self.eps = eps

    def __call__(self, x: Float[Array, "*B D"]) -> Float[Array, "*B D"]:
        wide = x.astype(jnp.float32)
        centred = wide - wide.mean(-1, keepdims=True)
        variance = jnp.square(centred).mean(-1, keepdims=True)
        y = centred * jax.lax.rsqrt(variance + self.eps) * self.scale[...].astype(jnp.float32)
        if self.bias is not None:
            y = y + self.bias[...].astype(jnp.float32)
        return y.astype(x.dtype)


class RMSNorm(nnx.Module):
    """RMSNorm: x / sqrt(mean(x²) + eps) · scale. Zhang and Sennrich 2019."""

    def __init__(self, dim: int, *, eps: Positive = 1e-6, rngs: nnx.Rngs):
        self.scale = nnx.Param(jnp.ones((dim,), jnp.float32))
        self.eps = eps

    def __call__(self, x: Float[Array, "*B D"]) -> Float[Array, "*B D"]:
        wide = x.astype(jnp.float32)
        y = wide * jax.lax.rsqrt(jnp.square(wide).mean(-1, keepdims=True) + self.eps)
        return (y * self.scale[...].astype(jnp.float32)).astype(x.dtype)
