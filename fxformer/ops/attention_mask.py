"""Who may see whom, kept symbolic until a kernel wants it dense."""

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

# Farther than any row is long: the window of a layer that sees everything.
EVERYTHING = 1 << 30


@flax.struct.dataclass
class Mask:
    """A query sees a key of its own segment that is not padding and, where causal, not later.

    Keys of a prefix are seen from before them too, which lets a causal stack read the beginning of
    a text in both directions (Raffel et al. 2020, fig. 4: a prefix LM).

    query: segment of each query, 0 for padding
    key: segment of each key, 0 for padding
    prefix: which keys belong to the prefix of their segment; None: none
    first: index in the row of the first query (above 0 only while generating from a cache)
    """

    query: Int[Array, "B T"]
    key: Int[Array, "B S"]
    causal: bool = flax.struct.field(pytree_node=False, default=False)
    first: Int[Array, ""] | int = 0
    prefix: Bool[Array, "B S"] | None = None

    @property
    def ordered(self) -> bool:
        """Whether no query sees a later key: a prefix is seen from before it, too."""
        return self.causal and self.prefix is None

    def dense(self) -> Bool[Array, "B 1 T S"]:
        """True where a query sees a key."""
        seen = (self.query[:, :, None] == self.key[:, None, :]) & (self.key[:, None, :] > 0)
        if self.causal:
            early = self.gap() >= 0
            seen &= early if self.prefix is None else early | self.prefix[:, None, :]
        return seen[:, None]

    def near(self, window: Int[Array, ""] | int) -> Bool[Array, "1 1 T S"]:
        """True where a key is fewer than `window` tokens away: window 1 is the token itself."""
        return (jnp.abs(self.gap()) < window)[None, None]

    def gap(self) -> Int[Array, "T S"]:
        """How many tokens a query comes after a key.

        Row indices serve in packed rows as well: inside a segment they differ by what the
        positions differ by, and across segments nothing is seen.
        """
        here = self.first + jnp.arange(self.query.shape[1])
        return here[:, None] - jnp.arange(self.key.shape[1])[None, :]


def positions(segments: Int[Array, "B T"]) -> Int[Array, "B T"]:
    """Index of each token within its own segment, from 0."""
    index = jnp.broadcast_to(jnp.arange(segments.shape[1]), segments.shape)
    before = jnp.pad(segments, ((0, 0), (1, 0)), constant_values=-1)[:, :-1]
    return index - jax.lax.cummax(jnp.where(segments != before, index, 0), axis=1)
