"""How a tensor lies in a file and how it lies here: pairs of functions that undo each other.

A torch Linear keeps [out, in], a kernel here [in, out]; some files keep several kernels in one
tensor. A Layout takes one tensor of a file apart (`inward`) and puts it together (`outward`).
"""

import dataclasses
from collections.abc import Callable

import numpy as np

Parts = tuple[np.ndarray, ...]


@dataclasses.dataclass(frozen=True)
class Layout:
    """word: for the bill of materials. outward(inward(x)) == x for every x of the right shape."""

    word: str
    inward: Callable[[np.ndarray], Parts]
    outward: Callable[[Parts], np.ndarray]


SAME = Layout("loaded", lambda x: (x,), lambda parts: parts[0])
TURNED = Layout("transposed", lambda x: (x.T,), lambda parts: parts[0].T)
ROW = Layout("loaded", lambda x: (x.reshape(-1),), lambda parts: parts[0][None])  # [1 V] -> [V]


def rows(count: int) -> Layout:
    """`count` equal blocks of outputs, one below the other: [q; k; v] of [out, in] or of [out]."""

    def inward(x):
        if x.shape[0] % count:
            raise ValueError(f"{x.shape[0]} rows are not {count} equal blocks")
        return tuple(part.T for part in np.split(x, count, axis=0))

    return Layout("split", inward, lambda parts: np.concatenate([p.T for p in parts], axis=0))


def columns(count: int) -> Layout:
    """`count` equal blocks of outputs side by side, kept [in, out]: GPT-2's Conv1D, [q | k | v]."""

    def inward(x):
        if x.shape[-1] % count:
            raise ValueError(f"{x.shape[-1]} columns are not {count} equal blocks")
        return tuple(np.split(x, count, axis=-1))

    return Layout("split", inward, lambda parts: np.concatenate(parts, axis=-1))


def by_head(heads: int, count: int = 3) -> Layout:
    """Outputs ordered (head, part, channel), `count` parts: GPT-NeoX, BLOOM, DeBERTa's in_proj."""

    def inward(x):
        if x.shape[0] % (heads * count):
            raise ValueError(f"{x.shape[0]} rows are not {count} parts of {heads} heads")
        apart = x.reshape(heads, count, -1, *x.shape[1:])
        return tuple(apart[:, i].reshape(-1, *x.shape[1:]).T for i in range(count))

    def outward(parts):
        apart = [p.T.reshape(heads, -1, *p.T.shape[1:]) for p in parts]
        return np.stack(apart, axis=1).reshape(-1, *parts[0].T.shape[1:])

    return Layout("split", inward, outward)
