"""One stack with a word table and a head: encoders and decoders."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from fxformer.batch import Batch
from fxformer.model.transformer import Transformer
from fxformer.nn.attention import Cache
from fxformer.nn.core import Table, split_key
from fxformer.nn.head import Head
from fxformer.nn.stack import Inside
from fxformer.types import Count, Part


def rounded(vocab: int, multiple: int) -> int:
    """The smallest multiple not below `vocab`: matrix units like round tables."""
    return -(-vocab // multiple) * multiple


def classifying(parts: dict[str, Part] | None, dim: int, rngs: nnx.Rngs) -> nnx.Dict:
    """The classifiers of a model that is `dim` wide."""
    return nnx.Dict({name: part(dim, rngs=rngs) for name, part in (parts or {}).items()})


class LanguageModel(nnx.Module):
    """head(transformer(words[tokens])): Devlin et al. 2019, Radford et al. 2018.

    vocab: ids of the tokenizer; the tables get that many rows, rounded up to `vocab_multiple`
    words: what keeps the word vectors
    classifiers: answers that are no words, by name (see nn/classifier.py)
    """

    def __init__(
        self,
        *,
        transformer: Part,
        head: Part,
        vocab: Count,
        words: Part = Table,
        classifiers: dict[str, Part] | None = None,
        vocab_multiple: Count = 1,
        rngs: nnx.Rngs,
    ):
        self.vocab = rounded(vocab, vocab_multiple)
        self.transformer: Transformer = transformer(cross=False, rngs=rngs)
        self.words = words(self.vocab, self.transformer.width, rngs=rngs)
        self.head: Head = head(
            self.transformer.dim, vocab=self.vocab, width=self.transformer.width, rngs=rngs
        )
        self.classifiers = classifying(classifiers, self.transformer.dim, rngs)

    @property
    def architecture(self) -> str:
        """`encoder` or `decoder`: what an objective asks to know whether it is legal."""
        return "decoder" if self.transformer.causal else "encoder"

    @property
    def dim(self) -> int:
        """Width of a token's vector."""
        return self.transformer.dim

    @property
    def types(self) -> int:
        """Token types it tells apart; 0: none."""
        table = self.transformer.embed.types
        return 0 if table is None else table.embedding.shape[0]

    def __call__(self, batch: Batch, *, key: Array | None = None) -> Float[Array, "B T D"]:
        return self.transformer(
            self.words(batch.tokens),
            batch.segments,
            types=batch.types,
            positions=batch.positions,
            prefix=batch.prefix,
            global_tokens=batch.global_tokens,
            key=key,
        )[0]

    def states(self, batch: Batch) -> Float[Array, "L+1 B T D"]:
        """What enters the first layer and what leaves each; the last is what `__call__` gives."""
        return self.inside(batch).hidden

    def inside(self, batch: Batch) -> Inside:
        """The states, and what the heads of each layer look at."""
        return self.transformer.inside(
            self.words(batch.tokens),
            batch.segments,
            types=batch.types,
            positions=batch.positions,
            prefix=batch.prefix,
            global_tokens=batch.global_tokens,
        )

    def classify(self, batch: Batch, *, key: Array | None = None) -> dict[str, Array]:
        """The answers of all classifiers: {name: [B C] or, of each token, [B T C]}."""
        first, second = split_key(key, 2)
        x = self(batch, key=first)
        return {
            name: answer(x, batch.segments, key=second) for name, answer in self.classifiers.items()
        }

    def represent(self, tokens, segments) -> Float[Array, "B T D"]:
        """The vectors of the last layer, as features of a text."""
        return self.transformer(self.words(tokens), segments)[0]

    def extend(
        self, tokens, segments, cache: Cache, *, prefix: Bool[Array, "B S"] | None = None
    ) -> tuple[Float[Array, "B T D"], Cache]:
        """The vectors of some more tokens of rows whose beginning is in the cache.

        prefix: places of the cache that are read in both directions"""
        return self.transformer(self.words(tokens), segments, prefix=prefix, cache=cache)

    def empty(self, batch: int, length: int, dtype=jnp.float32) -> Cache:
        """A cache for `batch` rows of at most `length` tokens."""
        return self.transformer.stack.empty(batch, length, dtype)

    def projection(self):
        """(features, kernel [V E], bias [V] | None): logits = features(x) kernelᵀ + bias."""
        return self.head.projection(self.words)

    def logits(self, x: Float[Array, "*B D"]) -> Float[Array, "*B V"]:
        """Unnormalised log-probabilities of the next, or the hidden, token; float32."""
        return self.head.logits(x, self.words)
