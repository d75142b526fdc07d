"""Tiles of an attention matrix: which blocks of keys each block of queries attends to.

Queries and keys are cut into blocks. A tile is a block of queries beside a block of keys; it is
left out where the mask empties it: by causality, by the window, or because no segment of the
queries is among those of the keys. Global tokens stand apart, in blocks of their own, so that a
window with them costs O(T · (window + number of global tokens)).
"""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Bool, Int

from fxformer.ops.attention.mask import AttentionMask

FAR = 1 << 30  # larger than any index or segment
REPEATS = "repeats="  # name of a value in a loop whose number of turns depends on data


@flax.struct.dataclass
class TileBlock:
    """What the mask needs to know of a block of tokens.

    index: in the row; segments: 0 for padding
    prefix, exempt: as of `AttentionMask`, for keys; None: none
    """

    index: Int[Array, "*N b"]
    segments: Int[Array, "*N b"]
    prefix: Bool[Array, "*N b"] | None = None
    exempt: Bool[Array, "*N b"] | None = None


@flax.struct.dataclass
class Tiles:
    """The tiles of all rows.

    queries, keys: blocks, [B, blocks, size]
    order: for each block of queries the blocks of keys, those of its tiles first; count: of them
    query_order, key_order: index in the row of each query and key, where they are not in order
    causal, window: as of `AttentionMask`
    mean: number of tiles of a block of queries in a row that is one segment, for counts of FLOPs
    """

    queries: TileBlock
    keys: TileBlock
    order: Int[Array, "B n m"]
    count: Int[Array, "B n"]
    query_order: Int[Array, "B T"] | None
    key_order: Int[Array, "B S"] | None
    causal: bool = flax.struct.field(pytree_node=False)
    window: int | None = flax.struct.field(pytree_node=False)
    mean: float = flax.struct.field(pytree_node=False)

    def key_block(self, b, i, turn) -> Int[Array, ""]:
        """Index of the block of keys of one tile of block i of row b; in a loop over tiles."""
        return checkpoint_name(self.order[b, i, turn], f"{REPEATS}{self.mean}")

    def visible(self, query: TileBlock, key: TileBlock) -> Bool[Array, "q k"]:
        """True where a query of a block attends to a key of a block."""
        q, k = query.index[:, None], key.index[None, :]
        mask = query.segments[:, None] == key.segments[None, :]
        mask &= key.segments[None, :] > 0
        if self.causal:
            earlier = k <= q
            mask &= earlier if key.prefix is None else earlier | key.prefix[None, :]
        if self.window is not None:
            near = jnp.abs(q - k) < self.window
            mask &= near if key.exempt is None else near | key.exempt[None, :]
        return mask


def make_tiles(mask: AttentionMask, query_size: int, key_size: int) -> Tiles:
    """Tiles of blocks of so many queries and keys.

    mask: with its window, if any, as a Python integer, keys in order and no cache
    """
    exempt = mask.window_exempt if mask.window is not None else None
    query_order = None if mask.queries is None else _chosen_first(mask.queries)
    key_order = None if exempt is None else _chosen_first(exempt)
    segments = mask.query_segments
    if mask.queries is not None:
        segments = jnp.where(mask.queries, segments, 0)
    queries = _blocks(query_size, query_order, segments)
    keys = _blocks(key_size, key_order, mask.key_segments, mask.prefix, exempt)
    window = None if mask.window is None else int(mask.window)
    found = _with_tiles(queries, keys, mask.causal, window)
    mean = _mean_tiles(mask, window, query_size, key_size)
    return Tiles(queries, keys, *found, query_order, key_order, mask.causal, window, mean)


def _mean_tiles(mask: AttentionMask, window: int | None, query_size: int, key_size: int) -> float:
    """Tiles of a block of queries on average, where a row is one segment without prefix; with one
    block of global tokens, if there are any."""
    q = np.arange(0, mask.query_segments.shape[1], query_size)[:, None]
    k = np.arange(0, mask.key_segments.shape[1], key_size)[None, :]
    last_q, last_k = q + query_size - 1, k + key_size - 1
    tile = (k <= last_q) | (not mask.causal)
    if window is not None:
        tile &= (k - last_q < window) & (q - last_k < window)
        tile |= (k == 0) & (mask.window_exempt is not None)
    return float((tile.sum(1) if mask.queries is None else tile[:1].sum() / len(q)).mean())


