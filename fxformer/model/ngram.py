"""N-gram decoder: predicts the next n tokens, each in a stream of its own (ProphetNet)."""

import dataclasses

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from fxformer.errors import UserError
from fxformer.model.transformer import Transformer, cross_context
from fxformer.nn.cache import StackCache
from fxformer.nn.core import Embedding
from fxformer.nn.intermediates import Intermediates
from fxformer.nn.ngram import NgramAttention, StreamContext
from fxformer.nn.position import Position
from fxformer.ops.dropout import drop, split_key
from fxformer.types import Count, Part


class NgramDecoder(nnx.Module):
    """Stream s at position t gives p(token t + 1 | tokens up to t - s). Qi et al. 2020, sec. 3.3.

    The streams share all weights. The main stream has the tokens as input and predicts nothing; the
    input of a predicting stream is a learned embedding of its own, at the position of the token
    that it predicts. Generation uses stream 0; the others exist in training only.

    transformer: the stack, whose attention must be n-gram attention
    ngram: number of tokens predicted at once
    cross: whether it has cross-attention to an encoder's output
    """

    causal = True  # of every such decoder; read from the class by the check of a config

    def __init__(
        self,
        *,
        transformer: Part,
        ngram: Count,
        causal: bool = True,
        cross: bool,
        rngs: nnx.Rngs,
    ):
        if not causal:
            raise UserError("an n-gram decoder is causal: write model=prophetnet")
        self.transformer: Transformer = transformer(causal=True, cross=cross, rngs=rngs)
        self._check(self.transformer)
        self.ngram_embedding = Embedding(ngram, self.transformer.width, rngs=rngs)
        self.ngram = ngram

    @property
    def dim(self) -> int:
        """Width of the hidden states."""
        return self.transformer.dim

    @property
    def width(self) -> int:
        """Width of the token embeddings."""
        return self.transformer.width

    @property
    def layers(self) -> int:
        """Number of layers."""
        return self.transformer.layers

    @property
    def input(self):
        """The input layer."""
        return self.transformer.input

    @property
    def stack(self):
        """The stack of blocks."""
        return self.transformer.stack

    def __call__(
        self,
        tokens: Float[Array, "B T E"],
        segments: Int[Array, "B T"],
        *,
        types: None = None,
        positions: Int[Array, "B T"] | None = None,
        prefix: None = None,
        global_tokens: None = None,
        encoder_output: Float[Array, "B S D"] | None = None,
        encoder_segments: Int[Array, "B S"] | None = None,
        cache: StackCache | None = None,
        key: Array | None = None,
    ) -> tuple[Float[Array, "B T D"], StackCache | None]:
        """Predicting stream 0, which is a decoder without n-grams. See `predict_ngrams`.

        types, prefix, global_tokens: UserError for a batch that has any"""
        _check_plain(types, prefix, global_tokens)
        x, cache = self.predict_ngrams(
            tokens,
            segments,
            1,
            positions=positions,
            encoder_output=encoder_output,
            encoder_segments=encoder_segments,
            cache=cache,
            key=key,
        )
        return x[:, 1], cache

    def predict_ngrams(
        self,
        tokens: Float[Array, "B T E"],
        segments: Int[Array, "B T"],
        num_predicted: int,
        *,
        positions: Int[Array, "B T"] | None = None,
        encoder_output: Float[Array, "B S D"] | None = None,
        encoder_segments: Int[Array, "B S"] | None = None,
        cache: StackCache | None = None,
        key: Array | None = None,
    ) -> tuple[Float[Array, "B P T D"], StackCache | None]:
        """Hidden states of the main stream and of `num_predicted` predicting streams.

        P = 1 + num_predicted; no stream depends on a later one. The arguments are as of
        `Transformer`. Raises UserError where the row is longer than the position table."""
        body, keys = self.transformer, split_key(key, 3)
        context, at = self.self_context(segments, cache, num_predicted, positions)
        x = self.embed_streams(tokens, at, num_predicted, key=keys[0])
        of_streams = jnp.tile(segments, (1, 1 + num_predicted))
        cross = None
        if encoder_segments is not None:
            cross = cross_context(at, of_streams, encoder_segments)
        x, cache, _ = body.stack(x, context, encoder_output, cross, cache=cache, key=keys[1])
        x = drop(x if body.norm is None else body.norm(x), body.final_dropout, keys[2])
        return x.reshape(len(x), 1 + num_predicted, segments.shape[1], -1), cache

    def intermediates(
        self,
        tokens: Float[Array, "B T E"],
        segments: Int[Array, "B T"],
        *,
        types: None = None,
        positions: Int[Array, "B T"] | None = None,
        prefix: None = None,
        global_tokens: None = None,
        encoder_output: Float[Array, "B S D"] | None = None,
        encoder_segments: Int[Array, "B S"] | None = None,
        key: Array | None = None,
        products: bool = False,
    ) -> Intermediates:
        """As of `Transformer`, of the main stream."""
        _check_plain(types, prefix, global_tokens)
        body, keys = self.transformer, split_key(key, 3)
        context, at = self.self_context(segments, None, 0, positions)
        x = self.embed_streams(tokens, at, 0, key=keys[0])
        cross = None if encoder_output is None else cross_context(at, segments, encoder_segments)
        known = {"key": keys[1], "capture": True, "products": products}
        found = body.stack(x, context, encoder_output, cross, **known)[2]
        assert found is not None  # since it captures
        states = body.all_hidden_states(x, found.hidden_states)
        return dataclasses.replace(found, hidden_states=states)

    def embed_streams(
        self,
        tokens: Float[Array, "B T E"],
        positions: Int[Array, "B T"],
        num_predicted: int,
        *,
        key: Array | None = None,
    ) -> Float[Array, "B P·T D"]:
        """Input of the first layer, the streams one after the other."""
        body, (batch, length, width) = self.transformer, tokens.shape
        begin = self.ngram_embedding.embedding[...][:num_predicted, None].astype(tokens.dtype)
        begin = jnp.broadcast_to(begin, (batch, num_predicted, length, width))
        x = jnp.concatenate([tokens, begin.reshape(batch, num_predicted * length, width)], 1)
        of_streams = jnp.concatenate([positions] + [positions + 1] * num_predicted, 1)
        return body.input(x, of_streams, body.position, key=key)

    def self_context(
        self,
        segments: Int[Array, "B T"],
        cache: StackCache | None,
        num_predicted: int,
        positions: Int[Array, "B T"] | None = None,
    ) -> tuple[StreamContext, Int[Array, "B T"]]:
        """Context of self-attention of all streams, and the position of every token."""
        longest = segments.shape[1]  # with a cache, its caller counts the tokens read before
        limit = self.transformer.position.length
        if limit is not None and longest >= limit:
            raise UserError(
                f"rows of {longest} tokens predict a token at position {longest + 1}, and the "
                f"position table has {limit}: write data.length={limit - 1} or "
                f"model.position.length={longest + 1}"
            )
        context, at = self.transformer.self_context(segments, cache, None, positions)
        return StreamContext.of(context.mask, num_predicted), at

    @staticmethod
    def _check(body: Transformer) -> None:
        """UserError for parts that n-gram attention does not support."""
        attention, position = body.stack.blocks.attention, type(body.position)
        if not isinstance(attention, NgramAttention):
            raise UserError(
                f"an n-gram decoder needs n-gram attention, not {type(attention).__name__}: write "
                "model.decoder.transformer.attention as model=prophetnet has it"
            )
        if position.rotate is not Position.rotate or position.bias is not Position.bias:
            raise UserError(
                f"n-gram attention has a relative bias of its own and would ignore "
                f"{position.__name__}: write model/position=prophetnet, learned or sinusoidal"
            )
        if body.stack.windows is not None:
            raise UserError("n-gram attention has no windows: write model.windows=null")


def _check_plain(types, prefix, global_tokens) -> None:
    """UserError for what a batch may have and streams do not read."""
    given = {"token types": types, "a prefix": prefix, "global tokens": global_tokens}
    found = next((name for name, array in given.items() if array is not None), None)
    if found is not None:
        raise UserError(f"an n-gram decoder reads no {found.removeprefix('a ')}: write model=gpt2")
