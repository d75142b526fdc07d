"""Symbolic attention mask: segments, causality, prefix and window; made dense by the backend."""

import dataclasses
from typing import Self

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

# Wider than any sequence: the window of a layer without a window.
NO_WINDOW = 1 << 30


@flax.struct.dataclass
class AttentionMask:
    """A query attends to the keys of its own segment that are not padding and, if `causal`, not
    later than itself.

    The keys of a prefix are visible to earlier queries of their segment too, so that a causal stack
    encodes the beginning of a text bidirectionally (prefix LM, Raffel et al. 2020, fig. 4).

    query_segments: segment of each query, 0 for padding
    key_segments: segment of each key, 0 for padding
    query_offset: index in the row of the first query (above 0 only when decoding with a cache)
    prefix: which keys belong to the prefix of their segment; None: none
    window: keys at a distance of `window` or more are masked; None: no window
    window_exempt: keys to which the window does not apply (Longformer's global tokens); None: none
    key_index: index in the row of each key; None: in order
    queries: queries whose output is used, that of the others is undefined; None: all
    precomputed: the dense mask without the window, see `precompute`
    """

    query_segments: Int[Array, "B T"]
    key_segments: Int[Array, "B S"]
    causal: bool = flax.struct.field(pytree_node=False, default=False)
    query_offset: Int[Array, ""] | int = 0
    prefix: Bool[Array, "B S"] | None = None
    window: Int[Array, ""] | int | None = None
    window_exempt: Bool[Array, "B S"] | None = None
    key_index: Int[Array, "S"] | None = None
    queries: Bool[Array, "B T"] | None = None
    precomputed: Bool[Array, "B 1 T S"] | None = None

    @property
    def strictly_causal(self) -> bool:
        """Whether no query attends to a later key: causal and without a prefix."""
        return self.causal and self.prefix is None

    def to_dense(self) -> Bool[Array, "B 1 T S"]:
        """True where a query attends to a key."""
        mask = self._without_window() if self.precomputed is None else self.precomputed
        if self.window is None:
            return mask
        near = self.within(self.window)
        if self.window_exempt is not None:
            near = near | self.window_exempt[:, None, None, :]
        return mask & near

    def precompute(self) -> Self:
        """The same mask with the dense form of what all layers share (all but the window)."""
        return dataclasses.replace(self, precomputed=self._without_window())

    def with_window(
        self,
        window: Int[Array, ""] | int | None,
        exempt: Bool[Array, "B S"] | None = None,
    ) -> Self:
        """The same mask with an attention window; None: unchanged."""
        if window is None:
            return self
        return dataclasses.replace(self, window=window, window_exempt=exempt)

    def within(self, window: Int[Array, ""] | int) -> Bool[Array, "1 1 T S"]:
        """True where a key is fewer than `window` tokens away; window 1 is the token itself."""
        return (jnp.abs(self.distances()) < window)[None, None]

    def distances(self) -> Int[Array, "T S"]:
        """Index of the query minus index of the key.

        Indices in the row serve in packed rows as well: within a segment they differ by as much as
        positions do, and attention across segments is masked.
        """
        queries = self.query_offset + jnp.arange(self.query_segments.shape[1])
        keys = self.key_index
        keys = jnp.arange(self.key_segments.shape[1]) if keys is None else keys
        return queries[:, None] - keys[None, :]

    def _without_window(self) -> Bool[Array, "B 1 T S"]:
        same = self.query_segments[:, :, None] == self.key_segments[:, None, :]
        mask = same & (self.key_segments[:, None, :] > 0)
        if self.causal:
            earlier = self.distances() >= 0
            mask &= earlier if self.prefix is None else earlier | self.prefix[:, None, :]
        return mask[:, None]


def segment_positions(segments: Int[Array, "B T"]) -> Int[Array, "B T"]:
    """Index of each token within its own segment, from 0."""
    index = jnp.broadcast_to(jnp.arange(segments.shape[1]), segments.shape)
    previous = jnp.pad(segments, ((0, 0), (1, 0)), constant_values=-1)[:, :-1]
    return index - jax.lax.cummax(jnp.where(segments != previous, index, 0), axis=1)
