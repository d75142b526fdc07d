"""Attention by relative distance that reaches back into a memory: Transformer-XL's."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from fxformer.errors import UserError
from fxformer.nn.attention import Cache, MultiHeadAttention, Where, attend
from fxformer.nn.core import Linear, drop
from fxformer.nn.flops import Seen, kernels
from fxformer.nn.memory import Memory
from fxformer.nn.position import Position
from fxformer.ops.attention_mask import EVERYTHING, positions
from fxformer.types import Count, Positive, Rate


class RelativeSinusoids(Position):
    """[sin(gap/f) | cos(gap/f)] of how far a query comes after a key, f = base^(2j/D).
    Dai et al. 2019, sec. 3.3; wants an attention that reads it.

    clamp: distances beyond count as this one; null: none does
    """

    tells_distances = True
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
        clamp: Count | None = None,
        rngs: nnx.Rngs,
    ):
        self.base, self.clamp = base, clamp

    def vectors(self, gap: Int[Array, "R"], dim: int) -> Float[Array, "R D"]:
        """The sinusoids of these distances; in float32, as checkpoints were trained."""
        if self.clamp is not None:
            gap = jnp.clip(gap, -self.clamp, self.clamp)
        rate = 1.0 / jnp.float32(self.base) ** (jnp.arange(0, dim, 2, dtype=jnp.float32) / dim)
        angle = gap[:, None].astype(jnp.float32) * rate
        return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)[:, :dim]


class RelativeSinusoidsShared(RelativeSinusoids):
    """RelativeSinusoids, and the biases of all layers' queries, which then have none of their own.

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
        clamp: Count | None = None,
        head_dim: Count | None = None,
        rngs: nnx.Rngs,
    ):
        super().__init__(dim, heads=heads, causal=causal, base=base, clamp=clamp, rngs=rngs)
        inner = heads * (head_dim or dim // heads)
        self.content_bias = nnx.Param(jnp.zeros((inner,), jnp.float32))
        self.distance_bias = nnx.Param(jnp.zeros((inner,), jnp.float32))


class RelativeAttention(MultiHeadAttention):
    """softmax(((q + u) k + (q + w) r[gap]) / √K) v, r = sinusoids W_r. Dai et al. 2019, sec. 3.3.

    Wants model/position=relative. Across stacks, where there are no distances, it is plain
    attention.

    memory: vectors before the text that every query may look at (within its window): those a cache
        holds, and at the beginning of a text zeros, as in published models, whose cache is a
        `Memory` of so many tokens. What a query sees then depends on how the text is cut, unless
        model.windows are no larger. null: no zeros, and a cache that holds everything
    own_bias: u and w of each layer's own; false: those of the position (relative_shared)
    position_dropout: on the sinusoids
    """

    position: ClassVar[type] = RelativeSinusoids  # for the check of a config

    def __init__(
        self,
        dim: int,
        *,
        heads: Count,
        head_dim: Count | None = None,
        bias: bool = False,
        own_bias: bool = True,
        memory: Count | None = None,
        dropout: Rate = 0.0,
        position_dropout: Rate = 0.0,
        rngs: nnx.Rngs,
    ):
        known = {"heads": heads, "head_dim": head_dim, "dropout": dropout}
        super().__init__(dim, **known, qkv_bias=bias, out_bias=bias, rngs=rngs)
        inner = heads * self.width
        self.position_k = Linear(dim, inner, bias=False, rngs=rngs)
        zeros = jnp.zeros((inner,), jnp.float32)
        self.content_bias = nnx.Param(zeros) if own_bias else None
        self.distance_bias = nnx.Param(zeros) if own_bias else None
        self.memory, self.position_dropout = memory, position_dropout

    def __call__(
        self,
        x: Float[Array, "B T D"],
        memory: Float[Array, "B S D"],
        where: Where,
        *,
        window: Int[Array, ""] | None = None,
        depth: Float[Array, ""] | float = 1.0,
        cache: Cache | None = None,
        key: Array | None = None,
    ) -> tuple[Float[Array, "B T D"], Cache | None]:
        """As of `MultiHeadAttention`; with a memory, what is blank comes first in `memory`."""
        if where.position is None:
            return super().__call__(x, memory, where, depth=depth, key=key)
        q, k, v = self.project(x, memory)
        seen = where.seen if window is None else where.seen & where.mask.near(window)
        content, distance = self.biases(where.position)
        if self.memory is not None:
            (no_k, k), (no_v, v) = (jnp.split(y, [1], axis=1) for y in (k, v))
        far, own = (q + distance) * self.scale, None if key is None else jax.random.fold_in(key, 1)
        if self.memory is None:
            if cache is not None:
                cache = cache.push(k, v)
                k, v = cache.k.astype(k.dtype), cache.v.astype(v.dtype)
            bias = self.by_gap(far, where, k.shape[1], own)
        elif cache is not None:
            before, cache = cache.pull(no_k, no_v), cache.push(k, v)
            k, v = (jnp.concatenate(pair, axis=1) for pair in zip(before, (k, v), strict=True))
            bias = self.by_gap(far, where, k.shape[1], own)
        else:
            blank, reached = self.by_blank(far, where, window, own)
            bias = jnp.concatenate([blank, self.by_gap(far, where, k.shape[1], own)], axis=-1)
            seen = jnp.concatenate([reached, seen], axis=-1)
            before = (jnp.repeat(y, self.memory, axis=1) for y in (no_k, no_v))
            k, v = (jnp.concatenate(pair, axis=1) for pair in zip(before, (k, v), strict=True))
        watch = None if where.watch is None else []
        knobs = {"scale": self.scale, "dropout": self.dropout, "key": key, "watch": watch}
        causal = where.mask.ordered and k.shape[1] == x.shape[1]
        y = attend(q + content, k, v, seen, bias=bias, causal=causal, **knobs)
        if watch is not None:  # blanks are no tokens: what they are given is not told
            where.watch.append(watch[0][..., -where.seen.shape[-1] :])
        return self.o(y.reshape(*x.shape[:2], self.heads * self.width)), cache

    def biases(self, position: Position) -> tuple[Float[Array, "H K"], Float[Array, "H K"]]:
        """u and w. Raises UserError for a position that tells no distances, or has no biases."""
        if not isinstance(position, RelativeSinusoids):
            raise UserError(
                f"relative attention reads distances, which {type(position).__name__} does not "
                "tell: write model/position=relative"
            )
        owner = self if self.content_bias is not None else position
        if owner.content_bias is None:
            raise UserError(
                "nobody has the biases of queries: write model.attention.own_bias=true, or "
                "model/position=relative_shared"
            )
        found = (owner.content_bias, owner.distance_bias)
        return tuple(b[...].reshape(self.heads, self.width) for b in found)

    def by_gap(
        self, q: Float[Array, "B T H K"], where: Where, keys: int, key: Array | None
    ) -> Float[Array, "B H T S"]:
        """q · r[gap] for every query and key; what no query of a causal mask sees is anything."""
        mask, length = where.mask, q.shape[1]
        gaps = mask.first + length - jnp.arange(keys + (1 if mask.ordered else length))
        return shift(self.on_distances(q, where, gaps, key), keys)

    def by_blank(
        self, q: Float[Array, "B T H K"], where: Where, window: Array | None, key: Array | None
    ) -> tuple[Float[Array, "B H T N"], Bool[Array, "B 1 T N"]]:
        """q · r[gap] for the blanks before each query's segment, and which of them it sees."""
        size, at = self.memory, positions(where.mask.query)
        gap = at[:, :, None] + size - jnp.arange(size)  # [B T N], from 1 on
        logits = self.on_distances(q, where, 1 + jnp.arange(size + q.shape[1] - 1), key)
        reached = gap < (EVERYTHING if window is None else window)
        return jnp.take_along_axis(logits, gap[:, None] - 1, axis=-1), reached[:, None]

    def on_distances(self, q, where: Where, gaps: Int[Array, "R"], key) -> Float[Array, "B H T R"]:
        """q · r of these distances, for each query."""
        x = where.position.vectors(gaps, self.position_k.kernel.shape[-2])
        x = drop(x, self.position_dropout, key).astype(q.dtype)
        r = self.position_k(x).reshape(-1, self.heads, self.width)
        return jnp.einsum("BTHK,RHK->BHTR", q, r, preferred_element_type=jnp.float32)

    def flops(self, seen: Seen) -> int:
        """Each query's product with the vector of its distance to a key besides, and the making of
        these vectors, once for all rows."""
        plain = super().flops(seen)
        if seen.pieces is None:
            return plain
        told = max(seen.pieces, default=0) * kernels(self.position_k)
        return plain + 2 * (self.heads * self.width * seen.pairs + told)

    def empty(self, batch: int, length: int, dtype=jnp.float32) -> Cache:
        """As of `MultiHeadAttention`; a memory is as long as it is, whatever `length`."""
        if self.memory is None:
            return super().empty(batch, length, dtype)
        room = jnp.zeros((batch, self.memory, self.heads, self.width), dtype)
        return Memory(room, room, jnp.int32(0))


def shift(x: Float[Array, "*B T R"], keys: int) -> Float[Array, "*B T S"]:
    """y[t, s] = x[t, T + s - t]: logits by falling distance become logits by key, row by row one
    column further to the right. Dai et al. 2019, app. B.

    R - 1 >= keys. Where T + s - t >= R, y is anything: for R = S + 1 the keys after the query, if
    the last query's own is the last; for R = S + T there is no such place.
    """
    *batch, queries, columns = x.shape
    flat = x.reshape(*batch, queries * columns)[..., queries:]
    return flat.reshape(*batch, queries, columns - 1)[..., :keys]
