"""Sequence-to-sequence model: encoder, decoder with cross-attention, head."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from fxformer.batch import Batch
from fxformer.errors import UserError
from fxformer.model.language_model import LanguageModel, build_task_heads, round_up
from fxformer.model.transformer import Transformer
from fxformer.nn.cache import StackCache
from fxformer.nn.core import Embedding
from fxformer.nn.head import Head
from fxformer.nn.intermediates import Intermediates
from fxformer.ops.dropout import split_key
from fxformer.types import Count, Part


class Seq2Seq(nnx.Module):
    """Encoder-decoder: head(decoder(embedding(tokens); encoder(embedding(source)))).

    Vaswani et al. 2017.

    One token embedding serves the source, the target and, where the head is tied, the output (Press
    and Wolf 2017, three-way tying).

    embedding: class of the token embedding
    task_heads: heads of labelled tasks by name (nn/task_head.py)
    source_vocab: size of a separate embedding of source tokens; null: there is none
    tie_encoder_decoder: encoder and decoder share all parameters but those of cross-attention
        (Rothe et al. 2020, sec. 3.2, "shared")
    """

    architecture = "seq2seq"

    def __init__(
        self,
        *,
        encoder: Part,
        decoder: Part,
        head: Part,
        vocab: Count,
        embedding: Part = Embedding,
        task_heads: dict[str, Part] | None = None,
        source_vocab: Count | None = None,
        tie_encoder_decoder: bool = False,
        vocab_multiple: Count = 1,
        rngs: nnx.Rngs,
    ):
        self.vocab = round_up(vocab, vocab_multiple)
        self.encoder: Transformer = encoder(causal=False, cross=False, rngs=rngs)
        self.decoder: Transformer = decoder(causal=True, cross=True, rngs=rngs)
        e, d, own = self.encoder, self.decoder, source_vocab
        if e.dim != d.dim or (e.width != d.width and own is None):
            raise UserError(
                f"encoder and decoder share a token embedding and a width: the encoder is {e.dim} "
                f"wide on embeddings of {e.width}, the decoder {d.dim} on embeddings of {d.width}"
            )
        if tie_encoder_decoder:
            share_parameters(d, e)
        self.token_embedding = embedding(self.vocab, d.width, rngs=rngs)
        self.source_embedding = None if own is None else Embedding(own, e.width, rngs=rngs)
        self.head: Head = head(d.dim, vocab=self.vocab, width=d.width, rngs=rngs)
        self.task_heads = build_task_heads(task_heads, d.dim, rngs)

    def encode(
        self,
        source: Int[Array, "B S"],
        segments: Int[Array, "B S"],
        *,
        global_tokens: Bool[Array, "B S"] | None = None,
        key: Array | None = None,
    ) -> Float[Array, "B S D"]:
        """The encoder's output, to which the decoder attends."""
        tokens = self.embed_source(source)
        return self.encoder(tokens, segments, global_tokens=global_tokens, key=key)[0]

    def embed_source(self, source: Int[Array, "B S"]) -> Float[Array, "B S E"]:
        """Token embeddings of the source."""
        return (
            self.token_embedding(source)
            if self.source_embedding is None
            else self.source_embedding(source)
        )

    def __call__(self, batch: Batch, *, key: Array | None = None) -> Float[Array, "B T D"]:
        """Hidden states of the decoder's last layer. key: PRNG key of dropout; None: no dropout."""
        first, second = split_key(key, 2)
        encoder_output = self.encode(
            batch.source, batch.source_segments, global_tokens=batch.global_tokens, key=first
        )
        return self.decoder(
            self.token_embedding(batch.tokens),
            batch.segments,
            positions=batch.positions,
            encoder_output=encoder_output,
            encoder_segments=batch.source_segments,
            key=second,
        )[0]

    def hidden_states(
        self, batch: Batch
    ) -> tuple[Float[Array, "L+1 B S D"], Float[Array, "L+1 B T D"]]:
        """Those of the encoder and of the decoder: input of the first layer and output of each."""
        encoder, decoder = self.intermediates(batch)
        return encoder.hidden_states, decoder.hidden_states

    def intermediates(
        self, batch: Batch, *, key: Array | None = None, products: bool = False
    ) -> tuple[Intermediates, Intermediates]:
        """Hidden states and attention weights of encoder and decoder.

        key: of dropout; None: no dropout. products: with queries and keys of each head
        """
        first, second = split_key(key, 2)
        encoder = self.encoder.intermediates(
            self.embed_source(batch.source),
            batch.source_segments,
            global_tokens=batch.global_tokens,
            key=first,
            products=products,
        )
        decoder = self.decoder.intermediates(
            self.token_embedding(batch.tokens),
            batch.segments,
            positions=batch.positions,
            encoder_output=encoder.hidden_states[-1],
            encoder_segments=batch.source_segments,
            key=second,
            products=products,
        )
        return encoder, decoder

    def decode_step(
        self,
        tokens: Int[Array, "B T"],
        segments: Int[Array, "B T"],
        cache: StackCache,
        encoder_output: Float[Array, "B S D"] | None,
        encoder_segments: Int[Array, "B S"],
    ) -> tuple[Float[Array, "B T D"], StackCache]:
        """Hidden states of T more target tokens, and the cache with them appended.

        encoder_output: None where the cache holds its keys and values (`with_encoder`)
        """
        x, new_cache = self.decoder(
            self.token_embedding(tokens),
            segments,
            encoder_output=encoder_output,
            encoder_segments=encoder_segments,
            cache=cache,
        )
        assert new_cache is not None  # since there was one
        return x, new_cache

    def init_cache(self, batch: int, length: int, dtype=jnp.float32) -> StackCache:
        """A decoder cache for `batch` rows of at most `length` tokens."""
        return self.decoder.stack.init_cache(batch, length, dtype)

    def with_encoder(self, cache: StackCache, encoder_output: Float[Array, "B S D"]) -> StackCache:
        """The cache with the keys and values of cross-attention, in its dtype."""
        return cache.with_encoder(self.decoder.stack.encoder_keys(encoder_output))

    projection = LanguageModel.projection
    logits = LanguageModel.logits
    task_outputs = LanguageModel.task_outputs


