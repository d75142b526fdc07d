"""A cache that holds the last tokens only: the memory of Transformer-XL."""

import flax.struct
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fxformer.nn.attention import Cache


@flax.struct.dataclass
class Memory(Cache):
    """Keys and values of the last N tokens read, the newest last; `filled` counts all tokens.

    The first tokens of a text have blanks before them, in place of those there are not yet.
    """

    def pull(
        self, k: Float[Array, "B 1 H K"], v: Float[Array, "B 1 H K"]
    ) -> tuple[Float[Array, "B N H K"], Float[Array, "B N H K"]]:
        """What is remembered, given a blank's key and value."""
        size = self.k.shape[1]
        there = (jnp.arange(size) >= size - self.filled)[None, :, None, None]
        return jnp.where(there, self.k.astype(k.dtype), k), jnp.where(there, self.v, v)

    def push(self, k: Float[Array, "B T H K"], v: Float[Array, "B T H K"]) -> "Memory":
        """The memory with T more tokens; the oldest are gone."""

        def put(buffer, new):
            both = jnp.concatenate([buffer, new.astype(buffer.dtype)], axis=1)
            return both[:, both.shape[1] - buffer.shape[1] :]

        return Memory(put(self.k, k), put(self.v, v), self.filled + k.shape[1])

    def room(self, more: int) -> int:
        return self.k.shape[2] + more

    def place(self, more: int) -> tuple[int, Bool[Array, "S"]]:
        return self.k.shape[2], jnp.ones(self.room(more), bool)
