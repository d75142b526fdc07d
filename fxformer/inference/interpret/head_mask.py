"""Masks of attention heads: factors of each head's output, as variables of the attention modules.

A mask has one row for each block of a stack, first to last, and one column for each head. Blocks
that several layers share (ALBERT) have one row, which counts in all of these layers.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fxformer.errors import UserError
from fxformer.inference.structure import stack_of
from fxformer.nn.attention import HeadMask, MultiHeadAttention

Masks = Mapping[str, Any]  # {kind: [blocks, H], or [blocks, B, H] for each row}


def attention_modules(module: Any) -> dict[str, list[tuple[MultiHeadAttention, int]]]:
    """{kind: [(attention module, number of its blocks)]} of a LanguageModel or Seq2Seq.

    The modules of one kind are in the order of the blocks; that of stacked blocks holds several,
    a block that differs from the others (`first_block`) one, marked 0.
    """
    if module.architecture == "seq2seq":
        encoder, decoder = stack_of(module, encoder=True).stack, stack_of(module).stack
        return {
            "encoder": _of_stack(encoder, "attention"),
            "decoder": _of_stack(decoder, "attention"),
            "cross": _of_stack(decoder, "cross_attention"),
        }
    kind: str = "decoder" if module.architecture == "decoder" else "encoder"
    return {kind: _of_stack(stack_of(module).stack, "attention")}


def _of_stack(stack: Any, name: str) -> list[tuple[MultiHeadAttention, int]]:
    found = [] if stack.first_block is None else [(getattr(stack.first_block, name), 0)]
    rest = getattr(stack.blocks, name)
    return [*found, (rest, rest.o.kernel.shape[0])]


def current_masks(module: Any) -> dict[str, Float[Array, "G H"]]:
    """{kind: [blocks, H]} of a module; ones where it has no mask."""
    found: dict[str, Array] = {}
    for kind, modules in attention_modules(module).items():
        rows = []
        for attention, blocks in modules:
            mask = attention.head_mask
            shape = (blocks, attention.heads)[blocks == 0 :]
            one = jnp.ones(shape, jnp.float32) if mask is None else mask[...]
            rows.append(one if blocks else one[None])
        found[kind] = jnp.concatenate(rows)
    return found


def set_masks(module: Any, masks: Masks) -> None:
    """Set the head masks of a module. Shapes as of `Masks`, all kinds of the module given."""
    for kind, modules in attention_modules(module).items():
        start = 0
        for attention, blocks in modules:
            own = masks[kind][start : start + max(blocks, 1)]
            attention.head_mask = HeadMask(jnp.asarray(own if blocks else own[0], jnp.float32))
            start += max(blocks, 1)


def checked_masks(module: Any, masks: Masks, name: str) -> dict[str, np.ndarray]:
    """Masks for every kind of attention of a module, those not given from the module itself.

    Raises UserError for a kind that the model lacks, another shape, or numbers that are not finite.
    """
    found = {kind: np.asarray(mask) for kind, mask in current_masks(module).items()}
    for kind, mask in masks.items():
        if kind not in found:
            raise UserError(
                f"{name} has no {kind} attention: give masks of {', '.join(map(str, found))}"
            )
        given = np.asarray(mask, np.float32)
        if given.shape != found[kind].shape or not np.isfinite(given).all():
            raise UserError(
                f"the mask of {kind} heads: expected {list(found[kind].shape)} finite numbers "
                f"(blocks, heads), got {list(given.shape)}"
            )
        found[kind] = given
    return found
