"""Multi-head attention, and the context that all attention layers of a stack share."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from fxformer.errors import UserError
from fxformer.nn.cache import EncoderKeys, KVCache
from fxformer.nn.core import Linear
from fxformer.nn.flops import AttentionPairs, kernel_size
from fxformer.nn.position import Position, RelativeEmbeddings
from fxformer.ops.attention.attend import attend
from fxformer.ops.attention.choice import Backend
from fxformer.ops.attention.mask import AttentionMask
from fxformer.types import Count, Part, Positive, Rate


@dataclasses.dataclass(frozen=True)
class AttentionContext:
    """What an attention layer needs beside its input, computed once a forward pass for all layers.

    position: the position scheme, for `position.rotate`; None: cross-attention
    query_positions, key_positions: position of each token within its segment
    mask: which keys a query attends to, its dense form precomputed
    bias: added to the logits (`position.bias`); None: nothing
    relative: embeddings of relative distances (`position.relative`); None: none
    global_tokens: tokens that attend to all and are attended to by all (Longformer); None: none
    capture: list to which each attention appends its weights, float32, 0 where masked; None: they
        are not captured
    capture_products: list to which each attention appends (queries, keys), scaled so that their
        product is the logit without what a position scheme adds to it; None: not captured
    """

    position: Position | None
    query_positions: Int[Array, "B T"]
    key_positions: Int[Array, "B T"]
    mask: AttentionMask
    bias: Float[Array, "H T S"] | None = None
    relative: RelativeEmbeddings | None = None
    global_tokens: Array | None = None
    capture: list[Float[Array, "B H T S"]] | None = None
    capture_products: list[tuple[Float[Array, "B T H K"], Float[Array, "B S H K"]]] | None = None


class HeadMask(nnx.Variable):
    """Factors of the outputs of the heads of an attention layer: [H], or [B, H] for each row."""


class MultiHeadAttention(nnx.Module):
    """Multi-head attention: Concat_h(softmax(scale · q_h k_hᵀ) v_h) W_o. Vaswani et al. 2017.

    kv_heads: number of key-value heads; fewer than heads is grouped-query attention, 1 multi-query
    head_dim: width of a head; dim / heads when null
    scale: of the logits; head_dim^-0.5 when null (T5 and GPT-Neo: 1)
    scale_by_layer_index: divide the logits by the index of the layer, from 1 (Mistral's GPT-2)
    qk_norm: a norm over each head's queries and keys, before rotary embedding (Qwen3)
    backend: what computes it, as of `attend`; auto: by platform, mask and length
    """

    memory_length: int | None = None  # zero inputs before the text to attend to (nn/relative.py)
    carries_memory: ClassVar[bool] = False  # hidden states of earlier rows (nn/memory.py)
    head_mask: HeadMask | None = None  # None: all heads count; see inference/interpret/head_mask.py

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
        scale_by_layer_index: bool = False,
        qk_norm: Part | None = None,
        dropout: Rate = 0.0,
        backend: Backend = "auto",
        rngs: nnx.Rngs,
    ):
        num_kv_heads = kv_heads or heads
        if head_dim is None and dim % heads:
            divisors = [n for n in range(1, dim + 1) if dim % n == 0]
            best = min(divisors, key=lambda n: abs(n - heads))
            raise UserError(
                f"a width of {dim} does not split into {heads} heads; the nearest that does is "
                f"{best} heads (or give model.attention.head_dim)"
            )
        if heads % num_kv_heads:
            raise UserError(f"{heads} heads do not split into {num_kv_heads} key-value heads")
        self.heads, self.num_kv_heads, self.head_dim = heads, num_kv_heads, head_dim or dim // heads
        self.q = Linear(dim, heads * self.head_dim, bias=qkv_bias, rngs=rngs)
        self.k = Linear(dim, num_kv_heads * self.head_dim, bias=qkv_bias, rngs=rngs)
        self.v = Linear(dim, num_kv_heads * self.head_dim, bias=qkv_bias, rngs=rngs)
        self.o = Linear(heads * self.head_dim, dim, bias=out_bias, rngs=rngs)
        self.q_norm = None if qk_norm is None else qk_norm(self.head_dim, rngs=rngs)
        self.k_norm = None if qk_norm is None else qk_norm(self.head_dim, rngs=rngs)
        self.scale = self.head_dim**-0.5 if scale is None else scale
        self.scale_by_layer_index, self.dropout = scale_by_layer_index, dropout
        self.backend = backend

    def __call__(
        self,
        x: Float[Array, "B T D"],
        kv_input: Float[Array, "B S D"] | EncoderKeys,
        context: AttentionContext,
        *,
        window: int | None = None,
        layer_index: Float[Array, ""] | float = 1.0,
        cache: KVCache | None = None,
        key: Array | None = None,
    ) -> tuple[Float[Array, "B T D"], KVCache | None]:
        """Queries from `x`, keys and values from `kv_input` (self-attention: the same array).

        kv_input: keys and values themselves where they have been computed before
        window: attention window of this layer; None: none
        layer_index: number of this layer, from 1
        cache: keys and values of earlier tokens; returned with those of this call appended
        key: PRNG key of dropout; None: no dropout
        """
        q, k, v = self.project(x, kv_input)
        if self.scale_by_layer_index:
            q = q / jnp.asarray(layer_index, q.dtype)
        q, k = self.rotate(q, k, context, window)
        if cache is not None:
            k, v, cache = cache.extend(k, v)
        self.record_products(q, k, context.capture_products)
        y = attend(
            q,
            k,
            v,
            context.mask.with_window(window),
            bias=self.logits_bias(q, k, context, key),
            scale=self.scale,
            dropout=self.dropout,
            key=key,
            capture=context.capture,
            backend=self.backend,
        )
        return self.output(y), cache

    @property
    def takes_memory(self) -> bool:
        """Whether hidden states of earlier rows can be carried to it as it is."""
        return self.carries_memory and self.memory_length is None

    def output(self, y: Float[Array, "B T H K"]) -> Float[Array, "B T D"]:
        """The heads' outputs, each times its factor of `head_mask`, concatenated and projected."""
        if self.head_mask is not None:
            y = y * self.head_mask[...][..., None, :, None].astype(y.dtype)
        return self.o(y.reshape(*y.shape[:2], self.heads * self.head_dim))

    def record_products(
        self,
        q: Float[Array, "B T H K"],
        k: Float[Array, "B S G K"],
        captured: list[tuple[Float[Array, "B T H K"], Float[Array, "B S H K"]]] | None,
    ) -> None:
        """Append scaled queries, and the keys that each head reads, to a list; None: to none."""
        if captured is not None:
            keys = jnp.repeat(k, self.heads // self.num_kv_heads, axis=2)
            pair = (q.astype(jnp.float32) * self.scale, keys.astype(jnp.float32))
            captured.append(pair)

    def logits_bias(
        self,
        q: Float[Array, "B T H K"],
        k: Float[Array, "B S G K"],
        context: AttentionContext,
        key: Array | None,
    ) -> Float[Array, "*B H T S"] | None:
        """Added to the logits: that of the position scheme, the same for all layers."""
        return context.bias

    def rotate(self, q, k, context: AttentionContext, window):
        """Queries and keys after `position.rotate`; unchanged in cross-attention."""
        if context.position is None:
            return q, k
        q = context.position.rotate(q, context.query_positions, window)
        return q, context.position.rotate(k, context.key_positions, window)

    def project(self, x, kv_input):
        """Queries [B T H K], keys and values [B S G K]."""
        q = self.q(x).reshape(*x.shape[:2], self.heads, self.head_dim)
        q = q if self.q_norm is None else self.q_norm(q)
        if isinstance(kv_input, EncoderKeys):
            return q, *(a.astype(q.dtype).swapaxes(1, 2) for a in (kv_input.k, kv_input.v))
        return q, *self.keys_and_values(kv_input)

    def keys_and_values(
        self, kv_input: Float[Array, "B S D"]
    ) -> tuple[Float[Array, "B S G K"], Float[Array, "B S G K"]]:
        """Keys before rotary embedding, and values."""
        shape = (*kv_input.shape[:2], self.num_kv_heads, self.head_dim)
        k, v = self.k(kv_input).reshape(shape), self.v(kv_input).reshape(shape)
        return (k if self.k_norm is None else self.k_norm(k)), v

    def flops(self, pairs: AttentionPairs) -> int:
        """FLOPs of one layer's forward pass: projections, logits, weighted sum of the values."""
        of_query = kernel_size(self.q) + kernel_size(self.o)
        of_key = kernel_size(self.k) + kernel_size(self.v)
        projected = pairs.queries * of_query + pairs.keys * of_key
        return 2 * projected + 4 * self.heads * self.head_dim * pairs.pairs

    def init_cache(self, batch: int, length: int, dtype=jnp.float32) -> KVCache:
        """An empty cache for `batch` rows of at most `length` tokens."""
        return KVCache.empty(batch, length, self.num_kv_heads, self.head_dim, dtype)
