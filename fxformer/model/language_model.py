"""Language model: token embedding, transformer and head (encoder or decoder)."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from fxformer.batch import Batch
from fxformer.model.transformer import Transformer
from fxformer.nn.cache import StackCache
from fxformer.nn.core import Embedding
from fxformer.nn.head import Head
from fxformer.nn.intermediates import Intermediates
from fxformer.nn.memory import CarriedMemory
from fxformer.ops.dropout import split_key
from fxformer.types import Count, Part


def round_up(vocab: int, multiple: int) -> int:
    """The smallest multiple not below `vocab`, for matrix shapes that hardware runs faster."""
    return -(-vocab // multiple) * multiple


def build_task_heads(parts: dict[str, Part] | None, dim: int, rngs: nnx.Rngs) -> nnx.Dict:
    """The task heads of a model of width `dim`, by name."""
    return nnx.Dict({name: part(dim, rngs=rngs) for name, part in (parts or {}).items()})


class LanguageModel(nnx.Module):
    """Language model, encoder or decoder: head(transformer(token_embedding(tokens))).

    Devlin et al. 2019, Radford et al. 2018.

    vocab: size of the tokenizer's vocabulary; tables have as many rows, rounded up to a multiple of
        `vocab_multiple`
    embedding: class of the token embedding
    task_heads: heads of labelled tasks by name (nn/task_head.py)
    """

    def __init__(
        self,
        *,
        transformer: Part,
        head: Part,
        vocab: Count,
        embedding: Part = Embedding,
        task_heads: dict[str, Part] | None = None,
        vocab_multiple: Count = 1,
        rngs: nnx.Rngs,
    ):
        self.vocab = round_up(vocab, vocab_multiple)
        self.transformer: Transformer = transformer(cross=False, rngs=rngs)
        self.token_embedding = embedding(self.vocab, self.transformer.width, rngs=rngs)
        self.head: Head = head(
            self.transformer.dim, vocab=self.vocab, width=self.transformer.width, rngs=rngs
        )
        self.task_heads = build_task_heads(task_heads, self.transformer.dim, rngs)

    @property
    def architecture(self) -> str:
        """`encoder` or `decoder`, for the check that an objective fits the model."""
        return "decoder" if self.transformer.causal else "encoder"

    @property
    def dim(self) -> int:
        """Width of the hidden states."""
        return self.transformer.dim

    @property
    def num_types(self) -> int:
        """Number of token types; 0: none."""
        table = self.transformer.input.type_embedding
        return 0 if table is None else table.embedding.shape[0]

    def __call__(self, batch: Batch, *, key: Array | None = None) -> Float[Array, "B T D"]:
        """Hidden states of the last layer. key: PRNG key of dropout; None: no dropout."""
        return self.transformer(
            self.token_embedding(batch.tokens),
            batch.segments,
            types=batch.types,
            positions=batch.positions,
            prefix=batch.prefix,
            global_tokens=batch.global_tokens,
            key=key,
        )[0]

    def with_memory(
        self, batch: Batch, memory: CarriedMemory, *, key: Array | None = None
    ) -> tuple[Float[Array, "B T D"], CarriedMemory]:
        """Hidden states of the last layer of rows that continue those of the memory, and the memory
        after them. key: PRNG key of dropout; None: no dropout."""
        tokens = self.token_embedding(batch.tokens)
        return self.transformer.with_memory(
            tokens, batch.segments, batch.positions, memory, key=key
        )

    def empty_memory(self, batch: int, length: int, dtype=jnp.float32) -> CarriedMemory:
        """A memory of `length` positions for `batch` rows, with nothing in it."""
        stack = self.transformer.stack
        return CarriedMemory.empty(batch, stack.layers, length, self.dim, dtype)

    def hidden_states(self, batch: Batch) -> Float[Array, "L+1 B T D"]:
        """Input of the first layer and output of each; the last is the output of `__call__`."""
        return self.intermediates(batch).hidden_states

    def intermediates(
        self, batch: Batch, *, key: Array | None = None, products: bool = False
    ) -> Intermediates:
        """Hidden states and attention weights of all layers.

        key: of dropout; None: no dropout. products: with queries and keys of each head
        """
        return self.transformer.intermediates(
            self.token_embedding(batch.tokens),
            batch.segments,
            types=batch.types,
            positions=batch.positions,
            prefix=batch.prefix,
            global_tokens=batch.global_tokens,
            key=key,
            products=products,
        )

    def task_outputs(self, batch: Batch, *, key: Array | None = None) -> dict[str, Array]:
        """Outputs of all task heads: {name: [B, C] or, of each token, [B, T, C]}.

        key: PRNG key of dropout; None: no dropout
        """
        first, second = split_key(key, 2)
        x = self(batch, key=first)
        return {name: head(x, batch.segments, key=second) for name, head in self.task_heads.items()}

    def encode(
        self, tokens: Int[Array, "B T"], segments: Int[Array, "B T"]
    ) -> Float[Array, "B T D"]:
        """Hidden states of the last layer, as features of a text."""
        return self.transformer(self.token_embedding(tokens), segments)[0]

    def decode_step(
        self,
        tokens: Int[Array, "B T"],
        segments: Int[Array, "B T"],
        cache: StackCache,
        *,
        prefix: Bool[Array, "B T"] | None = None,
    ) -> tuple[Float[Array, "B T D"], StackCache]:
        """Hidden states of T more tokens of rows whose beginning is cached, and the new cache.

        prefix: which of these tokens are encoded bidirectionally"""
        x, new_cache = self.transformer(
            self.token_embedding(tokens), segments, prefix=prefix, cache=cache
        )
        assert new_cache is not None  # since there was one
        return x, new_cache

    def init_cache(self, batch: int, length: int, dtype=jnp.float32) -> StackCache:
        """An empty cache for `batch` rows of at most `length` tokens."""
        return self.transformer.stack.init_cache(batch, length, dtype)

    def projection(self):
        """(features, kernel [V E], bias [V] | None): logits = features(x) kernelᵀ + bias."""
        return self.head.projection(self.token_embedding)

    def logits(self, x: Float[Array, "*B D"]) -> Float[Array, "*B V"]:
        """Unnormalised log-probabilities of the next, or the masked, token; float32."""
        return self.head.logits(x, self.token_embedding)
