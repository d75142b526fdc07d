"""How tokens look at each other."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from fxformer.errors import UserError
from fxformer.nn.core import Linear, drop
from fxformer.nn.flops import Seen, kernels
from fxformer.nn.position import Position, Relative
from fxformer.ops import attention
from fxformer.ops.attention_mask import Mask
from fxformer.types import Count, Part, Positive, Rate


@dataclasses.dataclass(frozen=True)
class Where:
    """All an attention layer may know beyond its input: made once a forward pass, for all layers.

    queries, keys: position of each token within its segment (for `position.rotate`)
    seen: the mask made dense; a kernel that takes the symbolic one leaves it unused
    bias: what `position.bias` adds to the logits, None: nothing
    relative: what `position.relative` knows of distances, None: nothing
    global_tokens: tokens that see all and are seen by all (Longformer), None: none
    watch: where an attention leaves its weights, float32 [B H T S], 0 for what is not seen; None:
        nobody asks, and they need not exist
    """

    position: Position | None
    queries: Int[Array, "B T"]
    keys: Int[Array, "B T"]
    mask: Mask
    seen: Bool[Array, "B 1 T S"]
    bias: Float[Array, "H T S"] | None = None
    relative: Relative | None = None
    global_tokens: Bool[Array, "B T"] | None = None
    watch: list[Float[Array, "B H T S"]] | None = None


@flax.struct.dataclass
class Cache:
    """Keys (already rotated) and values of the tokens read so far; `filled` tells how many."""

    k: Float[Array, "*L B S G K"]
    v: Float[Array, "*L B S G K"]
    filled: Int[Array, "*L"]

    def push(self, k: Float[Array, "B T G K"], v: Float[Array, "B T G K"]) -> "Cache":
        """The cache with T more tokens, written after those it holds."""

        def put(buffer, new):
            new = new.astype(buffer.dtype)
            return jax.lax.dynamic_update_slice_in_dim(buffer, new, self.filled, axis=1)

        return Cache(put(self.k, k), put(self.v, v), self.filled + k.shape[1])

    def room(self, more: int) -> int:
        """Keys that a stack's queries look at when `more` tokens are read, filled or not."""
        return self.k.shape[2]

    def place(self, more: int) -> tuple[Int[Array, ""], Bool[Array, "S"]]:
        """Where in a stack's keys the next token comes, and which are filled with `more` read."""
        first = self.filled[0]
        return first, jnp.arange(self.room(more)) < first + more


