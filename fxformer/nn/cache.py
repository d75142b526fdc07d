"""Key-value caches for decoding: whole text, sliding window, Transformer-XL memory, encoder."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Self

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int


@flax.struct.dataclass
class EncoderKeys:
    """Keys and values of cross-attention, computed once from the encoder's output. Rows of queries
    may be a multiple of B: those of a beam search share the keys of their source."""

    k: Float[Array, "B G S K"]
    v: Float[Array, "B G S K"]


@flax.struct.dataclass
class KVCache:
    """Keys (after rotary embedding) and values of the tokens that a layer has read so far.

    length: how many tokens have been read, padding included
    padding: how many of the first tokens of each row are padding, which is never attended to:
        prompts of unequal length end at the same index, so that the next token of every row has
        the same index too
    encoder: keys and values of cross-attention; None: computed from the encoder's output

    heads: number of key-value heads G
    shareable: whether rows that begin with the same prompt can share its buffers (`BeamCache`)

    In a `StackCache`, which holds `length` and `padding` once for all layers, they are None, and k
    and v are [B * G, S, K]: XLA on CPU drops a dimension of one row, and would copy the cache.
    """

    k: Float[Array, "B G S K"]
    v: Float[Array, "B G S K"]
    length: Int[Array, ""] | Any = None
    padding: Int[Array, "B"] | Any = None
    encoder: EncoderKeys | None = None
    heads: int = flax.struct.field(pytree_node=False, default=1)
    shareable: bool = flax.struct.field(pytree_node=False, default=True)

    @classmethod
    def empty(cls, batch: int, length: int, heads: int, width: int, dtype) -> Self:
        """A cache with nothing read, of `batch` rows of at most `length` tokens."""
        buffer = jnp.zeros((batch, heads, length, width), dtype)
        return cls(buffer, buffer, heads=heads, shareable=cls is KVCache)

    def extend(
        self, k: Float[Array, "B T G K"], v: Float[Array, "B T G K"]
    ) -> tuple[Float[Array, "B S G K"], Float[Array, "B S G K"], Self]:
        """Keys and values that T more tokens attend to, themselves included, and the new cache."""
        cache = self.append(k, v)
        keys, values = (a.astype(k.dtype).swapaxes(1, 2) for a in (cache.k, cache.v))
        return keys, values, cache

    def append(self, k: Float[Array, "R T G K"], v: Float[Array, "R T G K"]) -> Self:
        """The cache with T more tokens, written behind those it holds. R is a multiple of B where
        rows share a buffer: theirs are written one behind the other."""

        def write(buffer, new):
            rows, heads, places, width = buffer.shape
            new = new.reshape(rows, -1, heads, width).swapaxes(1, 2).astype(buffer.dtype)
            flat, new = buffer.reshape(-1, places, width), new.reshape(rows * heads, -1, width)
            flat = jax.lax.dynamic_update_slice_in_dim(flat, new, self.length, axis=1)
            return flat.reshape(buffer.shape)

        return dataclasses.replace(
            self, k=write(self.k, k), v=write(self.v, v), length=self.length + k.shape[1]
        )

    def num_keys(self, new_tokens: int) -> int:
        """Keys that queries attend to when `new_tokens` are read, filled or not."""
        return self.k.shape[2]

    def query_offset(self) -> Int[Array, ""] | int:
        """Index of the next token among the keys."""
        return self.length

    def filled(self, new_tokens: int) -> Bool[Array, "B S"]:
        """Which keys are those of tokens once `new_tokens` are read."""
        index = jnp.arange(self.num_keys(new_tokens))
        return (index < self.length + new_tokens) & (index >= self.padding[:, None])


@flax.struct.dataclass
class WindowCache(KVCache):
    """Keys and values of the last N tokens, the newest last, where every layer has an attention
    window of at most N + 1 tokens."""

    def extend(self, k, v):
        before = (a.astype(k.dtype).swapaxes(1, 2) for a in (self.k, self.v))
        both = (jnp.concatenate(pair, axis=1) for pair in zip(before, (k, v), strict=True))
        return *both, self.append(k, v)

    def append(self, k: Float[Array, "B T G K"], v: Float[Array, "B T G K"]) -> Self:
        """The cache with T more tokens; the oldest are dropped."""

        def write(buffer, new):
            new = new.swapaxes(1, 2).astype(buffer.dtype)
            both = jnp.concatenate([buffer, new], axis=2)
            return both[:, :, both.shape[2] - buffer.shape[2] :]

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
        index = jnp.arange(self.num_keys(new_tokens)) + self.length - self.k.shape[2]
        return index >= self.padding[:, None]


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
        size = self.k.shape[2]
        valid = (jnp.arange(size) >= size - self.length)[None, :, None, None]
        blank = padding[:, :, None, None]
        k, v = (jnp.where(blank, z, new) for z, new in zip(zero, (k, v), strict=True))
        old = (
            jnp.where(valid, held.astype(z.dtype).swapaxes(1, 2), z)
            for z, held in zip(zero, (self.k, self.v), strict=True)
        )
        long_k, long_v = (jnp.concatenate(pair, axis=1) for pair in zip(old, (k, v), strict=True))
        return long_k, long_v, self.append(k, v)

    def filled(self, new_tokens: int) -> Bool[Array, "B S"]:
        """All but as many of the first free places as tokens of padding follow them: free places
        hold the keys of a zero input, and every text has N of them before it."""
        first = jnp.where(self.length == 0, self.padding, 0)[:, None]
        return jnp.arange(self.num_keys(new_tokens)) >= first


@flax.struct.dataclass
class StackCache:
    """Caches of all layers of a stack, each with buffers of its own, which a decoding loop updates
    in place: of one buffer for all layers, XLA copies the whole in every step.

    layers: without `length` and `padding`, which are the same in all layers
    length, padding: as of `KVCache`
    """

    layers: tuple[KVCache, ...]
    length: Int[Array, ""]
    padding: Int[Array, "B"]

    @classmethod
    def empty(cls, layer: KVCache, layers: int) -> Self:
        """The cache of a stack with nothing read, of layers like this one."""
        return cls((_stored(layer),) * layers, jnp.int32(0), jnp.zeros(layer.k.shape[0], jnp.int32))

    @property
    def key_index(self) -> Int[np.ndarray, "S"] | None:
        """Index of each key in its row; None: in order."""
        return None

    @property
    def dtype(self):
        """Of the keys and values."""
        return self.layers[0].k.dtype

    def layer(self, index: int) -> KVCache:
        """The cache of one layer, complete."""
        layer = self.layers[index]
        k, v = (a.reshape(-1, layer.heads, *a.shape[1:]) for a in (layer.k, layer.v))
        return dataclasses.replace(layer, k=k, v=v, length=self.length, padding=self.padding)

    def with_layers(self, layers: Sequence[KVCache]) -> Self:
        """The cache of the stack from the caches of its layers after more tokens."""
        return dataclasses.replace(
            self, layers=tuple(map(_stored, layers)), length=layers[0].length
        )

    def with_encoder(self, keys: Sequence[EncoderKeys]) -> Self:
        """The cache with keys and values of each layer's cross-attention, in its dtype."""
        keys = jax.tree.map(lambda a: a.astype(self.dtype), keys)
        pairs = zip(self.layers, keys, strict=True)
        layers = (dataclasses.replace(layer, encoder=own) for layer, own in pairs)
        return dataclasses.replace(self, layers=tuple(layers))

    def with_padding(self, padding: Int[Array, "B"]) -> Self:
        """The cache for rows that begin with so many tokens of padding."""
        return dataclasses.replace(self, padding=padding)

    def take_rows(self, rows: Int[Array, "R"]) -> Self:
        """The cache with these rows of it, each of which continues one with the same source: the
        keys of cross-attention stay as they are."""

        def take(layer):
            k, v = (jnp.take(a, rows, axis=0) for a in (layer.k, layer.v))
            return _stored(dataclasses.replace(layer, k=k, v=v))

        layers = tuple(take(self.layer(i)) for i in range(len(self.layers)))
        return dataclasses.replace(self, layers=layers, padding=self.padding[rows])

    def query_offset(self) -> Int[Array, ""] | int:
        """Index of the next token among the keys."""
        return self.layer(0).query_offset()

    def positions(self, new_tokens: int) -> Int[Array, "B T"]:
        """Position of each of the next tokens in its text; that of padding is 0."""
        index = self.length + jnp.arange(new_tokens)
        return jnp.maximum(index - self.padding[:, None], 0)

    def filled(self, new_tokens: int) -> Bool[Array, "B S"]:
        """Which keys are those of tokens once `new_tokens` are read."""
        return self.layer(0).filled(new_tokens)

    def among_keys(self, x: Bool[Array, "B T"]) -> Bool[Array, "B S"]:
        """Facts about the next T tokens as facts about all keys, False of the others."""
        false = jnp.zeros((x.shape[0], self.layer(0).num_keys(x.shape[1])), x.dtype)
        return jax.lax.dynamic_update_slice_in_dim(false, x, self.query_offset(), axis=1)


def _stored(layer: KVCache) -> KVCache:
    """The cache of a layer as a `StackCache` holds it."""
    k, v = (a.reshape(-1, *a.shape[2:]) for a in (layer.k, layer.v))
    return dataclasses.replace(layer, k=k, v=v, length=None, padding=None)
