"""Distance of parameters from the top of a model, for layer-wise learning rates and unfreezing.

The head and the final norm have distance 0, the top layer of a stack 1, the layer below it 2, and
so on; what a stack of L layers reads (embeddings, their norm, positions) has L + 1. The encoder and
the decoder of an encoder-decoder are counted each from its own top, since every layer of the
decoder reads the output of the encoder.
"""

import re
from collections.abc import Mapping
from typing import Any

from fxformer.rules import ADAPTER

Distance = int | list[int]  # a list: one per layer of a stacked parameter

LAYERS = re.compile(r"^(.*?)stack/(blocks|first_block)/")
INPUTS = re.compile(r"(^|/)([a-z]+_embedding|embedding|input|position)(/|$)")
HEADS = re.compile(r"(^|/)(head|task_heads)/")


def layer_distances(leaves: Mapping[str, Any]) -> dict[str, Distance]:
    """{path: distance from the top} of parameters; 0 is the least.

    Layers that share their parameters (ALBERT) count as one.

    leaves: {path: array}, abstract or not; what an adapter adds is at the distance of its matrix
    """
    plain = {path: path.removeprefix(f"{ADAPTER}/") for path in leaves}
    depths: dict[str, int] = {}  # of stacks, without a first layer that is stored by itself
    singles = set()
    for path, leaf in leaves.items():
        if found := LAYERS.match(plain[path]):
            depths.setdefault(found[1], 0)
            if found[2] == "blocks":
                depths[found[1]] = leaf.shape[0]
            else:
                singles.add(found[1])
    distances = {path: _distance(plain[path], depths, singles) for path in leaves}
    least = min((v if isinstance(v, int) else min(v) for v in distances.values()), default=0)
    return {
        path: value - least if isinstance(value, int) else [one - least for one in value]
        for path, value in distances.items()
    }


def _distance(path: str, depths: dict[str, int], singles: set[str]) -> Distance:
    if found := LAYERS.match(path):
        depth = depths[found[1]]
        return list(range(depth, 0, -1)) if found[2] == "blocks" else depth + 1
    if HEADS.search(path) or not INPUTS.search(path):
        return 0
    counts = {stack: depth + (stack in singles) for stack, depth in depths.items()}
    own = [count for stack, count in counts.items() if path.startswith(stack)]
    return max(own or counts.values(), default=0) + 1
