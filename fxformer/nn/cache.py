"""Key-value caches for decoding: whole text, sliding window, Transformer-XL memory, encoder."""

import dataclasses
from typing import Self

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


@flax.struct.dataclass
class EncoderKeys:
    """Keys and values of cross-attention, computed once from the encoder's output."""

    k: Float[Array, "*L B S G K"]
    v: Float[Array, "*L B S G K"]


@flax.struct.dataclass
class KVCache:
    """Keys (after rotary embedding) and values of the tokens read so far.

    length: how many tokens have been read, padding included
    padding: how many of the first tokens of each row are padding, which is never attended to:
        prompts of unequal length end at the same index, so that the next token of every row has
        the same index too
    encoder: keys and values of cross-attention; None: computed from the encoder's output
    """

    k: Float[Array, "*L B S G K"]
    v: Float[Array, "*L B S G K"]
    length: Int[Array, "*L"]
    padding: Int[Array, "*L B"]
    encoder: EncoderKeys | None = None

    @classmethod
    def empty(cls, buffer: Float[Array, "B S G K"]) -> Self:
        """A cache of one layer with nothing read. buffer: zeros of the shape of its keys"""
        return cls(buffer, buffer, jnp.int32(0), jnp.zeros(buffer.shape[0], jnp.int32))

    def with_padding(self, padding: Int[Array, "B"]) -> Self:
        """The cache of a stack for rows that begin with so many tokens of padding."""
        return dataclasses.replace(self, padding=jnp.broadcast_to(padding, self.padding.shape))

    def take_rows(self, rows: Int[Array, "R"]) -> Self:
        """The cache of a stack with these rows of it."""
        return jax.tree.map(lambda a: a if a.ndim < 2 else jnp.take(a, rows, axis=1), self)

    def reorder(self, rows: Int[Array, "B"]) -> Self:
        """`take_rows`, where each row continues one with the same encoder output."""
        alone = dataclasses.replace(self, encoder=None)
        return dataclasses.replace(alone.take_rows(rows), encoder=self.encoder)

    def extend(
        self, k: Float[Array, "B T G K"], v: Float[Array, "B T G K"]
    ) -> tuple[Float[Array, "B S G K"], Float[Array, "B S G K"], Self]:
        """Keys and values that T more tokens attend to, themselves included, and the new cache."""
        cache = self.append(k, v)
        return cache.k.astype(k.dtype), cache.v.astype(v.dtype), cache

    def append(self, k: Float[Array, "B T G K"], v: Float[Array, "B T G K"]) -> Self:
        """The cache of one layer with T more tokens, written behind those it holds."""

        def write(buffer, new):
            new = new.astype(buffer.dtype)
            return jax.lax.dynamic_update_slice_in_dim(buffer, new, self.length, axis=1)

        return dataclasses.replace(
            self, k=write(self.k, k), v=write(self.v, v), length=self.length + k.shape[1]
        )

    def num_keys(self, new_tokens: int) -> int:
        """Keys that the queries of a stack attend to when `new_tokens` are read, filled or not."""
        return self.k.shape[2]

    def query_offset(self) -> Int[Array, ""] | int:
        """Index of the next token among the keys of a stack."""
        return self.length[0]

    def positions(self, new_tokens: int) -> Int[Array, "B T"]:
        """Position of each of the next tokens in its text; that of padding is 0."""
        index = self.length[0] + jnp.arange(new_tokens)
        return jnp.maximum(index - self.padding[0][:, None], 0)

    def filled(self, new_tokens: int) -> Bool[Array, "B S"]:
        """Which keys of a stack are those of tokens once `new_tokens` are read."""
        index = jnp.arange(self.num_keys(new_tokens))
        return (index < self.length[0] + new_tokens) & (index >= self.padding[0][:, None])

    def among_keys(self, x: Bool[Array, "B T"]) -> Bool[Array, "B S"]:
        """Facts about the next T tokens as facts about all keys of a stack, False of the others."""
        false = jnp.zeros((x.shape[0], self.num_keys(x.shape[1])), x.dtype)
        return jax.lax.dynamic_update_slice_in_dim(false, x, self.query_offset(), axis=1)


@flax.struct.dataclass
class WindowCache(KVCache):
    """Keys and values of the last N tokens, the newest last, where every layer has an attention
    window of at most N + 1 tokens."""

    def extend(self, k, v):
        before = (self.k.astype(k.dtype), self.v.astype(v.dtype))
        both = (jnp.concatenate(pair, axis=1) for pair in zip(before, (k, v), strict=True))
        return *both, self.append(k, v)

    def append(self, k: Float[Array, "B T G K"], v: Float[Array, "B T G K"]) -> Self:
        """The cache of one layer with T more tokens; the oldest are dropped."""

        def write(buffer, new):
            both = jnp.concatenate([buffer, new.astype(buffer.dtype)], axis=1)
            return both[:, both.shape[1] - buffer.shape[1] :]

        return dataclasses.replace(
            self, k=write(self.k, k), v=write(self.v, v), length=self.length + k.shape[1]
        )

    def num_keys(self, new_tokens: int) -> int:
        """Those of the cache and the new tokens."""
        return self.k.shape[2] + new_tokens

    def query_offset(self) -> int:
        """New tokens come behind those of the cache."""
        return self.k.shape[2]

    def filled(self, new_tokens: int) -> Bool[Array, "B S"]:
        index = jnp.arange(self.num_keys(new_tokens)) + self.length[0] - self.k.shape[2]
        return index >= self.padding[0][:, None]


@flax.struct.dataclass
class XLMemory(WindowCache):
    """Transformer-XL memory: keys and values of the last N tokens, the newest last.

    `length` counts all tokens read. Where fewer than N have been read, the keys and values of a
    zero input stand in the free places (see `extend_with_zeros`).
    """

    def extend_with_zeros(
        self,
        k: Float[Array, "B T H K"],
        v: Float[Array, "B T H K"],
        zero: tuple[Float[Array, "B 1 H K"], Float[Array, "B 1 H K"]],
        padding: Bool[Array, "B T"],
    ) -> tuple[Float[Array, "B N+T H K"], Float[Array, "B N+T H K"], Self]:
        """`extend`, with free places and padding read as a zero input.

        zero: key and value of a zero input
        padding: which of the new tokens are padding
        """
        size = self.k.shape[1]
        valid = (jnp.arange(size) >= size - self.length)[None, :, None, None]
        blank = padding[:, :, None, None]
        k, v = (jnp.where(blank, z, new) for z, new in zip(zero, (k, v), strict=True))
        old = (
            jnp.where(valid, held.astype(z.dtype), z)
            for z, held in zip(zero, (self.k, self.v), strict=True)
        )
        long_k, long_v = (jnp.concatenate(pair, axis=1) for pair in zip(old, (k, v), strict=True))
        return long_k, long_v, self.append(k, v)

    def filled(self, new_tokens: int) -> Bool[Array, "B S"]:
        """All but as many of the first free places as tokens of padding follow them: free places
        hold the keys of a zero input, and every text has N of them before it."""
        first = jnp.where(self.length[0] == 0, self.padding[0], 0)[:, None]
        return jnp.arange(self.num_keys(new_tokens)) >= first
