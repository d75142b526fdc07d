"""Many blocks, one after the other, their parameters stacked on a leading layer axis."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from fxformer.nn.attention import Cache, Where
from fxformer.types import Count, Part

# Farther than any row is long: the window of a layer that sees everything.
EVERYTHING = 1 << 30


class Stack(nnx.Module):
    """x ← block_l(x) for each layer l, under `lax.scan`.

    groups: number of distinct blocks; layer l uses block ⌊l · groups / layers⌋ (ALBERT: 1).
        null: every layer has its own.
    inner: blocks that make up a layer, one after the other (ALBERT's inner groups)
    windows: a pattern of attention windows repeated over the layers, null in it for a layer that
        sees everything (GPT-Neo: [null, 256]); null: no layer has one
    unroll: layers laid out in the program without a loop; null: all of them up to 12 layers (a
        loop costs running time on CPU), otherwise one at a time (compile time then does not grow)
    remat: recompute a layer's activations in the backward pass instead of keeping them
    """

    def __init__(
        self,
        dim: int,
        *,
        block: Part,
        layers: Count,
        groups: Count | None = None,
        inner: Count = 1,
        windows: list[Count | None] | None = None,
        unroll: Count | None = None,
        remat: bool = False,
        rngs: nnx.Rngs,
    ):
        if (groups or 1) > layers:
            raise ValueError(f"{layers} layers cannot use {groups} blocks; at most {layers}")
        distinct, layers = (groups or layers) * inner, layers * inner

        def make(key):
            return nnx.split(block(dim, rngs=nnx.Rngs(key)))

        shape = nnx.split(nnx.eval_shape(lambda: block(dim, rngs=nnx.Rngs(0))))[0]
        stacked = jax.vmap(lambda key: make(key)[1])(jax.random.split(rngs.params(), distinct))
        self.blocks = nnx.merge(shape, stacked)
        self.layers, self.groups, self.inner, self.remat = layers, groups, inner, remat
        self.unroll = unroll or (layers if layers <= 12 else 1)
        pattern = windows or [None]
        reach = tuple(pattern[i % len(pattern)] or EVERYTHING for i in range(layers))
        self.windows = None if all(r == EVERYTHING for r in reach) else reach

    def __call__(
        self,
        x: Float[Array, "B T D"],
        where: Where,
        memory: Float[Array, "B S D"] | None = None,
        there: Where | None = None,
        *,
        cache: Cache | None = None,
        key: Array | None = None,
        capture: bool = False,
    ) -> tuple[Float[Array, "B T D"], Cache | None, Float[Array, "L B T D"] | None]:
        """The last layer's output, the cache with this call's tokens, and every layer's output
        where `capture` asks for it."""
        shape, params = nnx.split(self.blocks)

        def layer(x, given):
            own, window, depth, kept, key = given
            block = nnx.merge(shape, self.pick(params, own))
            known = {"window": window, "depth": depth}
            x, kept = block(x, where, memory, there, **known, cache=kept, key=key)
            return x, (kept, x if capture else None)

        windows = None if self.windows is None else jnp.asarray(self.windows, jnp.int32)
        depths = jnp.arange(1, self.layers + 1, dtype=jnp.float32)
        keys = None if key is None else jax.random.split(key, self.layers)
        own = params if self.groups is None else self.sharing()
        layer = jax.checkpoint(layer) if self.remat else layer
        given = (own, windows, depths, cache, keys)
        x, (cache, states) = jax.lax.scan(
            layer, x, given, length=self.layers, unroll=min(self.unroll, self.layers)
        )
        return x, cache, states

    def sharing(self):
        """Which distinct block each layer uses. int32 [L]."""
        layer, part = jnp.divmod(jnp.arange(self.layers, dtype=jnp.int32), self.inner)
        return layer * self.groups // (self.layers // self.inner) * self.inner + part

    def pick(self, params, own):
        """A layer's parameters: its own slice, or those of the group it belongs to."""
        return own if self.groups is None else jax.tree.map(lambda p: p[own], params)

    def empty(self, batch: int, length: int, dtype=jnp.float32) -> Cache:
        """An empty cache for every layer."""
        return jax.tree.map(
            lambda a: jnp.broadcast_to(a, (self.layers, *a.shape)),
            self.blocks.attention.empty(batch, length, dtype),
        )