def share_parameters(decoder: nnx.Module, encoder: nnx.Module) -> None:
    """Replace every parameter of the encoder by that of the decoder at the same path.

    Parameters that only the decoder has (cross-attention) stay its own. Raises UserError where
    the encoder has a parameter that the decoder has not, or of another shape.
    """
    of_decoder, of_encoder = _parameters(decoder), _parameters(encoder)
    for path, parameter in of_encoder.items():
        name = "/".join(map(str, path))
        if path not in of_decoder:
            raise UserError(
                f"encoder and decoder cannot share parameters: the encoder has {name}, the decoder "
                "has not; write model.network.tie_encoder_decoder=false"
            )
        if of_decoder[path].shape != parameter.shape:
            raise UserError(
                f"encoder and decoder cannot share parameters: {name} is {list(parameter.shape)} "
                f"in the encoder and {list(of_decoder[path].shape)} in the decoder; write "
                "model.network.tie_encoder_decoder=false"
            )
    for path in of_encoder:
        *parents, last = path
        node = encoder
        for key in parents:
            node = node[key] if isinstance(node, nnx.Dict) else getattr(node, key)
        if isinstance(node, nnx.Dict):
            node[last] = of_decoder[path]
        else:
            setattr(node, last, of_decoder[path])


def _parameters(module: nnx.Module) -> dict[tuple, nnx.Variable]:
    """{path: parameter} of a module."""
    return {path: x for path, x in nnx.iter_graph(module) if isinstance(x, nnx.Variable)}
