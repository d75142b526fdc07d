"""Sizes of a LanguageModel or Seq2Seq: position tables, width, numbers of its layers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fxformer.errors import UserError
from fxformer.inference.decoding.prompts import encoder_limit, position_limit
from fxformer.model.ngram import NgramDecoder


def position_lengths(module: Any) -> list[int]:
    """Length of each position table of a LanguageModel or Seq2Seq, in tokens."""
    found = [position_limit(module)]
    found += [encoder_limit(module)] if module.architecture == "seq2seq" else []
    return [length for length in found if length is not None]


def stack_of(module: Any, encoder: bool = False) -> Any:
    """The Transformer of a model; of a seq2seq model the decoder's, or the encoder's."""
    if module.architecture != "seq2seq":
        stack = module.transformer
    else:
        stack = module.encoder if encoder else module.decoder
    return stack.transformer if isinstance(stack, NgramDecoder) else stack


def layer_numbers(layers: int | Sequence[int], count: int, name: str) -> tuple[int, ...]:
    """Numbers of layers from 0 (the embeddings) to `count`; negative ones count from the end.

    name: of the model, for error messages
    """
    chosen = list(layers) if isinstance(layers, Sequence | np.ndarray) else [layers]
    for layer in chosen:
        if isinstance(layer, bool) or not isinstance(layer, int | np.integer):
            raise UserError(f"layers: expected ints, got {layer!r}")
        if not -count - 1 <= layer <= count:
            raise UserError(
                f"layers: {name} has layers 1 … {count}, and 0 for the embeddings (or "
                f"-{count + 1} … -1); got {layer}"
            )
    return tuple(int(layer) % (count + 1) for layer in chosen)
