"""Attention to the neighbourhood, and a few tokens that see all and are seen by all."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from fxformer.errors import UserError
from fxformer.nn.attention import Cache, MultiHeadAttention, Where, attend
from fxformer.nn.core import Linear, split_key
from fxformer.nn.flops import Seen, kernels
from fxformer.types import Count, Rate


class LongformerAttention(MultiHeadAttention):
    """Multi-head attention within the layer's window, whose global tokens are seen from anywhere
    and look everywhere, by queries, keys and values of their own. Beltagy et al. 2020, sec. 3.1.

    Which tokens are global, a batch says; without global tokens it is windowed attention, and
    across stacks it is plain attention. Computed densely: windows do not save arithmetic here.

    first_global: the first token of every segment is, where the batch says nothing (what the
        paper does to classify a text)
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: Count,
        first_global: bool = False,
        dropout: Rate = 0.0,
        rngs: nnx.Rngs,
    ):
        super().__init__(dim, heads=heads, dropout=dropout, rngs=rngs)
        inner = heads * self.width
        self.q_global = Linear(dim, inner, rngs=rngs)
        self.k_global = Linear(dim, inner, rngs=rngs)
        self.v_global = Linear(dim, inner, rngs=rngs)
        self.first_global = first_global

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
        """As of `MultiHeadAttention`. Raises UserError for global tokens with a cache."""
        chosen = self.chosen(where)
        if chosen is None:
            known = {"window": window, "depth": depth, "cache": cache, "key": key}
            return super().__call__(x, memory, where, **known)
        if cache is not None:
            raise UserError(
                "Longformer's global tokens look at later ones, so there is no generating with "
                "them: write model/attention=multihead in a decoder"
            )
        keys = split_key(key, 2)
        near = True if window is None else where.mask.near(window)
        seen = where.seen & (near | chosen[:, None, None, :])
        watch = None if where.watch is None else []
        y = self.look(self.project(x, memory), where, seen, window, keys[0], watch)
        far = self.look(self.project_global(x, memory), where, where.seen, window, keys[1], watch)
        y = jnp.where(chosen[:, :, None, None], far, y)
        if watch is not None:
            where.watch.append(jnp.where(chosen[:, None, :, None], watch[1], watch[0]))
        return self.o(y.reshape(*x.shape[:2], self.heads * self.width)), None

    def project_global(self, x, memory):
        """`project` of global tokens."""
        made = (self.q_global(x), self.k_global(memory), self.v_global(memory))
        return tuple(a.reshape(*a.shape[:2], self.heads, self.width) for a in made)

    def look(self, qkv, where: Where, seen, window, key, watch) -> Float[Array, "B T H K"]:
        """What the queries see."""
        q, k, v = qkv
        if where.position is not None:
            q = where.position.rotate(q, where.queries, window)
            k = where.position.rotate(k, where.keys, window)
        knobs = {"scale": self.scale, "causal": where.mask.ordered, "dropout": self.dropout}
        return attend(q, k, v, seen, bias=where.bias, **knobs, key=key, watch=watch)

    def flops(self, seen: Seen) -> int:
        """Global queries have matrices of their own, of the same size, and ask keys and values that
        are made of all tokens of their piece. What is computed in vain, densely, is no work."""
        own = kernels(self.k_global) + kernels(self.v_global)
        return super().flops(seen) + 2 * seen.asked * own

    def chosen(self, where: Where) -> Bool[Array, "B T"] | None:
        """Which tokens are global; None: none, or a look at another stack."""
        if where.position is None or where.global_tokens is not None or not self.first_global:
            return where.global_tokens
        return where.queries == 0
