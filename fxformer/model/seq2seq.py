"""Read the source, then write the target looking back at it."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from fxformer.batch import Batch
from fxformer.errors import UserError
from fxformer.model.language_model import LanguageModel, classifying, rounded
from fxformer.model.tie import tie
from fxformer.model.transformer import Transformer
from fxformer.nn.attention import Cache
from fxformer.nn.core import Table, split_key
from fxformer.nn.head import Head
from fxformer.nn.stack import Inside
from fxformer.types import Count, Part


class Seq2Seq(nnx.Module):
    """head(decoder(words[tokens]; encoder(words[source]))). Vaswani et al. 2017.

    One word table serves the source, the target and, where the head is tied, the output (Press and
    Wolf 2017, three-way tying).

    words: what keeps the word vectors
    source_vocab: rows of a table that the source has to itself; null: it has none
    tie_stacks: the decoder is the encoder with a look at its memory: one set of arrays (Rothe et
        al. 2020, sec. 3.2, "shared")
    """

    architecture = "seq2seq"

    def __init__(
        self,
        *,
        encoder: Part,
        decoder: Part,
        head: Part,
        vocab: Count,
        words: Part = Table,
        classifiers: dict[str, Part] | None = None,
        source_vocab: Count | None = None,
        tie_stacks: bool = False,
        vocab_multiple: Count = 1,
        rngs: nnx.Rngs,
    ):
        self.vocab = rounded(vocab, vocab_multiple)
        self.encoder: Transformer = encoder(causal=False, cross=False, rngs=rngs)
        self.decoder: Transformer = decoder(causal=True, cross=True, rngs=rngs)
        e, d, own = self.encoder, self.decoder, source_vocab is not None
        if e.dim != d.dim or (e.width != d.width and not own):
            raise UserError(
                f"encoder and decoder share a word table and a width: the encoder is {e.dim} wide "
                f"on words of {e.width}, the decoder {d.dim} on words of {d.width}"
            )
        if tie_stacks:
            tie(d, e)
        self.words = words(self.vocab, d.width, rngs=rngs)
        self.source_words = Table(source_vocab, e.width, rngs=rngs) if own else None
        self.head: Head = head(d.dim, vocab=self.vocab, width=d.width, rngs=rngs)
        self.classifiers = classifying(classifiers, d.dim, rngs)

    def encode(
        self,
        source: Int[Array, "B S"],
        segments: Int[Array, "B S"],
        *,
        global_tokens: Bool[Array, "B S"] | None = None,
        key: Array | None = None,
    ) -> Float[Array, "B S D"]:
        """The memory the decoder looks at."""
        words = self.read(source)
        return self.encoder(words, segments, global_tokens=global_tokens, key=key)[0]

    def read(self, source: Int[Array, "B S"]) -> Float[Array, "B S E"]:
        """The word vectors of the source."""
        return self.words(source) if self.source_words is None else self.source_words(source)

    def represent(self, tokens, segments) -> Float[Array, "B T D"]:
        """The vectors of the encoder's last layer, as features of a text."""
        return self.encode(tokens, segments)

    def __call__(self, batch: Batch, *, key: Array | None = None) -> Float[Array, "B T D"]:
        first, second = split_key(key, 2)
        source, chosen = batch.source, batch.global_tokens
        memory = self.encode(source, batch.source_segments, global_tokens=chosen, key=first)
        return self.decoder(
            self.words(batch.tokens),
            batch.segments,
            positions=batch.positions,
            memory=memory,
            memory_segments=batch.source_segments,
            key=second,
        )[0]

    def states(self, batch: Batch) -> tuple[Float[Array, "L+1 B S D"], Float[Array, "L+1 B T D"]]:
        """What enters the first layer of the encoder, and of the decoder, and what leaves each."""
        encoder, decoder = self.inside(batch)
        return encoder.hidden, decoder.hidden

    def inside(self, batch: Batch) -> tuple[Inside, Inside]:
        """The states, and what the heads of each layer look at, in encoder and decoder."""
        source, segments = self.read(batch.source), batch.source_segments
        encoder = self.encoder.inside(source, segments, global_tokens=batch.global_tokens)
        memory = {"memory": encoder.hidden[-1], "memory_segments": segments}
        words, positions = self.words(batch.tokens), batch.positions
        return encoder, self.decoder.inside(words, batch.segments, positions=positions, **memory)

    def extend(
        self, tokens, segments, cache: Cache, memory, memory_segments
    ) -> tuple[Float[Array, "B T D"], Cache]:
        """The decoder's vectors of some more tokens of rows whose beginning is in the cache."""
        return self.decoder(
            self.words(tokens),
            segments,
            memory=memory,
            memory_segments=memory_segments,
            cache=cache,
        )

    def empty(self, batch: int, length: int, dtype=jnp.float32) -> Cache:
        """A decoder cache for `batch` rows of at most `length` tokens."""
        return self.decoder.stack.empty(batch, length, dtype)

    projection = LanguageModel.projection
    logits = LanguageModel.logits
    classify = LanguageModel.classify
