"""Self-attention of several streams: one reads the text, the others foretell it from less of it."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from fxformer.errors import UserError
from fxformer.nn.attention import Cache, MultiHeadAttention
from fxformer.nn.core import Linear, drop
from fxformer.nn.flops import Seen, kernels
from fxformer.nn.position import bucket
from fxformer.ops.attention_mask import Mask
from fxformer.types import Count, Rate


@dataclasses.dataclass(frozen=True)
class Streams:
    """What the streams of a decoder may see of the tokens, made once for all layers. P streams:
    the main one, which reads, then one for each token ahead.

    seen: which tokens a query of each stream sees. A query of predicting stream s (0, 1, …) sees
        those that come s or more before it, and always the first of its segment
    gap: how far before it each is; for a predicting stream one more, for there it stands itself
    watch: as of `Where`, for the main stream
    """

    seen: Bool[Array, "B P T S"]
    gap: Int[Array, "P T S"]
    watch: list[Float[Array, "B H T S"]] | None = None

    @classmethod
    def of(cls, mask: Mask, ahead: int) -> "Streams":
        """Those of a causal mask, with so many predicting streams."""
        gap, causal = mask.gap(), mask.dense()[:, 0]
        first = jnp.pad(mask.key, ((0, 0), (1, 0)), constant_values=-1)[:, :-1] != mask.key
        late = [causal & ((gap >= s) | first[:, None, :]) for s in range(ahead)]
        return cls(jnp.stack([causal, *late], 1), jnp.stack([gap] + [gap + 1] * ahead))


class NgramAttention(MultiHeadAttention):
    """softmax(q_s [k | k_s]ᵀ / √K + bias_s) [v | v_s] for each stream s. Qi et al. 2020, sec. 3.3.

    k, v are those of the main stream's tokens, k_s, v_s the query's own, which the main stream
    has among its tokens already. The bias is a number for each bucket of distances and head, made
    of the query's own vector: x_s W + b.

    buckets, reach: of the distances, as in `RelativeBuckets`
    """

    reads_streams = True  # for the check of a config: only an n-gram decoder makes them

    def __init__(
        self,
        dim: int,
        *,
        heads: Count,
        buckets: Count = 32,
        reach: Count = 128,
        dropout: Rate = 0.0,
        rngs: nnx.Rngs,
    ):
        super().__init__(dim, heads=heads, dropout=dropout, rngs=rngs)
        if buckets < 2 or reach <= buckets // 2:
            raise UserError(
                f"{buckets} buckets hold distances up to {buckets // 2} one by one, so there must "
                f"be two or more of them, and reach must be larger than half of them, got {reach}"
            )
        self.relative = Linear(dim, buckets * heads, rngs=rngs)
        self.buckets, self.reach = buckets, reach

    def __call__(
        self,
        x: Float[Array, "B P·T D"],
        memory: Float[Array, "B P·T D"],
        where: Streams,
        *,
        window: None = None,
        depth: Array | float = 1.0,
        cache: Cache | None = None,
        key: Array | None = None,
    ) -> tuple[Float[Array, "B P·T D"], Cache | None]:
        """x: the streams one after the other. The cache holds the main stream's keys, values."""
        streams, length = where.seen.shape[1:3]
        q, own_k, own_v = (
            y.reshape(len(x), streams, length, self.heads, self.width)
            for y in self.project(x, memory)
        )
        k, v = own_k[:, 0], own_v[:, 0]
        if cache is not None:
            cache = cache.push(k, v)
            k, v = cache.k.astype(k.dtype), cache.v.astype(v.dtype)
        bias = self.biases(x.reshape(len(x), streams, length, -1))  # [B P H T buckets]
        logits = self._logits("BPTHK,BSHK->BPHTS", q, k)
        logits += self.spread(bias, where.gap)
        logits = jnp.where(where.seen[:, :, None], logits, jnp.finfo(jnp.float32).min)
        own = self._logits("BPTHK,BPTHK->BPHT", q, own_k) + bias[..., 0]  # a distance of 0
        main = jnp.arange(streams)[:, None, None] == 0
        own = jnp.where(main, jnp.finfo(jnp.float32).min, own)
        weights = jax.nn.softmax(jnp.concatenate([logits, own[..., None]], -1), -1)
        if where.watch is not None:
            where.watch.append(jnp.where(where.seen[:, :1], weights[:, 0, ..., :-1], 0))
        weights = drop(weights.astype(v.dtype), self.dropout, key)
        y = jnp.einsum("BPHTS,BSHK->BPTHK", weights[..., :-1], v)
        y += jnp.einsum("BPHT,BPTHK->BPTHK", weights[..., -1], own_v)
        return self.o(y.reshape(*x.shape[:2], self.heads * self.width)), cache

    def flops(self, seen: Seen) -> int:
        """Each query, of every stream, also makes its own bias."""
        return super().flops(seen) + 2 * seen.queries * kernels(self.relative)

    def biases(self, x: Float[Array, "B P T D"]) -> Float[Array, "B P H T buckets"]:
        """What each query adds to its logits, by bucket and head."""
        y = self.relative(x).reshape(*x.shape[:3], self.buckets, self.heads)
        return jnp.moveaxis(y, -1, 2).astype(jnp.float32)

    def spread(
        self, bias: Float[Array, "B P H T buckets"], gap: Int[Array, "P T S"]
    ) -> Float[Array, "B P H T S"]:
        """The same by key."""
        place = bucket(jnp.maximum(gap, 0), self.buckets, self.reach)
        return jnp.take_along_axis(bias, place[None, :, None], axis=-1)

    def _logits(self, subscripts: str, q: Array, k: Array) -> Array:
        return jnp.einsum(subscripts, q * self.scale, k, preferred_element_type=jnp.float32)
