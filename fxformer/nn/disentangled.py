"""Disentangled attention: content and relative position are looked up apart."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from fxformer.errors import UserError
from fxformer.nn.attention import MultiHeadAttention
from fxformer.nn.core import Linear, Table, drop
from fxformer.nn.flops import Seen, kernels
from fxformer.nn.position import Position, Relative
from fxformer.types import Count, Part, Rate


class Disentangled(Position):
    """A learned vector for each distance, one table for all layers. He et al. 2021, sec. 3.1.

    reach: distances from -reach to reach - 1 have a row each; those beyond share the last
    buckets: rows to each side instead: half of them hold one distance, the others grow
        logarithmically up to `reach` (DeBERTa v2); null: no buckets
    norm: over the table's rows (DeBERTa v2 and v3)
    length: the longest row; null: any
    """

    tells_distances = True

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        causal: bool,
        reach: Count = 512,
        buckets: Count | None = None,
        norm: Part | None = None,
        length: Count | None = None,
        rngs: nnx.Rngs,
    ):
        if buckets is not None and (buckets < 2 or reach - 1 <= buckets // 2):
            raise UserError(
                f"{buckets} buckets hold distances up to {buckets // 2} one by one, so there must "
                f"be two or more and reach larger than {buckets // 2 + 1}, got {reach}"
            )
        self.span = buckets or reach
        self.relatives = Table(2 * self.span, dim, rngs=rngs)
        self.norm = None if norm is None else norm(dim, rngs=rngs)
        self.reach, self.buckets, self.length = reach, buckets, length

    @property
    def distances(self):
        return 2 * self.span

    def relative(self, gap):
        # A row of S tokens has no distance of S, and from 2 · reach on nothing changes: of the
        # table only what lies between is taken, which is an eighth of it in rows of 64.
        far = min(2 * self.reach, max(gap.shape))
        known = self.rows(far)
        low, high = int(known[0]), int(known[-1])
        x = self.relatives.embedding[low : high + 1]
        rows = jnp.take(jnp.asarray(known - low), jnp.clip(gap, -far, far) + far)
        return Relative(x if self.norm is None else self.norm(x), rows)

    def rows(self, far: int) -> np.ndarray:
        """The table's row of each distance from -far to far, ascending. int32 [2·far+1], host."""
        gap = np.arange(-far, far + 1)
        if self.buckets is not None:
            near = self.buckets // 2
            size = np.maximum(np.abs(gap), near).astype(np.float32) / np.float32(near)
            stretch = np.log(size) / np.log(np.float32((self.reach - 1) / near))
            beyond = np.sign(gap) * (np.ceil(stretch * (near - 1)) + near)
            gap = np.where(np.abs(gap) <= near, gap, beyond).astype(np.int32)
        return np.clip(gap + self.span, 0, 2 * self.span - 1).astype(np.int32)


class DisentangledLearned(Disentangled):
    """Disentangled, and x + table[at] besides (DeBERTa with position_biased_input).

    length: rows of that table; the rest as of `Disentangled`
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        causal: bool,
        reach: Count = 512,
        buckets: Count | None = None,
        norm: Part | None = None,
        length: Count = 512,
        rngs: nnx.Rngs,
    ):
        knobs = {"reach": reach, "buckets": buckets, "norm": norm, "length": length}
        super().__init__(dim, heads=heads, causal=causal, **knobs, rngs=rngs)
        self.table = Table(length, dim, rngs=rngs)

    def embed(self, x, at):
        return x + self.table(at)


class DisentangledAttention(MultiHeadAttention):
    """softmax((q k + q r_k[gap] + k r_q[gap]) / √(n K)) v, r made of the relative table by one
    projection a layer; n counts the terms. He et al. 2021, eq. 4 (DeBERTa).

    Wants model/position=disentangled, whose table is as wide as the model. Across stacks, where
    there are no distances, it is plain attention.

    from_content: the second term (c2p); from_position: the third (p2c)
    shared: r is made by the projections of queries and keys themselves (DeBERTa v3)
    key_bias: whether keys, and what keys of distances are made by, have a bias (v1: not)
    position_dropout: on the relative table
    """

    position = Disentangled  # for the check of a config: nothing else tells it distances

    def __init__(
        self,
        dim: int,
        *,
        heads: Count,
        from_content: bool = True,
        from_position: bool = True,
        shared: bool = True,
        key_bias: bool = True,
        dropout: Rate = 0.0,
        position_dropout: Rate = 0.0,
        rngs: nnx.Rngs,
    ):
        super().__init__(dim, heads=heads, dropout=dropout, rngs=rngs)
        inner = heads * self.width
        if not key_bias:
            self.k = Linear(dim, inner, bias=False, rngs=rngs)
        own_k, own_q = from_content and not shared, from_position and not shared
        self.position_k = Linear(dim, inner, bias=key_bias, rngs=rngs) if own_k else None
        self.position_q = Linear(dim, inner, rngs=rngs) if own_q else None
        self.from_content, self.from_position = from_content, from_position
        self.scale = ((1 + from_content + from_position) * self.width) ** -0.5
        self.shared, self.position_dropout = shared, position_dropout

    def bias(self, q, k, where, key):
        """c2p and p2c. Raises UserError where there is no relative table, or one of another width
        than the model's."""
        if where.position is None:
            return None
        own = None if key is None else jax.random.fold_in(key, 1)
        return self.relative(q, k, where.relative, own)

    def relative(
        self,
        q: Float[Array, "B T H K"],
        k: Float[Array, "B S H K"],
        relative: Relative | None,
        key: Array | None,
    ) -> Float[Array, "B H T S"] | None:
        """What distances add to the logits."""
        if relative is None or relative.table.shape[-1] != self.q.kernel.shape[-2]:
            raise UserError(
                "disentangled attention reads a relative table as wide as the model: write "
                "model/position=disentangled and model.embed.width=null"
            )
        table = drop(relative.table, self.position_dropout, key)
        bias = jnp.zeros((), q.dtype)
        if self.from_content:
            r = self.heads_of(self.k if self.shared else self.position_k, table)
            c2p = jnp.einsum("BTHK,RHK->BHTR", q * self.scale, r)
            bias += jnp.take_along_axis(c2p, relative.rows[None, None], axis=-1)
        if self.from_position:
            r = self.heads_of(self.q if self.shared else self.position_q, table)
            p2c = jnp.einsum("BSHK,RHK->BHSR", k * self.scale, r)
            p2c = jnp.take_along_axis(p2c, relative.rows.T[None, None], axis=-1)
            bias += p2c.swapaxes(-1, -2)
        return bias if bias.ndim else None

    def flops(self, seen: Seen) -> int:
        """For each term, a product with the vector of each distance that a query sees, or with all
        vectors where there are fewer of them; and the making of these, once for all rows."""
        plain = super().flops(seen)
        if not seen.pieces or not seen.distances:
            return plain
        looks = sum(n * min(n, seen.distances) for n in seen.pieces)
        told = min(seen.distances, 2 * max(seen.pieces) - 1)
        each = self.heads * self.width * min(looks, seen.pairs) + told * kernels(self.q)
        return plain + 2 * (self.from_content + self.from_position) * each

    def heads_of(self, linear: Linear, table: Float[Array, "R D"]) -> Float[Array, "R H K"]:
        """The table's rows projected, head by head."""
        return linear(table.astype(linear.kernel.dtype)).reshape(-1, self.heads, self.width)
