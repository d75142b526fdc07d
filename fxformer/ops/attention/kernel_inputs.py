"""Arguments of attention kernels: whole blocks of queries and keys, heads as one dimension."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fxformer.ops.attention.mask import AttentionMask

# A kernel of cuDNN gives gradients that are NaN at lengths of 64 modulo 128 with a mask
# (pytorch#196678), and the Pallas kernels take whole blocks only.
BLOCK = 128


def whole_blocks(q: Float[Array, "B T G R K"], k, v, mask: AttentionMask):
    """Queries [B T H K], keys and values [B S G K], and segments of queries and keys, filled up to
    a multiple of BLOCK with padding."""

    def fill(x):
        return jnp.pad(x, ((0, 0), (0, -x.shape[1] % BLOCK), *[(0, 0)] * (x.ndim - 2)))

    queries = q.reshape(*q.shape[:2], -1, q.shape[-1])
    found = (queries, k, v, mask.query_segments, mask.key_segments)
    return tuple(fill(x) for x in found)


def ungrouped(y: Float[Array, "B T H K"], like: Float[Array, "B T G R K"]):
    """Outputs of the queries that were given, in their shape."""
    return y[:, : like.shape[1]].reshape(like.shape)


def dense(
    mask: AttentionMask, query_segments: Int[Array, "B T"], key_segments: Int[Array, "B S"]
) -> Array:
    """The mask of queries and keys that were filled up. bool [B 1 T S]"""
    more = key_segments.shape[1] - mask.key_segments.shape[1]

    def fill(x):
        return None if x is None else jnp.pad(x, ((0, 0), (0, more)))

    return AttentionMask(
        query_segments,
        key_segments,
        causal=mask.causal,
        prefix=fill(mask.prefix),
        window=mask.window,
        window_exempt=fill(mask.window_exempt),
    ).to_dense()
