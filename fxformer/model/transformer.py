"""One transformer stack with its input layer: an encoder or a decoder (`causal`, `cross`)."""

import dataclasses
from functools import partial

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from fxformer.errors import UserError
from fxformer.nn.attention import AttentionContext
from fxformer.nn.block import Block
from fxformer.nn.cache import StackCache, XLMemory
from fxformer.nn.intermediates import Intermediates
from fxformer.nn.memory import CarriedMemory
from fxformer.nn.stack import Stack
from fxformer.ops.attention.mask import AttentionMask, segment_positions
from fxformer.ops.dropout import drop, split_key
from fxformer.types import Count, Part, Rate


class Transformer(nnx.Module):
    """Transformer stack: embeddings [B, T, E] to hidden states [B, T, D]. Vaswani et al. 2017.

    causal: a token attends to no later ones (a decoder)
    cross: each block has cross-attention to an encoder's output (the decoder of a seq2seq model)
    cross_attention: the attention class of cross-attention; null: that of self-attention
    final_norm: whether a norm follows the last block, as pre-norm residuals need
    last_norm: that norm, where it is not `norm` (CTRL: another epsilon)
    hidden: inner width of the feed-forward layers, where it is not that of `ffn`
    first_layer_residual: the residual connection of the first layer, where it differs (ModernBERT)
    convolution: joins the input to the first layer's output (DeBERTa v2's convolution)
    """

    def __init__(
        self,
        *,
        dim: Count,
        layers: Count,
        heads: Count,
        causal: bool,
        cross: bool,
        final_norm: bool,
        input: Part,
        position: Part,
        attention: Part,
        ffn: Part,
        norm: Part,
        residual: Part,
        last_norm: Part | None = None,
        hidden: Count | None = None,
        cross_attention: Part | None = None,
        layer_groups: Count | None = None,
        inner_layers: Count = 1,
        first_layer_residual: Part | None = None,
        convolution: Part | None = None,
        windows: list[Count | None] | None = None,
        unroll: Count | None = None,
        remat: bool = False,
        dropout: Rate = 0.0,
        final_dropout: Rate = 0.0,
        rngs: nnx.Rngs,
    ):
        self.input = input(dim, rngs=rngs)
        self.position = position(self.input.width, heads=heads, causal=causal, rngs=rngs)
        if causal and convolution is not None:
            raise UserError(
                "a convolution mixes in later tokens: write model/convolution=none in a decoder"
            )
        block = partial(
            Block,
            attention=partial(attention, heads=heads),
            ffn=ffn if hidden is None else partial(ffn, hidden=hidden),
            residual=partial(residual, norm=norm),
            cross_attention=partial(cross_attention or attention, heads=heads) if cross else None,
            dropout=dropout,
        )
        self.stack = Stack(
            dim,
            block=block,
            layers=layers,
            layer_groups=layer_groups,
            inner_layers=inner_layers,
            first_block=(
                None
                if first_layer_residual is None
                else partial(block, residual=partial(first_layer_residual, norm=norm))
            ),
            convolution=convolution,
            windows=windows,
            unroll=unroll,
            remat=remat,
            rngs=rngs,
        )
        self.norm = (last_norm or norm)(dim, rngs=rngs) if final_norm else None
        self.dim, self.layers, self.heads = dim, layers, heads
        self.causal, self.final_dropout = causal, final_dropout

    @property
    def width(self) -> int:
        """Width of the token embeddings."""
        return self.input.width

    def __call__(
        self,
        tokens: Float[Array, "B T E"],
        segments: Int[Array, "B T"],
        *,
        types: Int[Array, "B T"] | None = None,
        positions: Int[Array, "B T"] | None = None,
        prefix: Bool[Array, "B T"] | None = None,
        global_tokens: Bool[Array, "B T"] | None = None,
        encoder_output: Float[Array, "B S D"] | None = None,
        encoder_segments: Int[Array, "B S"] | None = None,
        cache: StackCache | None = None,
        key: Array | None = None,
    ) -> tuple[Float[Array, "B T D"], StackCache | None]:
        """Hidden states of the last layer, and the cache with this call's tokens.

        tokens: token embeddings; segments: 0 for padding; types: token types
        positions: of each token, where that is not its index in its segment; not with a cache
        prefix: tokens that a causal stack encodes bidirectionally
        global_tokens: tokens that attend to all and are attended to by all (Longformer)
        encoder_output, encoder_segments: of the encoder, for cross-attention; the output is None
            where the cache holds its keys and values
        key: PRNG key of dropout; None: no dropout

        Raises UserError, while tracing, where the row is longer than the position table."""
        keys = split_key(key, 3)
        context, at = self.self_context(segments, cache, prefix, positions, global_tokens)
        cross = None if encoder_segments is None else cross_context(at, segments, encoder_segments)
        x = self.input(tokens, at, self.position, types=types, key=keys[0])
        x, cache, _ = self.stack(x, context, encoder_output, cross, cache=cache, key=keys[1])
        x = x if self.norm is None else self.norm(x)
        return drop(x, self.final_dropout, keys[2]), cache

    def with_memory(
        self,
        tokens: Float[Array, "B T E"],
        segments: Int[Array, "B T"],
        positions: Int[Array, "B T"],
        memory: CarriedMemory,
        *,
        key: Array | None = None,
    ) -> tuple[Float[Array, "B T D"], CarriedMemory]:
        """Hidden states of the last layer where rows continue those that the memory is of, and the
        memory after them. The arguments are as of `__call__`.

        positions: of each token in its document; above 0 for the first of a row that continues one

        Raises UserError, while tracing, where attention has no memory."""
        if not self.stack.blocks.attention.takes_memory:
            raise UserError(
                "a memory is carried from row to row by relative attention without zero inputs: "
                "write model=transfo_xl model.attention.memory_length=null"
            )
        keys = split_key(key, 3)
        seen = jnp.where(memory.visible(positions[:, 0]), segments[:, :1], 0)
        known = jnp.concatenate([seen, segments], axis=1)
        mask = AttentionMask(segments, known, self.causal, query_offset=memory.length).precompute()
        context = AttentionContext(self.position, positions, positions, mask)
        x = self.input(tokens, positions, self.position, key=keys[0])
        x, inputs = self.stack.with_memory(x, context, memory.of_layers(), key=keys[1])
        x = x if self.norm is None else self.norm(x)
        return drop(x, self.final_dropout, keys[2]), memory.after(inputs)

    def input_embeddings(
        self,
        tokens: Float[Array, "B T E"],
        segments: Int[Array, "B T"],
        *,
        types: Int[Array, "B T"] | None = None,
        positions: Int[Array, "B T"] | None = None,
    ) -> Float[Array, "B T E"]:
        """Sum of token, position and type embeddings, before the projection to the model's width.

        The arguments are as of `__call__`.
        """
        at = segment_positions(segments) if positions is None else positions
        return self.input.embed(tokens, at, self.position, types=types)

    def intermediates(
        self,
        tokens: Float[Array, "B T E"],
        segments: Int[Array, "B T"],
        *,
        types: Int[Array, "B T"] | None = None,
        positions: Int[Array, "B T"] | None = None,
        prefix: Bool[Array, "B T"] | None = None,
        global_tokens: Bool[Array, "B T"] | None = None,
        encoder_output: Float[Array, "B S D"] | None = None,
        encoder_segments: Int[Array, "B S"] | None = None,
        key: Array | None = None,
        products: bool = False,
    ) -> Intermediates:
        """Hidden states [L+1, B, T, D] and attention weights of `__call__`.

        The first hidden states are the input of the first layer, the last are those after the final
        norm.

        key: PRNG key of dropout; None: no dropout
        products: whether queries and keys of each head come with them"""
        keys = split_key(key, 3)
        context, at = self.self_context(segments, None, prefix, positions, global_tokens)
        cross = None if encoder_output is None else cross_context(at, segments, encoder_segments)
        x = self.input(tokens, at, self.position, types=types, key=keys[0])
        known = {"key": keys[1], "capture": True, "products": products}
        found = self.stack(x, context, encoder_output, cross, **known)[2]
        assert found is not None  # since it captures
        states = self.all_hidden_states(x, found.hidden_states)
        if key is not None and self.final_dropout:
            last = drop(states[-1], self.final_dropout, keys[2])
            states = jnp.concatenate([states[:-1], last[None]])
        return dataclasses.replace(found, hidden_states=states)

    def all_hidden_states(
        self, x: Float[Array, "B T D"], outputs: Float[Array, "L B T D"]
    ) -> Float[Array, "L+1 B T D"]:
        """Input of the first layer and outputs of all layers, the last one after the final norm."""
        last = outputs[-1:] if self.norm is None else self.norm(outputs[-1:])
        return jnp.concatenate([x[None], outputs[:-1], last])

    def self_context(
        self,
        segments: Int[Array, "B T"],
        cache: StackCache | None,
        prefix: Bool[Array, "B T"] | None = None,
        positions: Int[Array, "B T"] | None = None,
        global_tokens: Bool[Array, "B T"] | None = None,
    ) -> tuple[AttentionContext, Int[Array, "B T"]]:
        """Context of self-attention, and the position of every token."""
        longest = segments.shape[1]  # with a cache, its caller counts the tokens read before
        if self.position.length is not None and longest > self.position.length:
            raise UserError(
                f"rows of {longest} tokens do not fit a position table of {self.position.length}: "
                f"write data.length={self.position.length} or model.position.length={longest}"
            )
        if cache is None:
            at = segment_positions(segments) if positions is None else positions
            offset, keys, index = 0, segments, None
        else:
            offset, at = cache.query_offset(), cache.positions(segments.shape[1])
            keys = cache.filled(segments.shape[1]).astype(segments.dtype)
            prefix = None if prefix is None else cache.among_keys(prefix)
            index = None if cache.key_index is None else jnp.asarray(cache.key_index)
        memory = cache is not None and isinstance(cache.layers[0], XLMemory)
        if prefix is not None and memory:
            raise UserError(
                "a Transformer-XL memory has no prefix: write model.attention.memory_length=null"
            )
        mask = AttentionMask(segments, keys, self.causal, query_offset=offset, prefix=prefix)
        mask = dataclasses.replace(mask, key_index=index)
        distances = mask.distances()
        bias, relative = self.position.bias(distances), self.position.relative(distances)
        mask = mask.precompute()
        return AttentionContext(self.position, at, at, mask, bias, relative, global_tokens), at


def cross_context(
    positions: Int[Array, "B T"],
    segments: Int[Array, "B T"],
    encoder_segments: Int[Array, "B S"] | None,
) -> AttentionContext:
    """Context of cross-attention: all of the encoder's output of the same segment."""
    assert encoder_segments is not None  # they come with the encoder's output
    mask = AttentionMask(segments, encoder_segments).precompute()
    return AttentionContext(None, positions, positions, mask)
