"""Many blocks, one after the other, their parameters stacked on a leading layer axis."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from fxformer.errors import UserError
from fxformer.nn.attention import Cache, Where
from fxformer.ops.attention_mask import EVERYTHING
from fxformer.types import Count, Part


@flax.struct.dataclass
class Inside:
    """What the layers of a stack made on the way.

    hidden: what left each of them
    own: how much each head of theirs looked at each token, float32; rows sum to 1, those of
        padding to 0
    cross: the same for the tokens of the memory; None: there is no memory
    """

    hidden: Float[Array, "*L B T D"]
    own: Float[Array, "*L B H T T"]
    cross: Float[Array, "*L B H T S"] | None = None


class Stack(nnx.Module):
    """x ← block_l(x) for each layer l, under `lax.scan`.

    groups: number of distinct blocks; layer l uses block ⌊l · groups / layers⌋ (ALBERT: 1).
        null: every layer has its own.
    inner: blocks that make up a layer, one after the other (ALBERT's inner groups)
    first: the first layer's block, where it is built unlike the others (ModernBERT)
    local: what joins the stack's input to the first layer's output (DeBERTa v2's convolution)
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
        first: Part | None = None,
        local: Part | None = None,
        windows: list[Count | None] | None = None,
        unroll: Count | None = None,
        remat: bool = False,
        rngs: nnx.Rngs,
    ):
        if (groups or 1) > layers:
            raise UserError(f"{layers} layers cannot use {groups} blocks; at most {layers}")
        distinct, layers = (groups or layers) * inner, layers * inner
        if first is not None and (groups or layers < 2):
            raise UserError(
                "a first layer unlike the others cannot be shared and is not the only one: write "
                "model.groups=null, and model.layers=2 or more"
            )
        distinct -= first is not None

        def make(key):
            return nnx.split(block(dim, rngs=nnx.Rngs(key)))

        shape = nnx.split(nnx.eval_shape(lambda: block(dim, rngs=nnx.Rngs(0))))[0]
        stacked = jax.vmap(lambda key: make(key)[1])(jax.random.split(rngs.params(), distinct))
        self.blocks = nnx.merge(shape, stacked)
        self.first = None if first is None else first(dim, rngs=rngs)
        self.local = None if local is None else local(dim, rngs=rngs)
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
    ) -> tuple[Float[Array, "B T D"], Cache | None, Inside | None]:
        """The last layer's output, the cache with this call's tokens, and what happened inside
        where `capture` asks for it."""
        shape, params = nnx.split(self.blocks)

        def run(shape, x, given):
            own, window, depth, kept, key = given
            known = {"window": window, "depth": depth, "cache": kept, "key": key}
            here, yonder = (watched(w) for w in (where, there)) if capture else (where, there)
            x, kept = nnx.merge(shape, own)(x, here, memory, yonder, **known)
            return x, (kept, seen(x, here, yonder) if capture else None)

        run = jax.checkpoint(run, static_argnums=0) if self.remat else run

        def layer(x, given):
            own, *known = given
            return run(shape, x, (self.pick(params, own), *known))

        windows = None if self.windows is None else jnp.asarray(self.windows, jnp.int32)
        depths = jnp.arange(1, self.layers + 1, dtype=jnp.float32)
        keys = None if key is None else jax.random.split(key, self.layers)
        own = params if self.groups is None else self.sharing()
        given, opened = (own, windows, depths, cache, keys), None
        if self.first is not None or self.local is not None:
            x, opened, given = self.opening(x, given, layer, run, where)
        left = self.layers - (opened is not None)
        unroll = max(1, min(self.unroll, left))
        x, made = jax.lax.scan(layer, x, given, length=left, unroll=unroll)
        if opened is not None:
            made = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), opened, made)
        return x, *made

    def opening(self, x, given, layer, run, where: Where):
        """The first layer by itself: (its output, its cache and state, what the others are given).

        layer, run: a layer of the others, given its parameters' place; any layer, given its own
        """
        alone = jax.tree.map(lambda a: a[0], given)
        others = jax.tree.map(lambda a: a[1:], given)
        if self.first is None:
            y, (cache, state) = layer(x, alone)
        else:
            shape, own = nnx.split(self.first)
            y, (cache, state) = run(shape, x, (own, *alone[1:]))
            others = (given[0], *others[1:])
        if self.local is not None:
            y = self.local(x, y, where.mask.query, key=alone[-1])
        return y, (cache, None if state is None else state.replace(hidden=y)), others

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


def watched(where: Where | None) -> Where | None:
    """The same with a place of its own for an attention's weights."""
    return None if where is None else dataclasses.replace(where, watch=[])


def seen(x: Float[Array, "B T D"], here: Where, there: Where | None) -> Inside:
    """What one layer made, its attentions having been watched."""
    (own,), cross = here.watch, [None] if there is None else there.watch
    return Inside(x, own, *cross)
