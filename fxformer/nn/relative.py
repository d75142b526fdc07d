"""Transformer-XL attention: relative sinusoidal distances and a memory of earlier tokens.

In training the memory is that of nn/memory.py: its keys come before those of the row, and the mask
says which of them a row sees.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from fxformer.errors import UserError
from fxformer.nn.attention import AttentionContext, MultiHeadAttention
from fxformer.nn.cache import KVCache, XLMemory
from fxformer.nn.core import Linear
from fxformer.nn.flops import AttentionPairs, kernel_size
from fxformer.nn.position import Position
from fxformer.ops.attention.attend import attend
from fxformer.ops.attention.choice import Backend
from fxformer.ops.attention.mask import NO_WINDOW, AttentionMask, segment_positions
from fxformer.ops.dropout import drop
from fxformer.types import Count, Positive, Rate


class RelativeSinusoids(Position):
    """[sin(d/f) | cos(d/f)] of the distance d of a query from a key, f = base^(2j/D).
    Dai et al. 2019, sec. 3.3; requires `RelativeAttention`.

    clamp_distance: larger distances are treated as this one; null: no limit
    """

    needs_relative_attention = True
    shares_biases: ClassVar[bool] = False
    content_bias: nnx.Param | None = None
    distance_bias: nnx.Param | None = None

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        causal: bool,
        base: Positive = 10_000.0,
        clamp_distance: Count | None = None,
        rngs: nnx.Rngs,
    ):
        self.base, self.clamp_distance = base, clamp_distance

    def sinusoids(self, distances: Int[Array, "R"], dim: int) -> Float[Array, "R D"]:
        """The sinusoids of these distances; in float32, as checkpoints were trained."""
        if self.clamp_distance is not None:
            distances = jnp.clip(distances, -self.clamp_distance, self.clamp_distance)
        rate = 1.0 / jnp.float32(self.base) ** (jnp.arange(0, dim, 2, dtype=jnp.float32) / dim)
        angle = distances[:, None].astype(jnp.float32) * rate
        return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)[:, :dim]


class RelativeSinusoidsShared(RelativeSinusoids):
    """RelativeSinusoids, and one pair of query biases u and w that all layers share.

    head_dim: width of a head; null: dim / heads. The rest as of `RelativeSinusoids`
    """

    shares_biases = True

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        causal: bool,
        base: Positive = 10_000.0,
        clamp_distance: Count | None = None,
        head_dim: Count | None = None,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            dim, heads=heads, causal=causal, base=base, clamp_distance=clamp_distance, rngs=rngs
        )
        inner = heads * (head_dim or dim // heads)
        self.content_bias = nnx.Param(jnp.zeros((inner,), jnp.float32))
        self.distance_bias = nnx.Param(jnp.zeros((inner,), jnp.float32))


class RelativeAttention(MultiHeadAttention):
    """softmax(((q + u) k + (q + w) r[d]) / √K) v, r = sinusoids W_r. Dai et al. 2019, sec. 3.3.

    Requires model/position=relative. In cross-attention, which has no distances, it is plain
    multi-head attention.

    memory_length: number of places before the text that every query may attend to (within its
        window): those of the cache (`XLMemory`), or zero inputs at the beginning of a text, as in
        published models. What a query attends to then depends on how the text is split, unless
        model.windows are no larger. null: no such places, and a cache of the whole text
    per_layer_bias: whether each layer has its own u and w; false: the position has them
        (relative_shared)
    position_dropout: on the sinusoids
    backend: as of `MultiHeadAttention`
    """

    position: ClassVar[type] = RelativeSinusoids  # read by the check of a config
    carries_memory: ClassVar[bool] = True

    def __init__(
        self,
        dim: int,
        *,
        heads: Count,
        head_dim: Count | None = None,
        bias: bool = False,
        per_layer_bias: bool = True,
        memory_length: Count | None = None,
        dropout: Rate = 0.0,
        position_dropout: Rate = 0.0,
        backend: Backend = "auto",
        rngs: nnx.Rngs,
    ):
        known = {"heads": heads, "head_dim": head_dim, "dropout": dropout, "backend": backend}
        super().__init__(dim, **known, qkv_bias=bias, out_bias=bias, rngs=rngs)
        inner = heads * self.head_dim
        self.position_k = Linear(dim, inner, bias=False, rngs=rngs)
        zeros = jnp.zeros((inner,), jnp.float32)
        self.content_bias = nnx.Param(zeros) if per_layer_bias else None
        self.distance_bias = nnx.Param(zeros) if per_layer_bias else None
        self.memory_length, self.position_dropout = memory_length, position_dropout

    def __call__(
        self,
        x: Float[Array, "B T D"],
        kv_input: Float[Array, "B S D"],
        context: AttentionContext,
        *,
        window: int | None = None,
        layer_index: Float[Array, ""] | float = 1.0,
        cache: KVCache | None = None,
        key: Array | None = None,
    ) -> tuple[Float[Array, "B T D"], KVCache | None]:
        """As of `MultiHeadAttention`; with a memory, a zero input comes first in `kv_input`."""
        if context.position is None:
            return super().__call__(x, kv_input, context, layer_index=layer_index, key=key)
        q, k, v = self.project(x, kv_input)
        u, w = self.query_biases(context.position)
        mask, by_position = context.mask.with_window(window), (q + w) * self.scale
        dropout_key = None if key is None else jax.random.fold_in(key, 1)
        if self.memory_length is None:
            if cache is not None:
                k, v, cache = cache.extend(k, v)
            bias = self.position_logits(by_position, context, k.shape[1], dropout_key)
        else:
            (zero_k, k), (zero_v, v) = (jnp.split(y, [1], axis=1) for y in (k, v))
            if isinstance(cache, XLMemory):
                padding = context.mask.query_segments == 0
                k, v, cache = cache.extend_with_zeros(k, v, (zero_k, zero_v), padding)
                bias = self.position_logits(by_position, context, k.shape[1], dropout_key)
            else:
                bias, mask = self.with_zeros(by_position, context, mask, k.shape[1], dropout_key)
                before = (jnp.repeat(y, self.memory_length, axis=1) for y in (zero_k, zero_v))
                k, v = (jnp.concatenate(pair, axis=1) for pair in zip(before, (k, v), strict=True))
        own = k[:, -context.mask.key_segments.shape[1] :]
        self.record_products(q + u, own, context.capture_products)
        capture = None if context.capture is None else []
        known = {"scale": self.scale, "dropout": self.dropout, "key": key, "capture": capture}
        y = attend(q + u, k, v, mask, bias=bias, backend=self.backend, **known)
        if context.capture is not None and capture is not None:  # only the weights of tokens
            context.capture.append(capture[0][..., -context.mask.key_segments.shape[1] :])
        return self.output(y), cache

    def query_biases(self, position: Position) -> tuple[Float[Array, "H K"], Float[Array, "H K"]]:
        """u and w. Raises UserError for a position scheme without distances, and where neither the
        layer nor the position has biases."""
        if not isinstance(position, RelativeSinusoids):
            raise UserError(
                "relative attention requires a relative position encoding; "
                f"{type(position).__name__} is not one: write model/position=relative"
            )
        owner = self if self.content_bias is not None else position
        if owner.content_bias is None or owner.distance_bias is None:
            raise UserError(
                "neither the layers nor the position have query biases: write "
                "model.attention.per_layer_bias=true, or model/position=relative_shared"
            )
        found = (owner.content_bias, owner.distance_bias)
        u, w = (b[...].reshape(self.heads, self.head_dim) for b in found)
        return u, w

    def position_logits(
        self, q: Float[Array, "B T H K"], context: AttentionContext, keys: int, key: Array | None
    ) -> Float[Array, "B H T S"]:
        """q · r[d] for every query and key; undefined where a causal mask hides the key."""
        mask, length = context.mask, q.shape[1]
        if mask.key_index is not None:  # not in order: one query, that of a step of decoding
            return self.distance_logits(q, context, mask.distances()[0], key)
        columns = keys + (1 if mask.strictly_causal else length)
        distances = mask.query_offset + length - jnp.arange(columns)
        return relative_shift(self.distance_logits(q, context, distances, key), keys)

    def with_zeros(
        self,
        q: Float[Array, "B T H K"],
        context: AttentionContext,
        mask: AttentionMask,
        keys: int,
        key: Array | None,
    ) -> tuple[Float[Array, "B H T N+S"], Bool[Array, "B 1 T N+S"]]:
        """`position_logits` and the dense mask, with N zero inputs before each query's segment."""
        size, positions = self.memory_length or 0, segment_positions(mask.query_segments)
        distances = positions[:, :, None] + size - jnp.arange(size)  # [B T N], from 1 on
        logits = self.distance_logits(q, context, 1 + jnp.arange(size + q.shape[1] - 1), key)
        logits = jnp.take_along_axis(logits, distances[:, None] - 1, axis=-1)
        near = distances < (NO_WINDOW if mask.window is None else mask.window)
        bias = [logits, self.position_logits(q, context, keys, key)]
        dense = [near[:, None], mask.to_dense()]
        return jnp.concatenate(bias, axis=-1), jnp.concatenate(dense, axis=-1)

    def distance_logits(
        self, q, context: AttentionContext, distances: Int[Array, "R"], key
    ) -> Float[Array, "B H T R"]:
        """q · r[d] of these distances, for each query."""
        position = context.position
        assert isinstance(position, RelativeSinusoids)  # as `query_biases` has checked
        x = position.sinusoids(distances, self.position_k.dim)
        x = drop(x, self.position_dropout, key, per_row=False).astype(q.dtype)
        r = self.position_k(x).reshape(-1, self.heads, self.head_dim)
        return jnp.einsum("BTHK,RHK->BHTR", q, r, preferred_element_type=jnp.float32)

    def flops(self, pairs: AttentionPairs) -> int:
        """Plus each query's product with the vector of its distance to a key, and the projection of
        these vectors, once for all rows."""
        plain = super().flops(pairs)
        if pairs.segment_lengths is None:
            return plain
        projected = max(pairs.segment_lengths, default=0) * kernel_size(self.position_k)
        return plain + 2 * (self.heads * self.head_dim * pairs.pairs + projected)

    def init_cache(self, batch: int, length: int, dtype=jnp.float32) -> KVCache:
        """As of `MultiHeadAttention`; a memory has its own size, whatever `length`."""
        if self.memory_length is None:
            return super().init_cache(batch, length, dtype)
        return XLMemory.empty(batch, self.memory_length, self.heads, self.head_dim, dtype)


def relative_shift(x: Float[Array, "*B T R"], keys: int) -> Float[Array, "*B T S"]:
    """y[t, s] = x[t, T + s - t]: logits by descending distance to logits by key, each row shifted
    one column further to the right. Dai et al. 2019, app. B.

    Requires R - 1 >= S. Where T + s - t >= R, y is undefined: for R = S + 1 these are the keys
    after the query, if the last query's own is the last; for R = S + T there is no such place.
    """
    *batch, queries, columns = x.shape
    flat = x.reshape(*batch, queries * columns)[..., queries:]
    return flat.reshape(*batch, queries, columns - 1)[..., :keys]
