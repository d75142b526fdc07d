"""Disentangled attention (DeBERTa): content and relative position have terms of their own."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from fxformer.errors import UserError
from fxformer.nn.attention import AttentionContext, MultiHeadAttention
from fxformer.nn.cache import KVCache
from fxformer.nn.core import Embedding, Linear
from fxformer.nn.flops import AttentionPairs, kernel_size
from fxformer.nn.position import Position, RelativeEmbeddings
from fxformer.ops.attention.choice import Backend
from fxformer.ops.dropout import drop
from fxformer.types import Count, Part, Rate


class Disentangled(Position):
    """Embedding table of relative distances, one for all layers. He et al. 2021, sec. 3.1.

    max_distance: distances from -max_distance to max_distance - 1 have a row each; larger ones
        share the last
    num_buckets: rows for each sign instead: half of them hold one distance, the width of the others
        grows logarithmically up to `max_distance` (DeBERTa v2); null: no buckets
    norm: of the table's rows (DeBERTa v2 and v3)
    length: maximum length of a row; null: any
    """

    needs_relative_attention = True

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        causal: bool,
        max_distance: Count = 512,
        num_buckets: Count | None = None,
        norm: Part | None = None,
        length: Count | None = None,
        rngs: nnx.Rngs,
    ):
        if num_buckets is not None and (num_buckets < 2 or max_distance - 1 <= num_buckets // 2):
            raise UserError(
                f"{num_buckets} buckets hold distances up to {num_buckets // 2} one by one; "
                "num_buckets must be 2 or more and max_distance larger than "
                f"{num_buckets // 2 + 1}, got {max_distance}"
            )
        self.span = num_buckets or max_distance
        self.relative_embedding = Embedding(2 * self.span, dim, rngs=rngs)
        self.norm = None if norm is None else norm(dim, rngs=rngs)
        self.max_distance, self.num_buckets, self.length = max_distance, num_buckets, length

    @property
    def num_distances(self):
        return 2 * self.span

    def relative(self, distances):
        # A row of S tokens has no distance of S, and from 2 · max_distance on nothing changes:
        # only the rows in between are used, which are an eighth of the table for S = 64.
        far = min(2 * self.max_distance, max(distances.shape))
        row_of = self.rows(far)
        low, high = int(row_of[0]), int(row_of[-1])
        x = self.relative_embedding.embedding[low : high + 1]
        rows = jnp.take(jnp.asarray(row_of - low), jnp.clip(distances, -far, far) + far)
        return RelativeEmbeddings(x if self.norm is None else self.norm(x), rows)

    def rows(self, far: int) -> np.ndarray:
        """The table's row of each distance from -far to far, ascending. int32 [2·far+1], host."""
        distance = np.arange(-far, far + 1)
        if self.num_buckets is not None:
            near = self.num_buckets // 2
            size = np.maximum(np.abs(distance), near).astype(np.float32) / np.float32(near)
            stretch = np.log(size) / np.log(np.float32((self.max_distance - 1) / near))
            beyond = np.sign(distance) * (np.ceil(stretch * (near - 1)) + near)
            distance = np.where(np.abs(distance) <= near, distance, beyond).astype(np.int32)
        return np.clip(distance + self.span, 0, 2 * self.span - 1).astype(np.int32)


