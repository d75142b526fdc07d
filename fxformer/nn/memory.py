"""Memory of a Transformer-XL in training: hidden states of earlier rows, carried on to the next."""

from typing import Self

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


@flax.struct.dataclass
class CarriedMemory:
    """Inputs of every layer at the last M positions of each row's text, the newest last, from
    earlier batches; gradients stop there. Dai et al. 2019, sec. 3.2.

    The batch axis comes first, as in a batch, so that it is sharded and cut into micro-batches
    like one.

    filled: how many of the last places have been written since the memory was empty
    """

    hidden: Float[Array, "B L M D"]
    filled: Int[Array, "B"]

    @classmethod
    def empty(cls, batch: int, layers: int, length: int, dim: int, dtype=jnp.float32) -> Self:
        """A memory of `length` positions with nothing in it."""
        hidden = jnp.zeros((batch, layers, length, dim), dtype)
        return cls(hidden, jnp.zeros((batch,), jnp.int32))

    @property
    def length(self) -> int:
        """Number of positions M."""
        return self.hidden.shape[2]

    def visible(self, read: Int[Array, "B"]) -> Bool[Array, "B M"]:
        """Places of the document that a row continues. read: how many of its tokens precede the
        row; 0 where the row begins with another document, which sees none."""
        distance = self.length - jnp.arange(self.length)
        return distance <= jnp.minimum(read, self.filled)[:, None]

    def of_layers(self) -> Float[Array, "L B M D"]:
        """What each layer reads."""
        return jax.lax.stop_gradient(jnp.moveaxis(self.hidden, 1, 0))

    def after(self, inputs: Float[Array, "L B T D"]) -> Self:
        """The memory after a row of T more tokens. inputs: of every layer"""
        new = jnp.moveaxis(inputs, 0, 1).astype(self.hidden.dtype)
        both = jnp.concatenate([self.hidden, new], axis=2)[:, :, -self.length :]
        filled = jnp.minimum(self.filled + new.shape[2], self.length)
        return type(self)(jax.lax.stop_gradient(both), filled)

    def cleared(self) -> Self:
        """The memory with nothing in it."""
        return jax.tree.map(jnp.zeros_like, self)

    def cleared_unless(self, sound: Bool[Array, ""]) -> Self:
        """The memory, empty unless `sound`: what is not finite would stay in it."""
        return jax.tree.map(lambda a: jnp.where(sound, a, jnp.zeros_like(a)), self)
