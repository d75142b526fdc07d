"""N-gram attention of ProphetNet: a main stream and n predicting streams over the same tokens."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from fxformer.errors import UserError
from fxformer.nn.attention import MultiHeadAttention
from fxformer.nn.cache import KVCache
from fxformer.nn.core import Linear
from fxformer.nn.flops import AttentionPairs, kernel_size
from fxformer.nn.position import relative_bucket
from fxformer.ops.attention.mask import AttentionMask
from fxformer.ops.dropout import drop
from fxformer.types import Count, Rate


@dataclasses.dataclass(frozen=True)
class StreamContext:
    """`AttentionContext` of the P streams of an n-gram decoder, computed once for all layers: the
    main stream, then one for each predicted token.

    mask: which tokens a query of each stream attends to. A query of predicting stream s (0, 1, …)
        attends to those that come s or more before it, and always to the first of its segment
    distances: of each token from the query; one more for a predicting stream, whose own place comes
        in between
    capture, capture_products: as of `AttentionContext`, for the main stream
    """

    mask: Bool[Array, "B P T S"]
    distances: Int[Array, "P T S"]
    capture: list[Float[Array, "B H T S"]] | None = None
    capture_products: list[tuple[Float[Array, "B T H K"], Float[Array, "B S H K"]]] | None = None

    @classmethod
    def of(cls, mask: AttentionMask, num_predicted: int) -> "StreamContext":
        """That of a causal mask and a number of predicting streams."""
        distances, causal, keys = mask.distances(), mask.to_dense()[:, 0], mask.key_segments
        first = jnp.pad(keys, ((0, 0), (1, 0)), constant_values=-1)[:, :-1] != keys
        late = [causal & ((distances >= s) | first[:, None, :]) for s in range(num_predicted)]
        return cls(
            jnp.stack([causal, *late], 1),
            jnp.stack([distances] + [distances + 1] * num_predicted),
        )


class NgramAttention(MultiHeadAttention):
    """softmax(q_s [k | k_s]ᵀ / √K + bias_s) [v | v_s] for each stream s. Qi et al. 2020, sec. 3.3.

    k and v are keys and values of the main stream, k_s and v_s those of the query's own place (the
    main stream has them among its tokens already). The relative bias of each bucket of distances
    and head is computed from the query's input: x_s W + b.

    num_buckets, max_distance: of the distances, as in `RelativeBuckets`
    """

    needs_ngram_decoder = True  # read by the check of a config

    def __init__(
        self,
        dim: int,
        *,
        heads: Count,
        num_buckets: Count = 32,
        max_distance: Count = 128,
        dropout: Rate = 0.0,
        rngs: nnx.Rngs,
    ):
        super().__init__(dim, heads=heads, dropout=dropout, rngs=rngs)
        if num_buckets < 2 or max_distance <= num_buckets // 2:
            raise UserError(
                f"{num_buckets} buckets hold distances up to {num_buckets // 2} one by one; "
                "num_buckets must be 2 or more and max_distance larger than half of them, got "
                f"{max_distance}"
            )
        self.relative = Linear(dim, num_buckets * heads, rngs=rngs)
        self.num_buckets, self.max_distance = num_buckets, max_distance

    def __call__(
        self,
        x: Float[Array, "B P·T D"],
        kv_input: Float[Array, "B P·T D"],
        context: StreamContext,
        *,
        window: None = None,
        layer_index: Array | float = 1.0,
        cache: KVCache | None = None,
        key: Array | None = None,
    ) -> tuple[Float[Array, "B P·T D"], KVCache | None]:
        """x: the streams one after the other. The cache holds keys and values of the main stream.

        window, layer_index: not used; the rest as of `MultiHeadAttention`
        """
        streams, length = context.mask.shape[1:3]
        q, own_k, own_v = (
            y.reshape(len(x), streams, length, self.heads, self.head_dim)
            for y in self.project(x, kv_input)
        )
        k, v = own_k[:, 0], own_v[:, 0]
        if cache is not None:
            k, v, cache = cache.extend(k, v)
        self.record_products(q[:, 0], k, context.capture_products)
        bias = self.relative_bias(x.reshape(len(x), streams, length, -1))  # [B P H T num_buckets]
        logits = self._logits("BPTHK,BSHK->BPHTS", q, k)
        logits += self.bias_by_key(bias, context.distances)
        logits = jnp.where(context.mask[:, :, None], logits, jnp.finfo(jnp.float32).min)
        own = self._logits("BPTHK,BPTHK->BPHT", q, own_k) + bias[..., 0]  # a distance of 0
        main = jnp.arange(streams)[:, None, None] == 0
        own = jnp.where(main, jnp.finfo(jnp.float32).min, own)
        weights = jax.nn.softmax(jnp.concatenate([logits, own[..., None]], -1), -1)
        if context.capture is not None:
            context.capture.append(jnp.where(context.mask[:, :1], weights[:, 0, ..., :-1], 0))
        weights = drop(weights.astype(v.dtype), self.dropout, key)
        y = jnp.einsum("BPHTS,BSHK->BPTHK", weights[..., :-1], v)
        y += jnp.einsum("BPHT,BPTHK->BPTHK", weights[..., -1], own_v)
        return self.output(y.reshape(*x.shape[:2], self.heads, self.head_dim)), cache

    def init_cache(self, batch: int, length: int, dtype=jnp.float32) -> KVCache:
        """As of `MultiHeadAttention`, for each row alone."""
        return dataclasses.replace(super().init_cache(batch, length, dtype), shareable=False)

    def flops(self, pairs: AttentionPairs) -> int:
        """Plus the relative bias that each query of every stream computes."""
        return super().flops(pairs) + 2 * pairs.queries * kernel_size(self.relative)

    def relative_bias(self, x: Float[Array, "B P T D"]) -> Float[Array, "B P H T num_buckets"]:
        """Added to the logits of each query, by bucket of distances and head."""
        y = self.relative(x).reshape(*x.shape[:3], self.num_buckets, self.heads)
        return jnp.moveaxis(y, -1, 2).astype(jnp.float32)

    def bias_by_key(
        self, bias: Float[Array, "B P H T num_buckets"], distances: Int[Array, "P T S"]
    ) -> Float[Array, "B P H T S"]:
        """The relative bias of each key, gathered by the bucket of its distance."""
        place = relative_bucket(jnp.maximum(distances, 0), self.num_buckets, self.max_distance)
        return jnp.take_along_axis(bias, place[None, :, None], axis=-1)

    def _logits(self, subscripts: str, q: Array, k: Array) -> Array:
        return jnp.einsum(subscripts, q * self.scale, k, preferred_element_type=jnp.float32)
