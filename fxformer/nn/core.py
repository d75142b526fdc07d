"""Linear layer and embedding table: the parts that hold all matrices of a model."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


@jax.custom_vjp
def matmul(x: Float[Array, "N D"], kernel: Float[Array, "D F"]) -> Float[Array, "N F"]:
    """x @ kernel, with its gradients stated as plain matrix products.

    XLA on CPU has a fast path for plain products; the gradient that it derives for a batched
    contraction is a transposed fusion instead, which is slower.
    """
    return x @ kernel


def _matmul_forward(x, kernel):
    return x @ kernel, (x, kernel)


def _matmul_backward(saved, grad):
    x, kernel = saved
    if kernel.shape[0] <= kernel.shape[1]:
        return grad @ kernel.T, x.T @ grad
    # XLA on CPU rearranges the first factor: the narrower one. The barrier keeps it from turning
    # the product round again.
    return grad @ kernel.T, jax.lax.optimization_barrier(grad.T @ x).T


matmul.defvjp(_matmul_forward, _matmul_backward)


class Linear(nnx.Module):
    """Linear map x W + b, with the kernel stored as a matrix [input width, output width].

    The kernel is initialised from N(0, 0.02²), the bias with zeros; the rules of a model's `init`
    group may replace both.
    """

    def __init__(self, dim: int, out: int, *, bias: bool = True, rngs: nnx.Rngs):
        init = jax.nn.initializers.normal(0.02)
        self.kernel = nnx.Param(init(rngs.params(), (dim, out), jnp.float32))
        self.bias = nnx.Param(jnp.zeros((out,), jnp.float32)) if bias else None

    @property
    def dim(self) -> int:
        """Width of the input."""
        return self.kernel.shape[-2]

    def __call__(self, x: Float[Array, "*B D"]) -> Float[Array, "*B F"]:
        kernel = self.kernel[...]
        y = matmul(x.reshape(-1, kernel.shape[0]), kernel).reshape(*x.shape[:-1], kernel.shape[1])
        return y if self.bias is None else y + self.bias[...]


def matmul_transposed(x: Float[Array, "N D"], kernel: Float[Array, "F D"]) -> Float[Array, "N F"]:
    """x kernelᵀ in float32 or wider, without gradients of its own.

    For a few rows as (kernel xᵀ)ᵀ: on CPU the matrix is best the first factor. The barrier keeps
    XLA from turning the product round again.
    """
    wide = jnp.promote_types(x.dtype, jnp.float32)
    if len(x) > FEW_ROWS:
        return jnp.einsum("ND,FD->NF", x, kernel, preferred_element_type=wide)
    y = jnp.einsum("FD,ND->FN", kernel, x, preferred_element_type=wide)
    return jax.lax.optimization_barrier(y).T


FEW_ROWS = 64


class TransposedLinear(nnx.Module):
    """Linear map x W + b, with the kernel stored as Wᵀ [output width, input width], for decoding
    (`inference/decoding/layout.py`): XLA on CPU multiplies such a matrix with a few rows faster.
    """

    def __init__(self, linear: Linear):
        self.kernel = nnx.Param(linear.kernel[...].T)
        self.bias = None if linear.bias is None else nnx.Param(linear.bias[...])

    @property
    def dim(self) -> int:
        """Width of the input."""
        return self.kernel.shape[-1]

    def __call__(self, x: Float[Array, "*B D"]) -> Float[Array, "*B F"]:
        kernel = self.kernel[...]
        y = matmul_transposed(x.reshape(-1, kernel.shape[1]), kernel).astype(x.dtype)
        y = y.reshape(*x.shape[:-1], kernel.shape[0])
        return y if self.bias is None else y + self.bias[...]


class Embedding(nnx.Module):
    """Embedding table [size, dim]: ids of any shape -> vectors. Initialised from N(0, 0.02²).

    Batches are checked on the host; here an id out of range gives NaN (`jnp.take`).
    """

    def __init__(self, size: int, dim: int, *, rngs: nnx.Rngs):
        init = jax.nn.initializers.normal(0.02)
        self.embedding = nnx.Param(init(rngs.params(), (size, dim), jnp.float32))

    def __call__(self, ids) -> Float[Array, "*B D"]:
        return jnp.take(self.embedding[...], ids, axis=0)
