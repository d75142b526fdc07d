"""A decoder that foretells several tokens at once, each in a stream of its own: ProphetNet's."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from fxformer.errors import UserError
from fxformer.model.transformer import Transformer
from fxformer.nn.attention import Cache
from fxformer.nn.core import Table, drop, split_key
from fxformer.nn.ngram import NgramAttention, Streams
from fxformer.nn.position import Position
from fxformer.nn.stack import Inside
from fxformer.types import Count, Part


class NgramDecoder(nnx.Module):
    """Stream s at position t gives p(token t + 1 | tokens up to t - s). Qi et al. 2020, sec. 3.3.

    The streams share all weights. The main stream reads the tokens and answers nothing; a
    predicting one begins from a learned vector of its own, at the position of what it foretells.
    To generate, stream 0 suffices; the others exist in training only.

    transformer: the stack, whose attention must be n-gram attention
    ngram: tokens foretold at once
    """

    def __init__(
        self, *, transformer: Part, ngram: Count, causal: bool, cross: bool, rngs: nnx.Rngs
    ):
        if not (causal and cross):
            raise UserError("an n-gram decoder is causal and has a memory: write model=prophetnet")
        self.transformer: Transformer = transformer(causal=True, cross=True, rngs=rngs)
        self._check(self.transformer)
        self.begin = Table(ngram, self.transformer.width, rngs=rngs)
        self.ngram, self.causal = ngram, True

    @property
    def streams(self) -> int:
        """The main one and the predicting ones."""
        return 1 + self.ngram

    @property
    def dim(self) -> int:
        """Width of the vectors it gives."""
        return self.transformer.dim

    @property
    def width(self) -> int:
        """Width of the word vectors it wants."""
        return self.transformer.width

    @property
    def layers(self) -> int:
        """Blocks one after the other."""
        return self.transformer.layers

    @property
    def stack(self):
        """The blocks."""
        return self.transformer.stack

    def __call__(
        self,
        words: Float[Array, "B T E"],
        segments: Int[Array, "B T"],
        *,
        positions: Int[Array, "B T"] | None = None,
        memory: Float[Array, "B S D"],
        memory_segments: Int[Array, "B S"],
        cache: Cache | None = None,
        key: Array | None = None,
    ) -> tuple[Float[Array, "B T D"], Cache | None]:
        """Stream 0: what a decoder without streams would give. See `foretell`."""
        there = {"memory": memory, "memory_segments": memory_segments, "positions": positions}
        x, cache = self.foretell(words, segments, 1, cache=cache, key=key, **there)
        return x[:, 1], cache

    def foretell(
        self,
        words: Float[Array, "B T E"],
        segments: Int[Array, "B T"],
        ahead: int,
        *,
        positions: Int[Array, "B T"] | None = None,
        memory: Float[Array, "B S D"],
        memory_segments: Int[Array, "B S"],
        cache: Cache | None = None,
        key: Array | None = None,
    ) -> tuple[Float[Array, "B P T D"], Cache | None]:
        """The main stream and the first `ahead` predicting ones, P = 1 + ahead. No stream depends
        on a later one. Raises UserError where the row is longer than the position table."""
        body, keys = self.transformer, split_key(key, 3)
        where, at = self.here(segments, cache, ahead, positions)
        x = self.enter(words, at, ahead, key=keys[0])
        there = body.there(at, jnp.tile(segments, (1, 1 + ahead)), memory_segments)
        x, cache, _ = body.stack(x, where, memory, there, cache=cache, key=keys[1])
        x = drop(x if body.norm is None else body.norm(x), body.final_dropout, keys[2])
        return x.reshape(len(x), 1 + ahead, segments.shape[1], -1), cache

    def inside(self, words, segments, *, positions=None, memory, memory_segments) -> Inside:
        """As of `Transformer`, of the main stream."""
        body = self.transformer
        where, at = self.here(segments, None, 0, positions)
        x = self.enter(words, at, 0)
        there = body.there(at, segments, memory_segments)
        made = body.stack(x, where, memory, there, capture=True)[2]
        return made.replace(hidden=body.whole(x, made.hidden))

    def enter(
        self, words: Float[Array, "B T E"], at: Int[Array, "B T"], ahead: int, *, key=None
    ) -> Float[Array, "B P·T D"]:
        """The streams one after the other, before the first layer."""
        body, (batch, length, width) = self.transformer, words.shape
        begin = self.begin.embedding[...][:ahead, None].astype(words.dtype)
        begin = jnp.broadcast_to(begin, (batch, ahead, length, width))
        x = jnp.concatenate([words, begin.reshape(batch, ahead * length, width)], 1)
        places = jnp.concatenate([at] + [at + 1] * ahead, 1)
        return body.embed(x, places, body.position, key=key)

    def here(
        self,
        segments: Int[Array, "B T"],
        cache: Cache | None,
        ahead: int,
        places: Int[Array, "B T"] | None = None,
    ) -> tuple[Streams, Array]:
        """What the streams may see, and the position of every token."""
        longest = segments.shape[1] if cache is None else cache.k.shape[2]
        room = self.transformer.position.length
        if room is not None and longest >= room:
            raise UserError(
                f"rows of {longest} tokens foretell a token at position {longest + 1}, and the "
                f"position table has {room}: write data.length={room - 1} or "
                f"model.position.length={longest + 1}"
            )
        where, at = self.transformer.here(segments, cache, None, places)
        return Streams.of(where.mask, ahead), at

    @staticmethod
    def _check(body: Transformer) -> None:
        """UserError for parts that streams know nothing of."""
        attention, position = body.stack.blocks.attention, type(body.position)
        if not isinstance(attention, NgramAttention):
            raise UserError(
                f"an n-gram decoder needs n-gram attention, not {type(attention).__name__}: write "
                "model.decoder.transformer.attention as model=prophetnet has it"
            )
        if position.rotate is not Position.rotate or position.bias is not Position.bias:
            raise UserError(
                f"n-gram attention has a relative bias of its own and would pass over "
                f"{position.__name__}: write model/position=prophetnet, learned or sinusoidal"
            )
        if body.stack.windows is not None:
            raise UserError("n-gram attention has no windows: write model.windows=null")
