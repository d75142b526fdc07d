"""Operands of a FLOP count: query-key pairs of a layer, and the size of a part's matrices.

Nothing is run. An attention counts its own FLOPs (`flops`), because only it knows what it
multiplies; every other part is applied to each token by itself, so its matrices suffice
(`kernel_size`).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from flax import nnx

from fxformer.nn.core import Linear


@dataclasses.dataclass(frozen=True)
class AttentionPairs:
    """Which queries attend to which keys in one layer, counted over one batch without padding.

    queries, keys: number of tokens with a query, with a key
    pairs: number of (query, key) pairs that are not masked
    segment_lengths: tokens of each packed segment; None: cross-attention
    num_distances: embeddings of relative distances that the layer is given; 0: none
    global_queries: queries that attend to their whole segment (Longformer)
    global_keys: tokens of the segments that have such queries
    """

    queries: int
    keys: int
    pairs: int
    segment_lengths: Sequence[int] | None = None
    num_distances: int = 0
    global_queries: int = 0
    global_keys: int = 0


def kernel_size(part: nnx.Module | None) -> int:
    """Number of elements of all `Linear` kernels of a part, of one layer where they are stacked; 0
    for None."""
    if part is None:
        return 0
    linears = (node for _, node in nnx.iter_graph(part) if isinstance(node, Linear))
    return sum(int(np.prod(linear.kernel.shape[-2:])) for linear in linears)
