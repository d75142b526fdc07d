"""What the arithmetic of a layer is counted from: on the host, before anything runs.

An attention tells its own in `flops`, for only it knows what it multiplies with what; all other
parts go over each token by itself, so their matrices say it all (`kernels`).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from flax import nnx

from fxformer.nn.core import Linear


@dataclasses.dataclass(frozen=True)
class Seen:
    """Who looks at whom in one layer, over one batch.

    queries, keys: tokens that ask and that are asked; padding is neither
    pairs: (query, key) that see each other
    pieces: tokens of each packed piece of text; None: a look at another stack
    distances: vectors of distances that the layer is given, 0: none
    chosen: queries that see all of their piece (Longformer); asked: tokens of pieces with such
    """

    queries: int
    keys: int
    pairs: int
    pieces: Sequence[int] | None = None
    distances: int = 0
    chosen: int = 0
    asked: int = 0


def kernels(part: nnx.Module | None) -> int:
    """Numbers in all matrices of a part, of one layer where they are stacked; 0 without a part."""
    if part is None:
        return 0
    found = (node for _, node in nnx.iter_graph(part) if isinstance(node, Linear))
    return sum(int(np.prod(one.kernel.shape[-2:])) for one in found)
