"""Attention whose weights are computed as one array, or by blocks of queries: the backend
`reference`.

It can do whatever `attend` is asked for. What differs by platform is chosen here, while a program
is traced (`causal_block`).
"""

import functools
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, UInt32

from fxformer.ops.attention.mask import AttentionMask
from fxformer.ops.dropout import counters, kept, row_seeds


def reference_attention(
    q: Float[Array, "B T H K"],
    k: Float[Array, "B S G K"],
    v: Float[Array, "B S G K"],
    mask: AttentionMask | Bool[Array, "#B 1 T S"],
    bias: Float[Array, "*B H T S"] | None,
    scale: float,
    dropout: float = 0.0,
    key: Array | None = None,
    capture: list[Float[Array, "B H T S"]] | None = None,
) -> Float[Array, "B T H K"]:
    """`attend` with a dense mask. A query whose keys are all masked gets the mean of the values."""
    shape, G = q.shape, k.shape[2]
    causal = cached = False
    if isinstance(mask, AttentionMask):
        # with a cache the offset is an array, and the keys are not those of the queries
        cached = not isinstance(mask.query_offset, int)
        causal = mask.strictly_causal and not cached and k.shape[1] == q.shape[1]
        mask = mask.to_dense()
    if k.shape[0] != q.shape[0]:
        assert key is None and capture is None  # decoding
        cached, (q, mask, bias) = True, merge_rows(q, mask, bias, k.shape[0])
    B, T, H, K = q.shape
    q = q.reshape(B, T, G, H // G, K).transpose(0, 2, 3, 1, 4)
    k, v, mask = k.swapaxes(1, 2), v.swapaxes(1, 2), mask[:, :, None]
    bias = split_heads(bias, G)
    dropping = key is not None and dropout > 0
    if cached and not dropping:
        y = cached_attention(q, k, v, mask, bias, scale)
    else:
        function = causal_attention if causal else full_attention
        seed, dropped = None, None
        if dropping and key is not None:
            seed, dropped = row_seeds(key, B), WeightDropout(dropout, 0, (T, k.shape[2]))
        y = cast(Array, function(q, k, v, mask, bias, scale, seed, dropped))  # see custom_vjp
    if capture is not None:
        weights = jnp.where(mask, attention_weights(q, k, mask, bias, scale), 0)
        capture.append(weights.reshape(B, H, T, -1))
    return y.transpose(0, 3, 1, 2, 4).reshape(shape)


def split_heads(bias: Float[Array, "*B H T S"] | None, groups: int):
    """A bias with its heads as [G, R]: R queries share each of G key heads."""
    if bias is None:
        return None
    return bias.reshape(*bias.shape[:-3], groups, -1, *bias.shape[-2:])


class WeightDropout(NamedTuple):
    """Dropout of attention weights, where a block of the queries is computed.

    rate: of dropout
    start: first query of the block
    whole: numbers of queries and of keys of all blocks, which the decisions are counted by
    """

    rate: float
    start: int
    whole: tuple[int, int]


def merge_rows(q: Float[Array, "R T H K"], mask: Bool[Array, "R 1 T S"], bias, rows: int):
    """Queries, mask and bias of R rows as those of fewer rows with more queries: R / rows in turn
    become one."""
    R, T, H, _ = q.shape
    mask = mask.reshape(rows, 1, -1, mask.shape[-1])
    if bias is not None:  # one for all rows, or one for each
        bias = jnp.broadcast_to(bias, (R, *bias.shape[-3:])).reshape(rows, -1, *bias.shape[-3:])
        bias = bias.swapaxes(1, 2).reshape(rows, H, -1, bias.shape[-1])
    return q.reshape(rows, -1, *q.shape[2:]), mask, bias


def causal_block(length: int) -> int:
    """Queries per block in causal self-attention; `length` itself means a single block.

    On CPU a block of queries is not multiplied with the keys after it: of four blocks, 10 of 16
    tiles are computed. More blocks, or blocks below 128, cost more in calls and compile time than
    they save. GPU and TPU keep one product, which uses them better.
    """
    return max(128, -(-length // 4)) if jax.default_backend() == "cpu" else length


def causal_attention(
    q, k, v, mask, bias, scale: float, seed=None, dropout: WeightDropout | None = None
) -> Float[Array, "B G R T K"]:
    """`full_attention` block by block, where no query attends to a later key and T = S."""
    length = q.shape[3]
    size = causal_block(length)
    parts = []
    for start in range(0, length, size):
        end = min(start + size, length)
        rows = None if bias is None else bias[..., start:end, :end]
        block = mask[..., start:end, :end]
        queries, own = q[..., start:end, :], dropout and dropout._replace(start=start)
        keys, values = k[:, :, :end], v[:, :, :end]
        parts.append(full_attention(queries, keys, values, block, rows, scale, seed, own))
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=3)


@functools.partial(jax.custom_vjp, nondiff_argnums=(5, 7))
def full_attention(
    q: Float[Array, "B G R T K"],
    k: Float[Array, "B G S K"],
    v: Float[Array, "B G S K"],
    mask: Bool[Array, "#B 1 1 T S"],
    bias: Float[Array, "*B G R T S"] | None,
    scale: float,
    seed: UInt32[Array, "B 2"] | None = None,
    dropout: WeightDropout | None = None,
) -> Float[Array, "B G R T K"]:
    """drop(softmax(scale · q kᵀ + bias)) v over the keys that are not masked; R queries share a key
    head.

    seed: of the dropout of each row, which the backward pass computes again; None with `dropout`

    The gradient is stated so that only the weights are kept, every product is a plain batched one
    (the transposes that XLA derives are slow on CPU), and the softmax's inner sum is that of
    y · dy over K channels instead of S keys (Dao et al. 2022, app. B.2).
    """
    return _forward(q, k, v, mask, bias, scale, seed, dropout)[0]


def cached_attention(q, k, v, mask, bias, scale: float) -> Float[Array, "B G R T K"]:
    """`full_attention` for decoding, with rows and heads as one dimension: XLA on CPU drops a
    dimension of one row from its products, and would copy the cache for it."""
    batch = k.shape[0] * k.shape[1]
    k, v = k.reshape(batch, *k.shape[2:]), v.reshape(batch, *v.shape[2:])
    queries = (q * scale).reshape(batch, -1, q.shape[-1])
    logits = jnp.einsum("XNK,XSK->XNS", queries, k, preferred_element_type=jnp.float32)
    weights = _masked_softmax(logits.reshape(*q.shape[:-1], -1), mask, bias).astype(v.dtype)
    y = jnp.einsum("XNS,XSK->XNK", weights.reshape(logits.shape), v)
    return y.reshape(*q.shape[:-1], -1)


def attention_weights(q, k, mask, bias, scale: float) -> Float[Array, "B G R T S"]:
    """The attention weights in float32; uniform for a query whose keys are all masked."""
    return _masked_softmax(_query_key_products(q * scale, k), mask, bias)


def _masked_softmax(logits, mask, bias):
    """softmax(logits + bias) over the keys that are not masked."""
    if bias is not None:
        logits = logits + bias.astype(jnp.float32)
    return jax.nn.softmax(jnp.where(mask, logits, jnp.finfo(jnp.float32).min), axis=-1)


def weighted_sum(weights, v) -> Float[Array, "B G R T K"]:
    """weights v."""
    y = jnp.einsum("BGNS,BGSK->BGNK", _merge_queries(weights), v)
    return y.reshape(*weights.shape[:-1], v.shape[-1])


def _forward(q, k, v, mask, bias, scale, seed, dropout):
    weights = attention_weights(q, k, mask, bias, scale).astype(v.dtype)
    y = weighted_sum(_dropped(weights, seed, dropout), v)
    return y, (q, k, v, mask, bias, weights, y, seed)


def _dropped(weights, seed, dropout: WeightDropout | None):
    """Weights [B G R T S] after dropout, or their gradients before it."""
    if dropout is None:
        return weights
    rate, start, (queries, keys) = dropout
    _, G, R, T, S = weights.shape
    strides = (R * queries * keys, queries * keys, keys, 1)
    keep = kept(seed, rate, counters((G, R, T, S), strides, start * keys))
    return jnp.where(keep, weights / (1 - rate), 0).astype(weights.dtype)


def _backward(scale, dropout, saved, dy):
    q, k, v, mask, bias, weights, y, seed = saved
    inner = jnp.sum(y.astype(jnp.float32) * dy.astype(jnp.float32), axis=-1, keepdims=True)
    d_weights = _dropped(_query_key_products(dy, v), seed, dropout)
    d_logits = jnp.where(mask, weights * (d_weights - inner), 0)
    d_bias = None
    if bias is not None:  # one for all rows, or one for each
        d_bias = (d_logits if bias.ndim == d_logits.ndim else d_logits.sum(0)).astype(bias.dtype)
    narrow = d_logits.astype(q.dtype)
    d_q = weighted_sum(narrow, k) * scale
    d_k = _sum_over_queries(narrow, q) * scale
    return d_q, d_k, _sum_over_queries(_dropped(weights, seed, dropout), dy), None, d_bias, None


full_attention.defvjp(_forward, _backward)


def _merge_queries(x):
    """[B G R T X] -> [B G R·T X]: queries that share keys are rows of one matrix."""
    return x.reshape(*x.shape[:2], -1, x.shape[-1])


def _query_key_products(x, k) -> Float[Array, "B G R T S"]:
    """x kᵀ in float32."""
    y = jnp.einsum("BGNK,BGSK->BGNS", _merge_queries(x), k, preferred_element_type=jnp.float32)
    return y.reshape(*x.shape[:-1], k.shape[2])


def _sum_over_queries(weights, x) -> Float[Array, "B G S K"]:
    """weightsᵀ x, as (xᵀ weights)ᵀ: XLA on CPU rearranges the first factor of a product over rows,
    which costs less for K columns than for S."""
    y = jnp.einsum("BGNK,BGNS->BGKS", _merge_queries(x), _merge_queries(weights))
    return y.swapaxes(-1, -2)