def _chosen_first(chosen: Bool[Array, "B T"]) -> Int[Array, "B T"]:
    """Indices of the tokens, the chosen ones first."""
    return jnp.argsort(~chosen, axis=1, stable=True)


def _blocks(size, order, segments, prefix=None, exempt=None) -> TileBlock:
    """The tokens of all rows in blocks; those that fill up the last are padding."""
    index = jnp.broadcast_to(jnp.arange(segments.shape[1]), segments.shape)

    def cut(x: Array) -> Array:
        x = x if order is None else jnp.take_along_axis(x, order, axis=1)
        x = jnp.pad(x, ((0, 0), (0, -x.shape[1] % size)))
        return x.reshape(x.shape[0], -1, size)

    return jax.tree.map(cut, TileBlock(index, segments, prefix, exempt))


def _with_tiles(queries: TileBlock, keys: TileBlock, causal: bool, window: int | None):
    """(blocks of keys, those of tiles first; number of tiles) of each block of queries.

    A block of tokens is known by its least and largest index and segment, so a tile may still turn
    out to be empty.
    """
    (q_low, q_high), (k_low, k_high) = (_range(b.index, b) for b in (queries, keys))
    (q_first, q_last), (k_first, k_last) = (_range(b.segments, b) for b in (queries, keys))
    tile = _overlap(q_first, q_last, k_first, k_last)
    if causal:
        earlier = k_low[:, None, :] <= q_high[:, :, None]
        tile &= earlier if keys.prefix is None else earlier | _any(keys.prefix)
    if window is not None:
        reach = window - 1
        near = _overlap(q_low - reach, q_high + reach, k_low, k_high)
        tile &= near if keys.exempt is None else near | _any(keys.exempt)
    order = jnp.argsort(~tile, axis=-1, stable=True).astype(jnp.int32)
    return order, tile.sum(-1, dtype=jnp.int32)


def _range(x: Int[Array, "B n b"], block: TileBlock):
    """Least and largest value of each block, padding aside: (FAR, -FAR) where all is padding."""
    real = block.segments > 0
    return jnp.where(real, x, FAR).min(-1), jnp.where(real, x, -FAR).max(-1)


def _overlap(low, high, other_low, other_high) -> Bool[Array, "B n m"]:
    """True where the ranges of two blocks meet."""
    return (low[:, :, None] <= other_high[:, None, :]) & (other_low[:, None, :] <= high[:, :, None])


def _any(chosen: Bool[Array, "B m b"]) -> Bool[Array, "B 1 m"]:
    return chosen.any(-1)[:, None, :]


def in_blocks(x: Array, order: Array | None, size: int) -> Array:
    """Rows of x [B T G R K] as blocks [B, n, G, R · size, K], ordered, filled up with zeros."""
    if order is not None:
        x = jnp.take_along_axis(x, order[:, :, None, None, None], axis=1)
    B, T, G, R, K = x.shape
    x = jnp.pad(x, ((0, 0), (0, -T % size), *[(0, 0)] * 3))
    x = x.reshape(B, -1, size, G, R, K).transpose(0, 1, 3, 4, 2, 5)
    return x.reshape(B, -1, G, R * size, K)


def from_blocks(x: Array, order: Array | None, size: int, length: int) -> Array:
    """The inverse of `in_blocks`: [B, n, G, R · size, K] -> [B T G R K]."""
    B, n, G, _, K = x.shape
    x = x.reshape(B, n, G, -1, size, K).transpose(0, 1, 4, 2, 3, 5)
    x = x.reshape(B, n * size, *x.shape[3:])[:, :length]
    if order is None:
        return x
    back = jnp.argsort(order, axis=1)
    return jnp.take_along_axis(x, back[:, :, None, None, None], axis=1)


def take(tree, *index):
    """Block of this index in every array of a tree; the leading axes are indexed."""

    def pick(x):
        starts = [*index, *[0] * (x.ndim - len(index))]
        sizes = [*[1] * len(index), *x.shape[len(index) :]]
        return jax.lax.dynamic_slice(x, starts, sizes).reshape(x.shape[len(index) :])

    return jax.tree.map(pick, tree)
