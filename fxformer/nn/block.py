"""Transformer block: self-attention, optional cross-attention, feed-forward."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from fxformer.nn.attention import AttentionContext
from fxformer.nn.cache import KVCache
from fxformer.nn.ngram import StreamContext
from fxformer.ops.dropout import drop, split_key
from fxformer.types import Part, Rate


class Block(nnx.Module):
    """Transformer block: residual(x; attention, [cross-attention,] feed-forward), with dropout.

    cross_attention: cross-attention to the encoder's output; None: the block has none
    """

    def __init__(
        self,
        dim: int,
        *,
        attention: Part,
        ffn: Part,
        residual: Part,
        cross_attention: Part | None = None,
        dropout: Rate = 0.0,
        rngs: nnx.Rngs,
    ):
        self.attention = attention(dim, rngs=rngs)
        self.cross_attention = None if cross_attention is None else cross_attention(dim, rngs=rngs)
        self.ffn = ffn(dim, rngs=rngs)
        names = (
            ("attention", "ffn")
            if cross_attention is None
            else ("attention", "cross_attention", "ffn")
        )
        self.residual = residual(dim, names=names, rngs=rngs)
        self.dropout = dropout

    def __call__(
        self,
        x: Float[Array, "B T D"],
        self_context: AttentionContext | StreamContext,
        encoder_output: Float[Array, "B S D"] | None = None,
        cross_context: AttentionContext | None = None,
        *,
        window: int | None = None,
        layer_index: Float[Array, ""] | float = 1.0,
        cache: KVCache | None = None,
        memory: Float[Array, "B M D"] | None = None,
        key: Array | None = None,
    ) -> tuple[Float[Array, "B T D"], KVCache | None]:
        """The block's output, and the cache with this call's tokens.

        window, layer_index, cache, key: as of `MultiHeadAttention`
        memory: inputs of this block at the positions before `x` (nn/memory.py)
        """
        keys = split_key(key, 6)
        new_cache, before = cache, None
        if self.attention.memory_length is not None:
            before = self.zero_input(x)
        elif memory is not None:
            before = self.residual.sublayer_input("attention", memory.astype(x.dtype))

        def attention(h):
            nonlocal new_cache
            y, new_cache = self.attention(
                h,
                h if before is None else jnp.concatenate([before, h], axis=1),
                self_context,
                window=window,
                layer_index=layer_index,
                cache=None if cache is None else dataclasses.replace(cache, encoder=None),
                key=keys[0],
            )
            return drop(y, self.dropout, keys[1])

        def cross(h):
            assert self.cross_attention is not None
            computed = None if cache is None else cache.encoder
            known = encoder_output if computed is None else computed
            y, _ = self.cross_attention(
                h, known, cross_context, layer_index=layer_index, key=keys[2]
            )
            return drop(y, self.dropout, keys[3])

        def ffn(h):
            return drop(self.ffn(h, key=keys[4]), self.dropout, keys[5])

        sublayers = {"attention": attention, "cross_attention": cross, "ffn": ffn}
        if self.cross_attention is None:
            del sublayers["cross_attention"]
        with jax.named_scope("block"):
            return self.residual(x, sublayers), new_cache

    def zero_input(self, x: Float[Array, "B T D"]) -> Float[Array, "B 1 D"]:
        """Input of self-attention at a place of Transformer-XL's memory that has no token: zeros,
        normalised if the residual normalises inputs."""
        return self.residual.sublayer_input("attention", jnp.zeros_like(x[:, :1]))