def attend(
    q: Float[Array, "B T H K"],
    k: Float[Array, "B S G K"],
    v: Float[Array, "B S G K"],
    seen: Bool[Array, "#B 1 T S"],
    *,
    bias: Float[Array, "*B H T S"] | None = None,
    scale: float,
    causal: bool = False,
    dropout: float = 0.0,
    key: Array | None = None,
    watch: list[Float[Array, "B H T S"]] | None = None,
) -> Float[Array, "B T H K"]:
    """softmax(scale · q kᵀ + bias) v over the keys that are seen. Vaswani et al. 2017, eq. 1.

    The softmax is taken in float32. H / G queries share each key head (Ainslie et al. 2023). A
    query that sees nothing (padding) gets a mean of values: finite, and never used.

    causal: `seen` shows no query a later key, T = S: what it hides need not be computed
    watch: as of `Where`; the output is computed as it is without
    """
    B, T, H, K = q.shape
    G = k.shape[2]
    q = q.reshape(B, T, G, H // G, K).transpose(0, 2, 3, 1, 4)
    k, v, seen = k.swapaxes(1, 2), v.swapaxes(1, 2), seen[:, :, None]
    if bias is not None:
        bias = bias.reshape(*bias.shape[:-3], G, H // G, *bias.shape[-2:])
    if key is not None and dropout:  # weights are dropped between softmax and average
        weights = attention.softmax(q, k, seen, bias, scale).astype(v.dtype)
        y = attention.average(drop(weights, dropout, key), v)
    else:
        weigh = attention.weigh_causal if causal else attention.weigh
        y = weigh(q, k, v, seen, bias, scale)
    if watch is not None:
        weights = jnp.where(seen, attention.softmax(q, k, seen, bias, scale), 0)
        watch.append(weights.reshape(B, H, T, -1))
    return y.transpose(0, 3, 1, 2, 4).reshape(B, T, H, K)


class MultiHeadAttention(nnx.Module):
    """Concat_h(softmax(scale · q_h k_hᵀ) v_h) W_o. Vaswani et al. 2017, sec. 3.2.

    kv_heads: fewer key-value heads than heads is grouped-query attention, 1 is multi-query
    head_dim: width of a head; dim / heads when null
    scale: of the logits; head_dim^-0.5 when null (T5 and GPT-Neo: 1)
    by_depth: divide the logits by the number of the layer, from 1 (Mistral's GPT-2)
    qk_norm: a norm over each head's queries and keys, before they are rotated (Qwen3)
    """

    memory: int | None = None  # vectors before the text that it sees besides (nn/relative.py)

    def __init__(
        self,
        dim: int,
        *,
        heads: Count,
        kv_heads: Count | None = None,
        head_dim: Count | None = None,
        qkv_bias: bool = True,
        out_bias: bool = True,
        scale: Positive | None = None,
        by_depth: bool = False,
        qk_norm: Part | None = None,
        dropout: Rate = 0.0,
        rngs: nnx.Rngs,
    ):
        groups = kv_heads or heads
        if head_dim is None and dim % heads:
            near = [n for n in range(1, dim + 1) if dim % n == 0]
            best = min(near, key=lambda n: abs(n - heads))
            raise UserError(
                f"a width of {dim} does not split into {heads} heads; the nearest that does is "
                f"{best} heads (or give model.attention.head_dim)"
            )
        if heads % groups:
            raise UserError(f"{heads} heads do not split into {groups} key-value heads")
        self.heads, self.groups, self.width = heads, groups, head_dim or dim // heads
        self.q = Linear(dim, heads * self.width, bias=qkv_bias, rngs=rngs)
        self.k = Linear(dim, groups * self.width, bias=qkv_bias, rngs=rngs)
        self.v = Linear(dim, groups * self.width, bias=qkv_bias, rngs=rngs)
        self.o = Linear(heads * self.width, dim, bias=out_bias, rngs=rngs)
        self.q_norm = None if qk_norm is None else qk_norm(self.width, rngs=rngs)
        self.k_norm = None if qk_norm is None else qk_norm(self.width, rngs=rngs)
        self.scale = self.width**-0.5 if scale is None else scale
        self.by_depth, self.dropout = by_depth, dropout

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
        """Queries from `x`, keys and values from `memory` (self-attention: the same)."""
        q, k, v = self.project(x, memory)
        if self.by_depth:
            q = q / jnp.asarray(depth, q.dtype)
        if where.position is not None:
            q = where.position.rotate(q, where.queries, window)
            k = where.position.rotate(k, where.keys, window)
        if cache is not None:
            cache = cache.push(k, v)
            k, v = cache.k.astype(k.dtype), cache.v.astype(v.dtype)
        seen = where.seen if window is None else where.seen & where.mask.near(window)
        causal = where.mask.ordered and cache is None
        knobs = {"scale": self.scale, "causal": causal, "dropout": self.dropout, "key": key}
        knobs |= {"bias": self.bias(q, k, where, key), "watch": where.watch}
        y = attend(q, k, v, seen, **knobs)
        return self.o(y.reshape(*x.shape[:2], self.heads * self.width)), cache

    def bias(
        self,
        q: Float[Array, "B T H K"],
        k: Float[Array, "B S G K"],
        where: Where,
        key: Array | None,
    ) -> Float[Array, "*B H T S"] | None:
        """What is added to the logits: what the position says, for all layers the same."""
        return where.bias

    def project(self, x, memory):
        """Queries [B T H K], keys and values [B S G K]."""
        q = self.q(x).reshape(*x.shape[:2], self.heads, self.width)
        k = self.k(memory).reshape(*memory.shape[:2], self.groups, self.width)
        v = self.v(memory).reshape(*memory.shape[:2], self.groups, self.width)
        if self.q_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        return q, k, v

    def flops(self, seen: Seen) -> int:
        """Of one layer's forward pass: projections, logits, and the weighted sum of values."""
        of_query, of_key = kernels(self.q) + kernels(self.o), kernels(self.k) + kernels(self.v)
        projected = seen.queries * of_query + seen.keys * of_key
        return 2 * projected + 4 * self.heads * self.width * seen.pairs

    def empty(self, batch: int, length: int, dtype=jnp.float32) -> Cache:
        """A cache with room for `length` tokens of each of `batch` rows."""
        room = jnp.zeros((batch, length, self.groups, self.width), dtype)
        return Cache(room, room, jnp.int32(0))
