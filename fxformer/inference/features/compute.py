"""Hidden states of encoded inputs: each in a row of its own, or several packed into a row."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from fxformer.batch import Batch
from fxformer.config.type_check import nearest
from fxformer.data.packing_index import fitted
from fxformer.errors import UserError
from fxformer.inference.features.pooling import POOLINGS, Pooling, default_pooling, pooled
from fxformer.inference.forward import HiddenStates
from fxformer.inference.model_core import ModelCore
from fxformer.inference.row_padding import BUCKET
from fxformer.inference.structure import layer_numbers, stack_of
from fxformer.inference.text_encoding import Texts, as_list

Packing = Literal["segments", "padded"]
PACKINGS: tuple[Packing, ...] = ("segments", "padded")
CHUNK = 1024  # inputs that are computed together
ROW = 256  # tokens of a packed row, unless one input is longer or the model reads fewer
_TOKENS, _SOURCE = ("tokens", "segments", "types"), ("source", "source_segments")


def input_states(
    model: ModelCore, rows: Sequence[Batch], layers: Sequence[int], packing: Packing = "padded"
) -> list[Float[np.ndarray, "L t D"]]:
    """Hidden states of each input, in order, float32.

    Of an encoder-decoder those of the encoder.

    rows: inputs [1, t], none of them padded
    layers: numbers of the layers; 0: the embeddings
    packing: segments: several inputs share a row, where they do not see each other; padded: one
        input in a row. The states are the same up to rounding
    """
    encoder = model.architecture == "seq2seq"
    compute = HiddenStates(tuple(layers), encoder)
    width = len(layers) * stack_of(model.module, encoder).dim
    if packing == "padded":
        made = model.run_rows(compute, rows, width)
        return [x[:, : _length(row)] for x, row in zip(made, rows, strict=True)]
    sizes = np.array([_length(row) for row in rows], np.int64)
    length = row_length(int(sizes.max()), model.max_tokens)
    order, bounds = fitted(sizes, length, window=len(sizes))
    parts = [order[low:high] for low, high in zip(bounds[:-1], bounds[1:], strict=True)]
    joined = [_joined([rows[i] for i in part], length) for part in parts]
    made = model.run_rows(compute, joined, width)
    found: list[np.ndarray] = [np.zeros(0)] * len(rows)
    for states, part in zip(made, parts, strict=True):
        for i, end in zip(part, np.cumsum(sizes[part]), strict=True):
            found[i] = states[:, end - sizes[i] : end]
    return found


def text_features(
    model: ModelCore,
    texts: Texts,
    layers: int | Sequence[int],
    pooling: Pooling | None,
    packing: Packing,
) -> Float[np.ndarray, "N *L D"]:
    """One vector for each text; see Model.features. Computed CHUNK texts at a time."""
    check_choice("pooling", pooling, (*POOLINGS, None))
    check_choice("packing", packing, PACKINGS)
    stack, given = stack_of(model.module, model.architecture == "seq2seq"), as_list(texts)
    chosen = layer_numbers(layers, stack.layers, model.name)
    how, found = pooling or default_pooling(model), []
    for low in range(0, len(given), CHUNK):
        rows = model.rows(given[low : low + CHUNK])
        states = input_states(model, rows, chosen, packing)
        found += [pooled(one, how) for one in states]
    made = np.stack(found) if found else np.zeros((0, len(chosen), stack.dim), np.float32)
    return made[:, 0] if isinstance(layers, int) else made


def check_choice(option: str, value: Any, choices: Sequence[Any]) -> None:
    """Raise UserError unless a value is one of the choices."""
    if value not in choices:
        names = ", ".join(map(str, choices))
        raise UserError(f"{option}={value!r}: there are {names}{nearest(str(value), choices)}")


def row_length(longest: int, most: int | None) -> int:
    """Tokens of packed rows whose longest input has `longest`; `most`: that the model reads."""
    length = max(-(-longest // BUCKET) * BUCKET, ROW)
    return max(longest, length if most is None else min(length, most))


def _length(row: Batch) -> int:
    read = row.tokens if row.source is None else row.source
    return read.shape[1]


def _joined(rows: Sequence[Batch], length: int) -> Batch:
    """Inputs side by side in a row [1, length], numbered by segments; padding has segment 0."""
    fields = {}
    for name in _TOKENS if rows[0].source is None else (*_TOKENS, *_SOURCE):
        given = [getattr(row, name) for row in rows]
        if given[0] is None:
            continue
        if name in ("segments", "source_segments"):
            given = [np.full_like(one, n) for n, one in enumerate(given, 1)]
        joined = np.concatenate([one[0] for one in given])
        fields[name] = np.zeros((1, length), np.int32)
        fields[name][0, : len(joined)] = joined
    return Batch(**fields)
