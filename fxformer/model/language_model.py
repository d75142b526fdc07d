"""One stack with a word table and a head: encoders and decoders."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from fxformer.batch import Batch
from fxformer.model.transformer import Transformer
from fxformer.nn.attention import Cache
from fxformer.nn.core import Table
from fxformer.nn.head import Head
from fxformer.types import Count, Part


def rounded(vocab: int, multiple: int) -> int:
    """The smallest multiple not below `vocab`: matrix units like round tables."""
    return -(-vocab // multiple) * multiple


class LanguageModel(nnx.Module):
    """head(transformer(words[tokens])): Devlin et al. 2019, Radford et al. 2018.

    vocab: ids of the tokenizer; the tables get that many rows, rounded up to `vocab_multiple`
    """

    def __init__(
        self,
        *,
        transformer: Part,
        head: Part,
        vocab: Count,
        vocab_multiple: Count = 1,
        rngs: nnx.Rngs,
    ):
        self.vocab = rounded(vocab, vocab_multiple)
        self.transformer: Transformer = transformer(cross=False, rngs=rngs)
        self.words = Table(self.vocab, self.transformer.width, rngs=rngs)
        self.head: Head = head(
            self.transformer.dim, vocab=self.vocab, width=self.transformer.width, rngs=rngs
        )

    @property
    def architecture(self) -> str:
        """`encoder` or `decoder`: what an objective asks to know whether it is legal."""
        return "decoder" if self.transformer.causal else "encoder"

    def __call__(
        self, batch: Batch, *, key: Array | None = None
    ) -> Float[Array, "B T D"]:
        words = self.words(batch.tokens)
        types, prefix = batch.types, batch.prefix
        return self.transformer(words, batch.segments, types=types, prefix=prefix, key=key)[0]

    def represent(self, tokens, segments) -> Float[Array, "B T D"]:
        """The vectors of the last layer, as features of a text."""
        return self.transformer(self.words(tokens), segments)[0]

    def extend(self, tokens, segments, cache: Cache) -> tuple[Float[Array, "B T D"], Cache]:
        """The vectors of some more tokens of rows whose beginning is in the cache."""
        return self.transformer(self.words(tokens), segments, cache=cache)

    def empty(self, batch: int, length: int, dtype=jnp.float32) -> Cache:
        """A cache for `batch` rows of at most `length` tokens."""
        return self.transformer.stack.empty(batch, length, dtype)

    def projection(self):
        """(features, kernel [V E], bias [V] | None): logits = features(x) kernelᵀ + bias."""
        head = self.head
        bias = None if head.bias is None else head.bias[...]
        return head.features, head.table(self.words.embedding[...]), bias

    def logits(self, x: Float[Array, "*B D"]) -> Float[Array, "*B V"]:
        """Unnormalised log-probabilities of the next, or the hidden, token; float32."""
        features, kernel, bias = self.projection()
        y = jnp.einsum("...E,VE->...V", features(x), kernel, preferred_element_type=jnp.float32)
        return y if bias is None else y + bias.astype(jnp.float32)
