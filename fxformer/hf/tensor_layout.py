"""Tensor layouts: conversion of checkpoint tensors to parameters and back.

torch's Linear stores [out, in], a kernel here is [in, out]; some checkpoints fuse several kernels
into one tensor.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from fxformer.hf.conversion_report import Status

Parts = tuple[np.ndarray, ...]


@dataclasses.dataclass(frozen=True)
class TensorLayout:
    """A pair of inverse functions: to_tensor(to_arrays(x)) == x for every x of a valid shape.

    status: status in the conversion report
    to_arrays: checkpoint tensor -> parameters
    to_tensor: parameters -> checkpoint tensor
    """

    status: Status
    to_arrays: Callable[[np.ndarray], Parts]
    to_tensor: Callable[[Parts], np.ndarray]


SAME = TensorLayout("loaded", lambda x: (x,), lambda parts: parts[0])
TRANSPOSED = TensorLayout("transposed", lambda x: (x.T,), lambda parts: parts[0].T)
FLATTENED = TensorLayout(
    "loaded", lambda x: (x.reshape(-1),), lambda parts: parts[0][None]
)  # [1 V] -> [V]


def rows(count: int) -> TensorLayout:
    """`count` kernels stacked along the outputs: [q; k; v] of [out, in], or biases of [out]."""

    def to_arrays(x):
        if x.shape[0] % count:
            raise ValueError(f"{x.shape[0]} rows are not {count} equal blocks")
        return tuple(part.T for part in np.split(x, count, axis=0))

    return TensorLayout(
        "split", to_arrays, lambda parts: np.concatenate([p.T for p in parts], axis=0)
    )


def columns(count: int) -> TensorLayout:
    """`count` kernels side by side, stored [in, out]: GPT-2's Conv1D, [q | k | v]."""

    def to_arrays(x):
        if x.shape[-1] % count:
            raise ValueError(f"{x.shape[-1]} columns are not {count} equal blocks")
        return tuple(np.split(x, count, axis=-1))

    return TensorLayout("split", to_arrays, lambda parts: np.concatenate(parts, axis=-1))


def by_head(heads: int, count: int = 3) -> TensorLayout:
    """`count` kernels with outputs ordered (head, kernel, channel): GPT-NeoX, BLOOM, DeBERTa."""

    def to_arrays(x):
        if x.shape[0] % (heads * count):
            raise ValueError(f"{x.shape[0]} rows are not {count} parts of {heads} heads")
        apart = x.reshape(heads, count, -1, *x.shape[1:])
        return tuple(apart[:, i].reshape(-1, *x.shape[1:]).T for i in range(count))

    def to_tensor(parts):
        apart = [p.T.reshape(heads, -1, *p.T.shape[1:]) for p in parts]
        return np.stack(apart, axis=1).reshape(-1, *parts[0].T.shape[1:])

    return TensorLayout("split", to_arrays, to_tensor)