class DisentangledLearned(Disentangled):
    """Disentangled plus learned absolute positions: x + table[position], and relative distances
    (DeBERTa with position_biased_input).

    length: rows of that table; the rest as of `Disentangled`
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        causal: bool,
        max_distance: Count = 512,
        num_buckets: Count | None = None,
        norm: Part | None = None,
        length: Count = 512,
        rngs: nnx.Rngs,
    ):
        knobs = {
            "max_distance": max_distance,
            "num_buckets": num_buckets,
            "norm": norm,
            "length": length,
        }
        super().__init__(dim, heads=heads, causal=causal, **knobs, rngs=rngs)
        self.table = Embedding(length, dim, rngs=rngs)

    def embed(self, x, positions):
        return x + self.table(positions)


class DisentangledAttention(MultiHeadAttention):
    """softmax((q k + q r_k[d] + k r_q[d]) / √(n K)) v, with r_k and r_q projections of the relative
    embeddings, one each a layer; n counts the terms. He et al. 2021, eq. 4 (DeBERTa).

    Requires model/position=disentangled, whose table is as wide as the model. In cross-attention,
    which has no distances, it is plain multi-head attention.

    content_to_position, position_to_content: whether there is that term (c2p, p2c)
    share_projections: r_k and r_q use the projections of keys and queries (DeBERTa v3)
    key_bias: whether the projections of keys and of r_k have a bias (DeBERTa v1: no)
    position_dropout: on the relative embeddings
    backend: as of `MultiHeadAttention`
    """

    position = Disentangled  # read by the check of a config

    def __init__(
        self,
        dim: int,
        *,
        heads: Count,
        content_to_position: bool = True,
        position_to_content: bool = True,
        share_projections: bool = True,
        key_bias: bool = True,
        dropout: Rate = 0.0,
        position_dropout: Rate = 0.0,
        backend: Backend = "auto",
        rngs: nnx.Rngs,
    ):
        super().__init__(dim, heads=heads, dropout=dropout, backend=backend, rngs=rngs)
        inner = heads * self.head_dim
        if not key_bias:
            self.k = Linear(dim, inner, bias=False, rngs=rngs)
        own_k, own_q = (
            content_to_position and not share_projections,
            position_to_content and not share_projections,
        )
        self.position_k = Linear(dim, inner, bias=key_bias, rngs=rngs) if own_k else None
        self.position_q = Linear(dim, inner, rngs=rngs) if own_q else None
        self.content_to_position, self.position_to_content = (
            content_to_position,
            position_to_content,
        )
        self.scale = ((1 + content_to_position + position_to_content) * self.head_dim) ** -0.5
        self.share_projections, self.position_dropout = share_projections, position_dropout

    def logits_bias(self, q, k, context: AttentionContext, key):
        """The terms c2p and p2c. Raises UserError where there are no relative embeddings, or their
        width is not the model's."""
        if context.position is None:
            return None
        dropout_key = None if key is None else jax.random.fold_in(key, 1)
        return self.distance_terms(q, k, context.relative, dropout_key)

    def distance_terms(
        self,
        q: Float[Array, "B T H K"],
        k: Float[Array, "B S H K"],
        relative: RelativeEmbeddings | None,
        key: Array | None,
    ) -> Float[Array, "B H T S"] | None:
        """c2p + p2c; None if the attention has neither."""
        if relative is None or relative.table.shape[-1] != self.q.dim:
            raise UserError(
                "disentangled attention requires relative embeddings as wide as the model: write "
                "model/position=disentangled and model.input.width=null"
            )
        table = drop(relative.table, self.position_dropout, key, per_row=False)
        bias = jnp.zeros((), q.dtype)
        if self.content_to_position:
            r = self.project_distances(self.position_k or self.k, table)
            c2p = jnp.einsum("BTHK,RHK->BHTR", q * self.scale, r)
            bias += jnp.take_along_axis(c2p, relative.rows[None, None], axis=-1)
        if self.position_to_content:
            r = self.project_distances(self.position_q or self.q, table)
            p2c = jnp.einsum("BSHK,RHK->BHSR", k * self.scale, r)
            p2c = jnp.take_along_axis(p2c, relative.rows.T[None, None], axis=-1)
            bias += p2c.swapaxes(-1, -2)
        return bias if bias.ndim else None

    def init_cache(self, batch: int, length: int, dtype=jnp.float32) -> KVCache:
        """As of `MultiHeadAttention`, for each row alone: p2c is of a row's own keys."""
        return dataclasses.replace(super().init_cache(batch, length, dtype), shareable=False)

    def flops(self, pairs: AttentionPairs) -> int:
        """Plus, for each term, a product with the embedding of each distance that a query meets, or
        with all of them where there are fewer; and their projection, once for all rows."""
        plain = super().flops(pairs)
        if not pairs.segment_lengths or not pairs.num_distances:
            return plain
        met = sum(n * min(n, pairs.num_distances) for n in pairs.segment_lengths)
        projected = min(pairs.num_distances, 2 * max(pairs.segment_lengths) - 1)
        each = self.heads * self.head_dim * min(met, pairs.pairs)
        each += projected * kernel_size(self.q)
        return plain + 2 * (self.content_to_position + self.position_to_content) * each

    def project_distances(
        self, linear: Linear, table: Float[Array, "R D"]
    ) -> Float[Array, "R H K"]:
        """The relative embeddings projected and split into heads."""
        return linear(table.astype(linear.kernel.dtype)).reshape(-1, self.heads, self.head_dim)
