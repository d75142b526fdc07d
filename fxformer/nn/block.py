"""One layer: attention, a look at the memory where there is one, and the feed-forward."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from fxformer.nn.attention import Cache, Where
from fxformer.nn.core import drop, split_key
from fxformer.types import Part, Rate


class Block(nnx.Module):
    """residual(x; attention, [cross-attention,] feed-forward), dropout on what each returns.

    cross: the attention that looks at the memory; None: there is no memory
    """

    def __init__(
        self,
        dim: int,
        *,
        attention: Part,
        ffn: Part,
        residual: Part,
        cross: Part | None = None,
        dropout: Rate = 0.0,
        rngs: nnx.Rngs,
    ):
        self.attention = attention(dim, rngs=rngs)
        self.cross = None if cross is None else cross(dim, rngs=rngs)
        self.ffn = ffn(dim, rngs=rngs)
        names = ("attention", "ffn") if cross is None else ("attention", "cross", "ffn")
        self.residual = residual(dim, names=names, rngs=rngs)
        self.dropout = dropout

    def __call__(
        self,
        x: Float[Array, "B T D"],
        where: Where,
        memory: Float[Array, "B S D"] | None = None,
        there: Where | None = None,
        *,
        window: Int[Array, ""] | None = None,
        depth: Float[Array, ""] | float = 1.0,
        cache: Cache | None = None,
        key: Array | None = None,
    ) -> tuple[Float[Array, "B T D"], Cache | None]:
        """depth: which layer this is, from 1."""
        keys = split_key(key, 6)
        kept, known = cache, {"window": window, "depth": depth}
        blank = None if self.attention.memory is None else self.blank(x)

        def attention(h):
            nonlocal kept
            read = h if blank is None else jnp.concatenate([blank, h], axis=1)
            y, kept = self.attention(h, read, where, **known, cache=cache, key=keys[0])
            return drop(y, self.dropout, keys[1])

        def cross(h):
            y, _ = self.cross(h, memory, there, depth=depth, key=keys[2])
            return drop(y, self.dropout, keys[3])

        def ffn(h):
            return drop(self.ffn(h, key=keys[4]), self.dropout, keys[5])

        sublayers = {"attention": attention, "cross": cross, "ffn": ffn}
        if self.cross is None:
            del sublayers["cross"]
        with jax.named_scope("block"):
            return self.residual(x, sublayers), kept

    def blank(self, x: Float[Array, "B T D"]) -> Float[Array, "B 1 D"]:
        """What attention gets where there is nothing: zeros, normed if the others are."""
        return self.residual.enter("attention", jnp.zeros_like(x[:, :1]))
