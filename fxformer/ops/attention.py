"""The arithmetic of attention: plain matrix products, gradients stated, hidden blocks left out.

What differs by platform is chosen here, while a program is traced (`causal_block`).
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def causal_block(length: int) -> int:
    """Queries taken together in causal self-attention; as many as there are: one block.

    On CPU a block of queries is not multiplied with the keys after it: of four blocks, 10 of 16
    tiles are computed. More blocks, or shorter than 128, cost more in calls and compile time than
    they save. GPU and TPU keep one product, which fills them better.
    """
    return max(128, -(-length // 4)) if jax.default_backend() == "cpu" else length


def weigh_causal(q, k, v, seen, bias, scale: float) -> Float[Array, "B G R T K"]:
    """`weigh` where no query sees a later key and there are as many queries as keys."""
    length = q.shape[3]
    size = causal_block(length)
    parts = []
    for start in range(0, length, size):
        end = min(start + size, length)
        near = None if bias is None else bias[..., start:end, :end]
        shown = seen[..., start:end, :end]
        parts.append(weigh(q[..., start:end, :], k[:, :, :end], v[:, :, :end], shown, near, scale))
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=3)


@functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
def weigh(
    q: Float[Array, "B G R T K"],
    k: Float[Array, "B G S K"],
    v: Float[Array, "B G S K"],
    seen: Bool[Array, "#B 1 1 T S"],
    bias: Float[Array, "*B G R T S"] | None,
    scale: float,
) -> Float[Array, "B G R T K"]:
    """softmax(scale · q kᵀ + bias) v over the keys that are seen; R queries share a key head.

    The gradient is stated so that only the weights are kept, every product is a plain batched one
    (the transposes that XLA derives are slow on CPU), and the softmax's inner sum is that of
    y · dy over K channels instead of S keys (Dao et al. 2022, app. B.2).
    """
    return _forward(q, k, v, seen, bias, scale)[0]


def softmax(q, k, seen, bias, scale: float) -> Float[Array, "B G R T S"]:
    """The weights, float32. All alike for a query that sees nothing."""
    logits = _onto(q * scale, k)
    if bias is not None:
        logits = logits + bias.astype(jnp.float32)
    return jax.nn.softmax(jnp.where(seen, logits, jnp.finfo(jnp.float32).min), axis=-1)


def average(weights, v) -> Float[Array, "B G R T K"]:
    """weights v."""
    y = jnp.einsum("BGNS,BGSK->BGNK", _flat(weights), v)
    return y.reshape(*weights.shape[:-1], v.shape[-1])


def _forward(q, k, v, seen, bias, scale):
    weights = softmax(q, k, seen, bias, scale).astype(v.dtype)
    y = average(weights, v)
    return y, (q, k, v, seen, bias, weights, y)


def _backward(scale, saved, dy):
    q, k, v, seen, bias, weights, y = saved
    inner = jnp.sum(y.astype(jnp.float32) * dy.astype(jnp.float32), axis=-1, keepdims=True)
    d_logits = jnp.where(seen, weights * (_onto(dy, v) - inner), 0)
    d_bias = None
    if bias is not None:  # one for all rows, or one for each
        d_bias = (d_logits if bias.ndim == d_logits.ndim else d_logits.sum(0)).astype(bias.dtype)
    narrow = d_logits.astype(q.dtype)
    d_q = average(narrow, k) * scale
    d_k = _gather(narrow, q) * scale
    return d_q, d_k, _gather(weights, dy), None, d_bias


weigh.defvjp(_forward, _backward)


def _flat(x):
    """[B G R T X] -> [B G R·T X]: queries that share keys are rows of one matrix."""
    return x.reshape(*x.shape[:2], -1, x.shape[-1])


def _onto(x, k) -> Float[Array, "B G R T S"]:
    """x kᵀ in float32."""
    y = jnp.einsum("BGNK,BGSK->BGNS", _flat(x), k, preferred_element_type=jnp.float32)
    return y.reshape(*x.shape[:-1], k.shape[2])


def _gather(weights, x) -> Float[Array, "B G S K"]:
    """weightsᵀ x."""
    return jnp.einsum("BGNS,BGNK->BGSK", _flat(weights), _flat(x))
