"""Longformer attention: a window in each layer, and global tokens with projections of their own."""

import dataclasses

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from fxformer.errors import UserError
from fxformer.nn.attention import AttentionContext, MultiHeadAttention
from fxformer.nn.cache import KVCache
from fxformer.nn.core import Linear
from fxformer.nn.flops import AttentionPairs, kernel_size
from fxformer.ops.attention.attend import attend
from fxformer.ops.attention.choice import Backend
from fxformer.ops.dropout import split_key
from fxformer.types import Count, Rate


class LongformerAttention(MultiHeadAttention):
    """Multi-head attention within the layer's window, with global tokens that every token attends
    to and that attend to all by projections of their own. Beltagy et al. 2020, sec. 3.1.

    A batch says which tokens are global; without global tokens this is windowed attention, in
    cross-attention plain multi-head attention. In tiles (ops/attention/tiled.py) T tokens with G
    global ones cost O(T · (window + G)), by the reference O(T²).

    backend: as of `MultiHeadAttention`
    first_global: the first token of every segment is global where the batch marks none (the paper's
        choice for classification)
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: Count,
        first_global: bool = False,
        dropout: Rate = 0.0,
        backend: Backend = "auto",
        rngs: nnx.Rngs,
    ):
        super().__init__(dim, heads=heads, dropout=dropout, backend=backend, rngs=rngs)
        inner = heads * self.head_dim
        self.q_global = Linear(dim, inner, rngs=rngs)
        self.k_global = Linear(dim, inner, rngs=rngs)
        self.v_global = Linear(dim, inner, rngs=rngs)
        self.first_global = first_global

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
        """As of `MultiHeadAttention`. Raises UserError for global tokens with a cache."""
        chosen = self.global_tokens(context)
        if chosen is None:
            known = {"window": window, "layer_index": layer_index, "cache": cache, "key": key}
            return super().__call__(x, kv_input, context, **known)
        if cache is not None:
            raise UserError(
                "Longformer's global tokens attend to later ones, so text cannot be generated with "
                "them: write model/attention=multihead in a decoder"
            )
        if context.capture_products is not None:
            raise UserError(
                "Longformer's global tokens have keys of their own, so products of queries and "
                "keys are not captured: give a text without global tokens"
            )
        keys = split_key(key, 2)
        near = context.mask.with_window(window, exempt=chosen)
        capture = None if context.capture is None else []
        y = self.attend(self.project(x, kv_input), near, context, window, keys[0], capture)
        global_qkv = self.project_global(x, kv_input)
        far = dataclasses.replace(context.mask, queries=chosen)
        of_global = self.attend(global_qkv, far, context, window, keys[1], capture)
        y = jnp.where(chosen[:, :, None, None], of_global, y)
        if context.capture is not None and capture is not None:
            weights = jnp.where(chosen[:, None, :, None], capture[1], capture[0])
            context.capture.append(weights)
        return self.output(y), None

    def project_global(self, x, kv_input):
        """`project` with the projections of global tokens."""
        qkv = (self.q_global(x), self.k_global(kv_input), self.v_global(kv_input))
        return tuple(a.reshape(*a.shape[:2], self.heads, self.head_dim) for a in qkv)

    def attend(self, qkv, mask, context, window, key, capture) -> Float[Array, "B T H K"]:
        """Attention of all queries under a mask."""
        q, k, v = qkv
        q, k = self.rotate(q, k, context, window)
        known = {"scale": self.scale, "dropout": self.dropout, "key": key, "capture": capture}
        return attend(q, k, v, mask, bias=context.bias, backend=self.backend, **known)

    def flops(self, pairs: AttentionPairs) -> int:
        """Global queries have projections of the same size, and their keys and values are computed
        of all tokens of their segment. Masked products, computed all the same, do not count."""
        of_key = kernel_size(self.k_global) + kernel_size(self.v_global)
        return super().flops(pairs) + 2 * pairs.global_keys * of_key

    def global_tokens(self, context: AttentionContext) -> Bool[Array, "B T"] | None:
        """Which tokens are global; None: none, or cross-attention."""
        given = context.position is None or context.global_tokens is not None
        if given or not self.first_global:
            return context.global_tokens
        return context.query_positions == 0
