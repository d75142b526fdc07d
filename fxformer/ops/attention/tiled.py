"""Attention in tiles that stay in cache, with a running softmax: the backend `cpu`.

The forward pass keeps the output and the log-sum-exp of the logits of each query; the backward pass
computes the weights of each tile again. No array is as large as queries times keys (but for a bias
that is given as one). Dao et al. 2022, alg. 1 and 4; Milakov & Gimelshein 2018.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt32

from fxformer.ops.attention.mask import AttentionMask
from fxformer.ops.attention.tiles import Tiles, from_blocks, in_blocks, make_tiles, take
from fxformer.ops.dropout import kept

LOWEST = -1e30  # logit of a masked key, and least maximum of a row times two


class TileSettings(NamedTuple):
    """What is known when a program is traced.

    lengths: numbers of queries and of keys; sizes: of their blocks
    scale: of the logits
    dropout: rate on the weights; 0: none
    """

    lengths: tuple[int, int]
    sizes: tuple[int, int]
    scale: float
    dropout: float = 0.0


def tiled_attention(
    q: Float[Array, "B T G R K"],
    k: Float[Array, "B S G K"],
    v: Float[Array, "B S G K"],
    mask: AttentionMask,
    bias: Float[Array, "*B G R T S"] | None,
    scale: float,
    seed: UInt32[Array, "B 2"] | None = None,
    dropout: float = 0.0,
    sizes: tuple[int, int] | None = None,
) -> Float[Array, "B T G R K"]:
    """drop(softmax(scale · q kᵀ + bias)) v over the keys that are not masked, tile by tile.

    A query whose keys are all masked gets zeros.

    seed: of the dropout of each row; None: no dropout
    sizes: of the blocks of queries and keys; None: those for this mask
    """
    lengths = (q.shape[1], k.shape[1])
    sizes = block_sizes(mask) if sizes is None else sizes
    tiles = make_tiles(mask, *sizes)
    settings = TileSettings(lengths, sizes, scale, 0.0 if seed is None else dropout)
    return _tiled(q, k, v, bias, tiles, seed, settings)


def block_sizes(mask: AttentionMask) -> tuple[int, int]:
    """Queries and keys of a tile, whose logits should stay in cache; smaller within a window, where
    a larger tile has more of what is masked. Measured: docs/performance.md."""
    narrow = isinstance(mask.window, int) and mask.window <= 96
    return (64, 64) if narrow else (128, 128)


@functools.partial(jax.custom_vjp, nondiff_argnums=(6,))
def _tiled(q, k, v, bias, tiles: Tiles, seed, settings: TileSettings):
    return _forward(q, k, v, bias, tiles, seed, settings)[0]


def _forward(q, k, v, bias, tiles: Tiles, seed, settings: TileSettings):
    queries = in_blocks(q * settings.scale, tiles.query_order, settings.sizes[0])
    keys, values = (in_blocks(x[:, :, :, None], tiles.key_order, settings.sizes[1]) for x in (k, v))
    bias = _filled(bias, settings)
    B, n = queries.shape[:2]

    def block(_, number):
        b, i = number // n, number % n
        query, q_i = take(queries, b, i), take(tiles.queries, b, i)

        def tile(c, state):
            top, total, y = state
            j = tiles.key_block(b, i, c)
            logits, keep = _logits(query, keys, q_i, tiles, bias, seed, settings, b, i, j)
            new_top = jnp.maximum(top, logits.max(-1, keepdims=True))
            weights = jnp.exp(logits - new_top)
            shrink = jnp.exp(top - new_top)
            total = total * shrink + weights.sum(-1, keepdims=True)
            dropped = _dropped(weights, keep, settings).astype(v.dtype)
            return new_top, total, y * shrink + _products(dropped, take(values, b, j))

        column = jnp.zeros((*query.shape[:2], 1), jnp.float32)
        state = column + LOWEST / 2, column, jnp.zeros(query.shape, jnp.float32)
        top, total, y = jax.lax.fori_loop(0, tiles.count[b, i], tile, state)
        total = jnp.where(total > 0, total, 1)
        return None, ((y / total).astype(q.dtype), (top + jnp.log(total))[..., 0])

    _, (y, log_sum) = jax.lax.scan(block, None, jnp.arange(B * n))
    y = y.reshape(B, n, *y.shape[1:])
    y = from_blocks(y, tiles.query_order, settings.sizes[0], settings.lengths[0])
    return y, (queries, keys, values, bias, tiles, seed, y, log_sum)


def _backward(settings: TileSettings, saved, dy):
    queries, keys, values, bias, tiles, seed, y, log_sum = saved
    inner = (y.astype(jnp.float32) * dy.astype(jnp.float32)).sum(-1, keepdims=True)
    inner, dys = (in_blocks(x, tiles.query_order, settings.sizes[0]) for x in (inner, dy))
    B, n = queries.shape[:2]

    def block(carry, number):
        b, i = number // n, number % n
        query, q_i = take(queries, b, i), take(tiles.queries, b, i)
        d_y, inner_i, log_sum_i = take(dys, b, i), take(inner, b, i), take(log_sum, number)

        def tile(c, state):
            d_query, d_keys, d_values, d_bias = state
            j = tiles.key_block(b, i, c)
            logits, keep = _logits(query, keys, q_i, tiles, bias, seed, settings, b, i, j)
            weights = jnp.exp(logits - log_sum_i[..., None])
            d_weights = _contracted(d_y, take(values, b, j))
            d_logits = weights * (_dropped(d_weights, keep, settings) - inner_i)
            narrow = d_logits.astype(query.dtype)
            dropped = _dropped(weights, keep, settings).astype(d_y.dtype)
            d_query += _products(narrow, take(keys, b, j))
            d_keys = _added(d_keys, _transposed_products(query, narrow), b, j)
            d_values = _added(d_values, _transposed_products(d_y, dropped), b, j)
            if d_bias is not None:
                d_bias = _bias_added(d_bias, d_logits, settings, b, i, j)
            return d_query, d_keys, d_values, d_bias

        start = (jnp.zeros(query.shape, jnp.float32), *carry)
        d_query, *carry = jax.lax.fori_loop(0, tiles.count[b, i], tile, start)
        return tuple(carry), (d_query * settings.scale).astype(query.dtype)

    # Gradients of keys and values are added up transposed: XLA on CPU rearranges the first factor
    # of a product over rows, which costs less for [q K] than for [q k].
    across = (x.swapaxes(-1, -2) for x in (keys, values))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.float32), (*across, bias))
    (d_k, d_v, d_bias), d_q = jax.lax.scan(block, zeros, jnp.arange(B * n))
    d_q = d_q.reshape(B, n, *d_q.shape[1:])
    d_q = from_blocks(d_q, tiles.query_order, settings.sizes[0], settings.lengths[0])
    d_k, d_v = (
        from_blocks(x.swapaxes(-1, -2), tiles.key_order, settings.sizes[1], settings.lengths[1])[
            :, :, :, 0
        ].astype(keys.dtype)
        for x in (d_k, d_v)
    )
    if bias is not None and d_bias is not None:
        T, S = settings.lengths
        d_bias = d_bias[..., :T, :S].astype(bias.dtype)
    return d_q, d_k, d_v, d_bias, None, None


_tiled.defvjp(_forward, _backward)


def _logits(query, keys, q_i, tiles: Tiles, bias, seed, settings: TileSettings, b, i, j):
    """Logits of a tile [G, R · q, k] in float32, LOWEST where masked, and what dropout keeps of it
    (None: no dropout)."""
    (q_size, _), (T, S) = settings.sizes, settings.lengths
    k_j = take(tiles.keys, b, j)
    logits = _contracted(query, take(keys, b, j))
    shape = (logits.shape[0], -1, q_size, logits.shape[-1])  # [G R q k]
    wide = logits.reshape(shape)
    if bias is not None:
        wide += _bias_of(bias, settings, b, i, j).astype(jnp.float32)
    masked = jnp.where(tiles.visible(q_i, k_j), wide, LOWEST).reshape(logits.shape)
    if seed is None:
        return masked, None
    head = jnp.arange(wide.shape[0] * wide.shape[1], dtype=jnp.uint32).reshape(wide.shape[:2])
    row = q_i.index.astype(jnp.uint32) * jnp.uint32(S) + head[..., None] * jnp.uint32(T * S % 2**32)
    counter = row[..., None] + k_j.index.astype(jnp.uint32)
    keep = kept(take(seed, b)[None], settings.dropout, counter)[0]
    return masked, keep.reshape(logits.shape)


def _dropped(x, keep, settings: TileSettings):
    """Weights after dropout, or their gradients before it."""
    return x if keep is None else jnp.where(keep, x / (1 - settings.dropout), 0)


def _filled(bias, settings: TileSettings):
    """A bias whose queries and keys fill whole blocks."""
    if bias is None:
        return None
    fill = [(0, -n % size) for n, size in zip(settings.lengths, settings.sizes, strict=True)]
    return jnp.pad(bias, [(0, 0)] * (bias.ndim - 2) + fill) if any(map(any, fill)) else bias


def _bias_place(bias, settings: TileSettings, b, i, j):
    """(start, shape) of a tile in a bias [*B G R T S]."""
    q_size, k_size = settings.sizes
    start, shape = (0, 0, i * q_size, j * k_size), (*bias.shape[-4:-2], q_size, k_size)
    return (start, shape) if bias.ndim == 4 else ((b, *start), (1, *shape))


def _bias_of(bias, settings: TileSettings, b, i, j) -> Float[Array, "G R q k"]:
    found = jax.lax.dynamic_slice(bias, *_bias_place(bias, settings, b, i, j))
    return found.reshape(found.shape[-4:])


def _bias_added(d_bias, d_logits, settings: TileSettings, b, i, j):
    start, shape = _bias_place(d_bias, settings, b, i, j)
    old = jax.lax.dynamic_slice(d_bias, start, shape)
    return jax.lax.dynamic_update_slice(d_bias, old + d_logits.reshape(shape), start)


def _added(x, y, b, j):
    """x with y added to its block j of row b."""
    start = (b, j, *[0] * y.ndim)
    old = jax.lax.dynamic_slice(x, start, (1, 1, *y.shape))
    return jax.lax.dynamic_update_slice(x, old + y[None, None], start)


def _contracted(x, y) -> Float[Array, "G q k"]:
    """x yᵀ in float32."""
    return jnp.einsum("GqK,GkK->Gqk", x, y, preferred_element_type=jnp.float32)


def _products(x, y) -> Float[Array, "G q K"]:
    """x y in float32."""
    return jnp.einsum("Gqk,GkK->GqK", x, y, preferred_element_type=jnp.float32)


def _transposed_products(x, y) -> Float[Array, "G K k"]:
    """xᵀ y in float32."""
    return jnp.einsum("GqK,Gqk->GKk", x, y, preferred_element_type=jnp.float32)
