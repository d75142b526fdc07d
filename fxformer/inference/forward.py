"""Forward passes over rows of unequal length: batched by length, compiled for few shapes.

What a pass computes is a function (module, batch) -> tree of arrays [B, ...]; those of this file
are dataclasses, so that equal ones share a compiled program.
"""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from fxformer.batch import Batch, Vocabulary
from fxformer.inference.row_padding import stack_rows
from fxformer.train.state import bind

BATCH_ROWS = 64  # per forward pass, at most
BATCH_TOKENS = 8192  # per forward pass, at most, unless one row has more
MAX_FLOATS = 1 << 27  # in the result of one forward pass, at most, unless one row has more

Compute = Callable[[Any, Batch], Any]  # (LanguageModel or Seq2Seq, batch) -> tree of [B, ...]


def run_rows(
    graphdef: nnx.GraphDef,
    params: dict,
    rows: Sequence[Batch],
    compute: Compute,
    vocabulary: Vocabulary,
    *,
    max_tokens: int | None = None,
    floats_per_token: int = 1,
) -> list[Any]:
    """`compute` of each row, in the order of the rows; a tree of numpy arrays without batch axis.

    rows: batches [1, t]; rows of similar length share a forward pass
    compute: hashable; compiled once for each (compute, graphdef, padded shape)
    max_tokens: length beyond which rows are not padded (that of the position table)
    floats_per_token: size of the result, for a bound on memory
    Arrays have the padded length; row i's own values are the first `rows[i].tokens.shape[1]`.
    """
    sizes = [_size(row) for row in rows]
    order = sorted(range(len(rows)), key=lambda i: sizes[i])
    found: list[Any] = [None] * len(rows)
    while order:
        size = sizes[order[-1]]  # the longest first: its batch bounds the memory
        count = _rows_per_batch(size, floats_per_token)
        some, order = order[-count:], order[:-count]
        # a power of two of rows; the first is repeated, so that no row is all padding
        filled = [rows[i] for i in some] + [rows[some[0]]] * (power_of_two(len(some)) - len(some))
        batch = stack_rows(filled, vocabulary, max_tokens)
        made = jax.device_get(_computed(compute, graphdef, params, batch))
        for place, i in enumerate(some):
            found[i] = jax.tree.map(lambda array, place=place: array[place], made)
    return found


@partial(jax.jit, static_argnums=(0, 1))
def _computed(compute: Compute, graphdef: nnx.GraphDef, params: dict, batch: Batch) -> Any:
    return compute(bind(graphdef, params), batch)


def _size(row: Batch) -> int:
    return row.tokens.shape[1] + (0 if row.source is None else row.source.shape[1])


def _rows_per_batch(size: int, floats_per_token: int) -> int:
    """A power of two."""
    most = min(BATCH_TOKENS // size, MAX_FLOATS // (size * floats_per_token), BATCH_ROWS)
    return power_of_two(max(most, 1) + 1) // 2


def power_of_two(count: int) -> int:
    """The smallest power of two that is not below `count`."""
    return 1 << (count - 1).bit_length()


@dataclasses.dataclass(frozen=True)
class Logits:
    """Logits of the language-model head at every position, float32. [B, T, V]."""

    def __call__(self, module: Any, batch: Batch) -> Array:
        return module.logits(module(batch)).astype(jnp.float32)


@dataclasses.dataclass(frozen=True)
class ReplacedLogits:
    """Logits of each token's having been replaced (ELECTRA's discriminator), float32. [B, T]."""

    def __call__(self, module: Any, batch: Batch) -> Array:
        return module.head(module(batch)).astype(jnp.float32)


@dataclasses.dataclass(frozen=True)
class HiddenStates:
    """Hidden states of some layers, float32. [B, layers, T, D].

    layers: 0: the input of the first layer, -1: the output of the last, after its norm
    encoder: of a seq2seq model, those of the encoder ([B, layers, S, D]), which needs no target
    """

    layers: tuple[int, ...]
    encoder: bool = False

    def __call__(self, module: Any, batch: Batch) -> Array:
        if self.encoder:
            made = module.encoder.intermediates(
                module.embed_source(batch.source),
                batch.source_segments,
                global_tokens=batch.global_tokens,
            )
        else:
            made = module.intermediates(batch)
            made = made[1] if module.architecture == "seq2seq" else made
        states = made.hidden_states[jnp.array(self.layers)]
        return jnp.moveaxis(states, 0, 1).astype(jnp.float32)


@dataclasses.dataclass(frozen=True)
class AttentionWeights:
    """Attention weights of all layers and heads, float32; of a seq2seq model those of the encoder,
    the decoder and of cross-attention. (self [B, L, H, T, T],) or three of them."""

    def __call__(self, module: Any, batch: Batch) -> tuple[Array, ...]:
        made = module.intermediates(batch)
        if module.architecture != "seq2seq":
            found: tuple[Array, ...] = (made.self_attention,)
        else:
            encoder, decoder = made
            found = (encoder.self_attention, decoder.self_attention, decoder.cross_attention)
        return tuple(jnp.moveaxis(weights, 1, 0) for weights in found)


@dataclasses.dataclass(frozen=True)
class TaskOutputs:
    """Outputs of the task heads, float32. {name: [B, C], or [B, T, C] of each token}."""

    def __call__(self, module: Any, batch: Batch) -> dict[str, Array]:
        return {name: x.astype(jnp.float32) for name, x in module.task_outputs(batch).items()}


@dataclasses.dataclass(frozen=True)
class TargetLogProbs:
    """log p(target) at the picked positions, 0 where the weight is 0; float32. [B, M]."""

    def __call__(self, module: Any, batch: Batch) -> Array:
        hidden = jnp.take_along_axis(module(batch), batch.picked[..., None], axis=1)
        scores = jax.nn.log_softmax(module.logits(hidden).astype(jnp.float32))
        right = jnp.take_along_axis(scores, batch.targets[..., None], -1)[..., 0]
        return jnp.where(batch.weights > 0, right, 0)
