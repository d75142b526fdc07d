"""Key-value caches for decoding: of the whole text, or of its last tokens (Transformer-XL)."""

import dataclasses
from typing import Self

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


@flax.struct.dataclass
class KVCache:
    """Keys (after rotary embedding) and values of the tokens read so far.

    length: how many tokens have been read
    """

    k: Float[Array, "*L B S G K"]
    v: Float[Array, "*L B S G K"]
    length: Int[Array, "*L"]

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

    def filled(self, new_tokens: int) -> Bool[Array, "S"]:
        """Which keys of a stack are filled once `new_tokens` are read."""
        return jnp.arange(self.num_keys(new_tokens)) < self.query_offset() + new_tokens


@flax.struct.dataclass
class XLMemory(KVCache):
    """Transformer-XL memory: keys and values of the last N tokens, the newest last.

    `length` counts all tokens read. Where fewer than N have been read, the keys and values of a
    zero input stand in the free places (see `read`).
    """

    def read(
        self, k: Float[Array, "B 1 H K"], v: Float[Array, "B 1 H K"]
    ) -> tuple[Float[Array, "B N H K"], Float[Array, "B N H K"]]:
        """Keys and values of the memory of one layer; k, v: those of a zero input."""
        size = self.k.shape[1]
        valid = (jnp.arange(size) >= size - self.length)[None, :, None, None]
        return jnp.where(valid, self.k.astype(k.dtype), k), jnp.where(valid, self.v, v)

    def append(self, k: Float[Array, "B T H K"], v: Float[Array, "B T H K"]) -> Self:
        """The memory of one layer with T more tokens; the oldest are dropped."""

        def write(buffer, new):
            both = jnp.concatenate([buffer, new.astype(buffer.dtype)], axis=1)
            return both[:, both.shape[1] - buffer.shape[1] :]

        return dataclasses.replace(
            self, k=write(self.k, k), v=write(self.v, v), length=self.length + k.shape[1]
        )

    def num_keys(self, new_tokens: int) -> int:
        """Those of the memory and the new tokens."""
        return self.k.shape[2] + new_tokens

    def query_offset(self) -> int:
        """New tokens come behind the memory."""
        return self.k.shape[2]

    def filled(self, new_tokens: int) -> Bool[Array, "S"]:
        """All: free places hold the keys of a zero input."""
        return jnp.ones(self.num_keys(new_tokens), bool)
