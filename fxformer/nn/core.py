"""The two things every part needs: a dense layer and dropout."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


@jax.custom_vjp
def matmul(x: Float[Array, "N D"], kernel: Float[Array, "D F"]) -> Float[Array, "N F"]:
    """x @ kernel, with its gradients stated as plain matrix products.

    XLA on CPU hands a plain product to its fast path; left to differentiate a batched contraction
    it makes transposed fusions instead, which are slower.
    """
    return x @ kernel


def _matmul_forward(x, kernel):
    return x @ kernel, (x, kernel)


def _matmul_backward(saved, grad):
    x, kernel = saved
    return grad @ kernel.T, x.T @ grad


matmul.defvjp(_matmul_forward, _matmul_backward)


class Linear(nnx.Module):
    """x W + b, with the kernel kept as a matrix [width in, width out] whatever its use.

    Initialised from N(0, 0.02²), the bias at 0; a model's `init` rules may draw it anew.
    """

    def __init__(self, dim: int, out: int, *, bias: bool = True, rngs: nnx.Rngs):
        draw = jax.nn.initializers.normal(0.02)
        self.kernel = nnx.Param(draw(rngs.params(), (dim, out), jnp.float32))
        self.bias = nnx.Param(jnp.zeros((out,), jnp.float32)) if bias else None

    def __call__(self, x: Float[Array, "*B D"]) -> Float[Array, "*B F"]:
        kernel = self.kernel[...]
        y = matmul(x.reshape(-1, kernel.shape[0]), kernel).reshape(*x.shape[:-1], kernel.shape[1])
        return y if self.bias is None else y + self.bias[...]


class Table(nnx.Module):
    """A row of learned numbers for each id. Ids are checked on the host, before they get here.

    Initialised from N(0, 0.02²).
    """

    def __init__(self, size: int, dim: int, *, rngs: nnx.Rngs):
        draw = jax.nn.initializers.normal(0.02)
        self.embedding = nnx.Param(draw(rngs.params(), (size, dim), jnp.float32))

    def __call__(self, ids) -> Float[Array, "*B D"]:
        return jnp.take(self.embedding[...], ids, axis=0)


def drop(x: Array, rate: float, key: Array | None) -> Array:
    """Dropout (Srivastava et al. 2014): kept values are divided by 1 - rate. No key, no dropout."""
    if key is None or rate == 0:
        return x
    keep = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(keep, x / (1 - rate), 0).astype(x.dtype)


def split_key(key: Array | None, count: int):
    """`count` keys out of one, or as many Nones out of None."""
    return (None,) * count if key is None else tuple(jax.random.split(key, count))
