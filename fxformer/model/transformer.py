"""One stack with its input side: an encoder or a decoder, depending on `causal` and `cross`."""

from functools import partial

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from fxformer.errors import UserError
from fxformer.nn.attention import Cache, Where
from fxformer.nn.block import Block
from fxformer.nn.core import drop, split_key
from fxformer.nn.stack import Inside, Stack
from fxformer.ops.attention_mask import Mask, positions
from fxformer.types import Count, Part, Rate


class Transformer(nnx.Module):
    """Word vectors in, one vector a token out. Vaswani et al. 2017.

    causal: a token sees none that come later (a decoder)
    cross: each block also looks at a memory (the decoder of a seq2seq model)
    memory_attention: how it looks at it; null: as at its own tokens
    final_norm: a norm after the last block, which pre-norm residuals want
    last_norm: what that norm is, where it is not `norm` (CTRL: another epsilon)
    hidden: width inside the feed-forward, where it is not what `ffn` says
    first: the residual of the first layer, where it is another (ModernBERT)
    local: what joins the words to the first layer's output (DeBERTa v2's convolution)
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
        embed: Part,
        position: Part,
        attention: Part,
        ffn: Part,
        norm: Part,
        residual: Part,
        last_norm: Part | None = None,
        hidden: Count | None = None,
        memory_attention: Part | None = None,
        groups: Count | None = None,
        inner: Count = 1,
        first: Part | None = None,
        local: Part | None = None,
        windows: list[Count | None] | None = None,
        unroll: Count | None = None,
        remat: bool = False,
        dropout: Rate = 0.0,
        final_dropout: Rate = 0.0,
        rngs: nnx.Rngs,
    ):
        self.embed = embed(dim, rngs=rngs)
        self.position = position(self.embed.width, heads=heads, causal=causal, rngs=rngs)
        look = partial(memory_attention or attention, heads=heads)
        if causal and local is not None:
            raise UserError("a convolution sees later tokens: write model/local=none in a decoder")
        block = partial(
            Block,
            attention=partial(attention, heads=heads),
            ffn=ffn if hidden is None else partial(ffn, hidden=hidden),
            residual=partial(residual, norm=norm),
            cross=look if cross else None,
            dropout=dropout,
        )
        self.stack = Stack(
            dim,
            block=block,
            layers=layers,
            groups=groups,
            inner=inner,
            first=None if first is None else partial(block, residual=partial(first, norm=norm)),
            local=local,
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
        """Width of the word vectors it wants."""
        return self.embed.width

    def __call__(
        self,
        words: Float[Array, "B T E"],
        segments: Int[Array, "B T"],
        *,
        types: Int[Array, "B T"] | None = None,
        positions: Int[Array, "B T"] | None = None,
        prefix: Bool[Array, "B T"] | None = None,
        global_tokens: Bool[Array, "B T"] | None = None,
        memory: Float[Array, "B S D"] | None = None,
        memory_segments: Int[Array, "B S"] | None = None,
        cache: Cache | None = None,
        key: Array | None = None,
    ) -> tuple[Float[Array, "B T D"], Cache | None]:
        """positions: of each token, where it is not its index in its segment; not with a cache.
        prefix: tokens that a causal stack reads in both directions; with a cache, all its places.
        global_tokens: tokens that see all and are seen by all, for an attention that has such.

        Raises UserError, while tracing, where the row is longer than the position table."""
        keys = split_key(key, 3)
        where, at = self.here(segments, cache, prefix, positions, global_tokens)
        there = None if memory is None else self.there(at, segments, memory_segments)
        x = self.embed(words, at, self.position, types=types, key=keys[0])
        x, cache, _ = self.stack(x, where, memory, there, cache=cache, key=keys[1])
        x = x if self.norm is None else self.norm(x)
        return drop(x, self.final_dropout, keys[2]), cache

    def vectors(
        self,
        words: Float[Array, "B T E"],
        segments: Int[Array, "B T"],
        *,
        types: Int[Array, "B T"] | None = None,
        places: Int[Array, "B T"] | None = None,
    ) -> Float[Array, "B T E"]:
        """Words, positions and types together, before they are projected to the model's width."""
        at = positions(segments) if places is None else places
        return self.embed.vectors(words, at, self.position, types=types)

    def inside(
        self,
        words: Float[Array, "B T E"],
        segments: Int[Array, "B T"],
        *,
        types: Int[Array, "B T"] | None = None,
        positions: Int[Array, "B T"] | None = None,
        prefix: Bool[Array, "B T"] | None = None,
        global_tokens: Bool[Array, "B T"] | None = None,
        memory: Float[Array, "B S D"] | None = None,
        memory_segments: Int[Array, "B S"] | None = None,
    ) -> Inside:
        """What `__call__` computes on its way. Before the vectors that leave the layers stand
        those that enter the first, [L+1 B T D]; the last are after the final norm."""
        where, at = self.here(segments, None, prefix, positions, global_tokens)
        there = None if memory is None else self.there(at, segments, memory_segments)
        x = self.embed(words, at, self.position, types=types)
        made = self.stack(x, where, memory, there, capture=True)[2]
        return made.replace(hidden=self.whole(x, made.hidden))

    def whole(
        self, x: Float[Array, "B T D"], hidden: Float[Array, "L B T D"]
    ) -> Float[Array, "L+1 B T D"]:
        """What enters the first layer and what leaves each, the last one after the final norm."""
        last = hidden[-1:] if self.norm is None else self.norm(hidden[-1:])
        return jnp.concatenate([x[None], hidden[:-1], last])

    def here(
        self,
        segments: Int[Array, "B T"],
        cache: Cache | None,
        prefix: Bool[Array, "B T"] | None = None,
        places: Int[Array, "B T"] | None = None,
        global_tokens: Bool[Array, "B T"] | None = None,
    ) -> tuple[Where, Array]:
        """What self-attention may know, and the position of every token."""
        longest = segments.shape[1] if cache is None else cache.room(segments.shape[1])
        if self.position.length is not None and longest > self.position.length:
            raise UserError(
                f"rows of {longest} tokens do not fit a position table of {self.position.length}: "
                f"write data.length={self.position.length} or model.position.length={longest}"
            )
        if cache is None:
            at = positions(segments) if places is None else places
            first, known = 0, segments
        else:
            first, filled = cache.place(segments.shape[1])
            at = first + jnp.broadcast_to(jnp.arange(segments.shape[1]), segments.shape)
            known = jnp.broadcast_to(filled, (segments.shape[0], longest)).astype(segments.dtype)
        if prefix is not None and prefix.shape[1] != known.shape[1]:
            raise UserError(
                f"a prefix of {prefix.shape[1]} places over {known.shape[1]} tokens: a memory has "
                "none, write model.attention.memory=null"
            )
        mask = Mask(segments, known, causal=self.causal, first=first, prefix=prefix)
        bias, relative = self.position.bias(mask.gap()), self.position.relative(mask.gap())
        known = (mask.dense(), bias, relative, global_tokens)
        return Where(self.position, at, at, mask, *known), at

    def there(self, at, segments, memory_segments) -> Where:
        """What cross-attention may know: the memory of the same segment, all of it."""
        mask = Mask(segments, memory_segments)
        return Where(None, at, at, mask, mask.dense())
