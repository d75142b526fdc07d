"""Key-value cache that the beams of a prompt share, with the ancestors of each beam."""

import dataclasses
from collections.abc import Sequence
from typing import Self

import flax.struct
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from fxformer.nn.cache import KVCache, StackCache

MOST_BEAMS = 16  # every beam is multiplied with the keys of all: more beams are cheaper apart


@flax.struct.dataclass
class BeamCache(StackCache):
    """Cache of R = beams · B rows in buffers of B rows: a step adds a place for each beam.

    Beams are reordered by their lists of ancestors and not by moving keys, and the prompt is stored
    and read once for all of its beams. A row attends to its ancestors alone, so that it computes
    what it would with a cache of its own.

    ancestors: which places hold tokens of each row
    beams: rows of each prompt
    width: index at which the prompts end; from there on a token's index has a place for each beam
    """

    ancestors: Bool[Array, "R S"]
    beams: int = flax.struct.field(pytree_node=False)
    width: int = flax.struct.field(pytree_node=False)

    @classmethod
    def of(cls, cache: StackCache, beams: int, width: int, new_tokens: int) -> Self:
        """The cache for so many beams of each prompt, with room for so many tokens of each.

        cache: of the prompts, which end at index `width`
        """
        more = width + beams * new_tokens - cache.layer(0).k.shape[2]

        def pad(buffer):
            return jnp.pad(buffer, ((0, 0), (0, more), (0, 0)))

        layers = (dataclasses.replace(one, k=pad(one.k), v=pad(one.v)) for one in cache.layers)
        padding, index = jnp.repeat(cache.padding, beams), jnp.arange(width + beams * new_tokens)
        ancestors = (index < width) & (index >= padding[:, None])
        return cls(tuple(layers), cache.length, padding, ancestors, beams, width)

    @staticmethod
    def suits(cache: StackCache, beams: int) -> bool:
        """Whether so many beams of each prompt can share this cache."""
        return 1 < beams <= MOST_BEAMS and all(one.shareable for one in cache.layers)

    @property
    def place(self) -> Int[Array, ""]:
        """Where the next token of the first beam is written."""
        return self.width + self.beams * (self.length - self.width)

    @property
    def key_index(self) -> Int[np.ndarray, "S"]:
        """Index of each key in its text."""
        place = np.arange(self.ancestors.shape[1])
        return np.where(place < self.width, place, self.width + (place - self.width) // self.beams)

    def layer(self, index: int) -> KVCache:
        return dataclasses.replace(super().layer(index), length=self.place)

    def with_layers(self, layers: Sequence[KVCache]) -> Self:
        cache, length = super().with_layers(layers), self.length + 1
        return dataclasses.replace(cache, length=length, ancestors=self.filled(1))

    def take_rows(self, rows: Int[Array, "R"]) -> Self:
        """The cache with these rows of it, each of which continues one of the same prompt."""
        return dataclasses.replace(self, padding=self.padding[rows], ancestors=self.ancestors[rows])

    def query_offset(self) -> Int[Array, ""]:
        return self.length

    def filled(self, new_tokens: int) -> Bool[Array, "R S"]:
        rows, places = self.ancestors.shape
        own = self.place + jnp.arange(rows) % self.beams
        return self.ancestors | (jnp.arange(places) == own[:, None])
