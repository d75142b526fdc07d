"""Stack of blocks, their parameters stacked on a leading layer axis and applied by `lax.scan`."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from fxformer.errors import UserError
from fxformer.nn.attention import AttentionContext
from fxformer.nn.block import Block
from fxformer.nn.cache import EncoderKeys, KVCache, StackCache, WindowCache
from fxformer.nn.intermediates import Intermediates, captured, capturing
from fxformer.nn.ngram import StreamContext
from fxformer.nn.scan import scan_layers
from fxformer.ops.attention.mask import NO_WINDOW
from fxformer.types import Count, Part


class Stack(nnx.Module):
    """Stack of blocks: x ← block_l(x) for each layer l, under `lax.scan` unless there is a cache.

    layer_groups: number of distinct blocks G; layer l uses block ⌊l · G / layers⌋ (ALBERT: 1);
        null: every layer has its own
    inner_layers: blocks that make up a layer, one after the other (ALBERT's inner groups)
    first_block: the first layer's block, where it differs from the others (ModernBERT)
    convolution: joins the stack's input to the first layer's output (DeBERTa v2's convolution)
    windows: a pattern of attention windows repeated over the layers, null in it for a layer without
        a window (GPT-Neo: [null, 256]); null: no layer has one
    unroll: layers unrolled in the compiled program; null: all of them up to 12 layers (a loop costs
        running time on CPU), otherwise one at a time (so that compile time does not grow)
    remat: recompute a layer's activations in the backward pass instead of storing them
    """

    unrolled = False  # whether the layers are called one by one also without a cache
    gather: Callable | None = None  # makes a layer's parameters whole; see train/step_sharding.py

    def __init__(
        self,
        dim: int,
        *,
        block: Part,
        layers: Count,
        layer_groups: Count | None = None,
        inner_layers: Count = 1,
        first_block: Part | None = None,
        convolution: Part | None = None,
        windows: list[Count | None] | None = None,
        unroll: Count | None = None,
        remat: bool = False,
        rngs: nnx.Rngs,
    ):
        if (layer_groups or 1) > layers:
            raise UserError(f"{layers} layers cannot use {layer_groups} blocks; at most {layers}")
        distinct, layers = (layer_groups or layers) * inner_layers, layers * inner_layers
        if first_block is not None and (layer_groups or layers < 2):
            raise UserError(
                "a first layer that differs from the others can be neither shared nor the only "
                "one: write model.layer_groups=null, and model.layers=2 or more"
            )
        distinct -= first_block is not None

        def parameters_of(key):
            return nnx.split(block(dim, rngs=nnx.Rngs(key)))[1]

        graphdef = nnx.split(nnx.eval_shape(lambda: block(dim, rngs=nnx.Rngs(0))))[0]
        stacked = jax.vmap(parameters_of)(jax.random.split(rngs.params(), distinct))
        self.blocks = nnx.merge(graphdef, stacked)
        self.first_block = None if first_block is None else first_block(dim, rngs=rngs)
        self.convolution = None if convolution is None else convolution(dim, rngs=rngs)
        self.layers, self.layer_groups, self.inner_layers, self.remat = (
            layers,
            layer_groups,
            inner_layers,
            remat,
        )
        self.unroll = unroll or (layers if layers <= 12 else 1)
        pattern = windows or [None]
        of_layers = tuple(pattern[i % len(pattern)] or NO_WINDOW for i in range(layers))
        self.windows = None if all(w == NO_WINDOW for w in of_layers) else of_layers

    def __call__(
        self,
        x: Float[Array, "B T D"],
        self_context: AttentionContext | StreamContext,
        encoder_output: Float[Array, "B S D"] | None = None,
        cross_context: AttentionContext | None = None,
        *,
        cache: StackCache | None = None,
        key: Array | None = None,
        capture: bool = False,
        products: bool = False,
    ) -> tuple[Float[Array, "B T D"], StackCache | None, Intermediates | None]:
        """(output of the last layer, cache with this call's tokens, intermediates).

        capture: whether hidden states and attention weights are returned; otherwise the third is
            None
        products: whether they come with the queries and keys of each head
        """

        def run_block(block, x, window, layer_index, cache, key):
            own, cross = self_context, cross_context
            if capture:
                own, cross = capturing(own, products), cross and capturing(cross, products)
            known = {"window": window, "layer_index": layer_index, "cache": cache, "key": key}
            x, cache = block(x, own, encoder_output, cross, **known)
            return x, cache, captured(x, own, cross) if capture else None

        if cache is not None or self.unrolled:
            return self.run_one_by_one(run_block, x, cache)
        graphdef, params = nnx.split(self.blocks)

        def run(graphdef, window, gather, x, inputs):
            params, index, own = inputs
            params = params if gather is None else gather(params)
            x, _, found = run_block(nnx.merge(graphdef, params), x, window, index, None, own)
            return x, found

        run = self.saving(run, (0, 1, 2))

        def layer(x, inputs, window):
            own, *rest = inputs
            params_of_layer = self.parameters_of_layer(params, own)
            return run(graphdef, window, self.gather, x, (params_of_layer, *rest))

        inputs, first = self.inputs_of_layers(params, key), None
        if self.first_block is not None or self.convolution is not None:
            x, first, inputs = self.first_layer(x, inputs, layer, run, self_context)
        windows = [self.window(i) for i in range(self.layers)][first is not None :]
        x, found = scan_layers(layer, x, inputs, windows, self.unroll)
        if first is not None:
            found = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first[0], found)
        return x, None, found

    def with_memory(
        self,
        x: Float[Array, "B T D"],
        context: AttentionContext,
        memory: Float[Array, "L B M D"],
        *,
        key: Array | None = None,
    ) -> tuple[Float[Array, "B T D"], Float[Array, "L B N D"]]:
        """(output of the last layer, inputs of all layers at the last min(T, M) positions), where
        every layer attends to its inputs of earlier rows too (nn/memory.py)."""
        if self.first_block is not None:
            raise UserError(
                "no memory is carried through a first layer that differs from the others: write "
                "model/residual=post or model/residual=pre"
            )
        graphdef, params = nnx.split(self.blocks)

        def run(window, gather, x, params, index, before, own):
            params = params if gather is None else gather(params)
            known = {"window": window, "layer_index": index, "memory": before, "key": own}
            return nnx.merge(graphdef, params)(x, context, **known)[0]

        run = self.saving(run, (0, 1))

        def layer(x, inputs, window):
            own, *rest = inputs
            y = run(window, self.gather, x, self.parameters_of_layer(params, own), *rest)
            return y, x[:, -memory.shape[2] :]

        own, indices, keys = self.inputs_of_layers(params, key)
        windows = [self.window(i) for i in range(self.layers)]
        return scan_layers(layer, x, (own, indices, memory, keys), windows, self.unroll)

    def saving(self, run: Callable, static: tuple[int, ...]) -> Callable:
        """A layer that stores for its backward pass what `remat` says, and no gathered parameters.
        static: numbers of its arguments that are no arrays"""
        if not self.remat and self.gather is None:
            return run
        policy = None if self.remat else is_no_gather
        return jax.checkpoint(run, static_argnums=static, policy=policy)

    def inputs_of_layers(self, params, key: Array | None) -> tuple:
        """(parameters or index of the block, number from 1, key) of every layer, stacked."""
        own = params if self.layer_groups is None else jnp.asarray(self.block_of_layer())
        indices = jnp.arange(1, self.layers + 1, dtype=jnp.float32)
        return own, indices, None if key is None else jax.random.split(key, self.layers)

    def window(self, index: int) -> int | None:
        """The attention window of a layer; None: it has none."""
        window = NO_WINDOW if self.windows is None else self.windows[index]
        return None if window == NO_WINDOW else window

    def run_one_by_one(
        self, run_block: Callable, x: Float[Array, "B T D"], cache: StackCache | None
    ) -> tuple[Float[Array, "B T D"], StackCache | None, Intermediates | None]:
        """`__call__` with a loop over layers, so that each updates its own buffers of a cache.

        run_block: (block, x, window, index of the layer, its cache, key) -> x, cache, intermediates
        """
        caches, found = [], []
        for i in range(self.layers):
            own = None if cache is None else cache.layer(i)
            x, new, made = run_block(self.layer(i), x, self.window(i), i + 1.0, own, None)
            found.append(made)
            if cache is not None:
                caches.append(dataclasses.replace(new, encoder=cache.layers[i].encoder))
        stacked = None if found[0] is None else jax.tree.map(lambda *a: jnp.stack(a), *found)
        return x, None if cache is None else cache.with_layers(caches), stacked

    def layer(self, index: int) -> Block:
        """The block of one layer."""
        if self.first_block is not None:
            if index == 0:
                return self.first_block
            index -= 1
        graphdef, params = nnx.split(self.blocks)
        if self.layer_groups is not None:
            index = self.block_of_layer()[index]
        return nnx.merge(graphdef, jax.tree.map(lambda p: p[index], params))

    def encoder_keys(self, encoder_output: Float[Array, "B S D"]) -> list[EncoderKeys]:
        """Keys and values of the cross-attention of every layer."""
        found = []
        for i in range(self.layers):
            attention = self.layer(i).cross_attention
            assert attention is not None  # of a decoder that reads an encoder
            keys_and_values = attention.keys_and_values(encoder_output)
            found.append(EncoderKeys(*(a.swapaxes(1, 2) for a in keys_and_values)))
        return found

    def first_layer(self, x, inputs, layer, run, context: AttentionContext | StreamContext):
        """The first layer outside the scan: (its output, (its intermediates,), the inputs of the
        others).

        layer: applies one of the stacked blocks; run: applies any block, given graphdef
        """
        alone = jax.tree.map(lambda a: a[0], inputs)
        others = jax.tree.map(lambda a: a[1:], inputs)
        if self.first_block is None:
            y, state = layer(x, alone, self.window(0))
        else:
            graphdef, own = nnx.split(self.first_block)
            y, state = run(graphdef, self.window(0), None, x, (own, *alone[1:]))
            others = (inputs[0], *others[1:])
        if self.convolution is not None:
            assert isinstance(context, AttentionContext)  # an n-gram decoder has no convolution
            y = self.convolution(x, y, context.mask.query_segments, key=alone[-1])
        return y, (None if state is None else state.replace(hidden_states=y),), others

    def block_of_layer(self) -> list[int]:
        """Index of the distinct block that each layer uses."""
        outer, groups = self.layers // self.inner_layers, self.layer_groups or 1
        pairs = (divmod(i, self.inner_layers) for i in range(self.layers))
        return [i * groups // outer * self.inner_layers + part for i, part in pairs]

    def parameters_of_layer(self, params, own):
        """A layer's parameters: its own slice, or those of the shared block with index `own`."""
        return own if self.layer_groups is None else jax.tree.map(lambda p: p[own], params)

    def init_cache(self, batch: int, length: int, dtype=jnp.float32) -> StackCache:
        """An empty cache for every layer, for `batch` rows of at most `length` tokens."""
        widest = length if self.windows is None else max(self.windows) - 1
        cache = self.block_type().attention.init_cache(batch, min(length, widest), dtype)
        if widest < length and type(cache) is KVCache:
            cache = WindowCache(cache.k, cache.v, heads=cache.heads, shareable=False)
        return StackCache.empty(cache, self.layers)

    def block_type(self) -> Block:
        """A block with the settings of all layers."""
        return self.blocks


class UnrolledStack(Stack):
    """A stack in which each layer's parameters are arrays of their own, for decoding: of stacked
    ones, every step would copy each layer's slice. It has no dropout and no convolution.
    """

    unrolled = True

    def __init__(self, stack: Stack):
        shared = range(stack.layers) if stack.layer_groups is None else stack.block_of_layer()
        distinct = {own: stack.layer(i) for i, own in enumerate(shared)}
        self.blocks = nnx.List([distinct[own] for own in shared])
        self.layers, self.windows = stack.layers, stack.windows

    def layer(self, index: int) -> Block:
        return self.blocks[index]

    def block_type(self) -> Block:
        return self.blocks[-1]


def is_no_gather(primitive, *_, **__) -> bool:
    """Whether the backward pass finds a result stored: not of a gather, which is made again, so
    that the parameters of one layer at a time are whole."""
    return primitive.name != "all_gather"
