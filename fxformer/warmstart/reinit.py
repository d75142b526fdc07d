"""Top layers that are drawn anew, though a checkpoint has them. Zhang et al. 2021, sec. 5."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from fxformer.config.target import ConfigError
from fxformer.hf.canonical_config import SIDES
from fxformer.hf.conversion_report import ReportLine
from fxformer.rules import STACK
from fxformer.warmstart.config_references import resolved

Top = int | dict[Literal["encoder", "decoder"], int] | None  # how many, of all stacks or by stack


def check_top(model: dict[str, Any], top: Top) -> None:
    """Raise ConfigError unless the stacks of a `model` node have so many layers of their own.

    At least one layer of each stack stays as it was.
    """
    whole = resolved(model)
    stacks = {side: whole[side].get("transformer", whole[side]) for side in SIDES if side in whole}
    if isinstance(top, dict) and (strange := sorted(set(top) - set(stacks))):
        raise ConfigError(
            f"warm_start.reinit_layers.{strange[0]}: the model has no such stack; it has "
            f"{', '.join(stacks)}"
        )
    for side, stack in stacks.items():
        own = {str(k): n for k, n in top.items()} if isinstance(top, dict) else {side: top or 0}
        count, layers = own.get(side, 0), stack["layers"]
        if not 0 <= count < layers:
            raise ConfigError(
                f"warm_start.reinit_layers={count}: the {side} has {layers} layers; write a number "
                f"from 0 to {layers - 1}"
            )
        if count and (stack.get("layer_groups") or layers) != layers:
            raise ConfigError(
                f"warm_start.reinit_layers={count}: the {layers} layers of the {side} share their "
                "parameters, so none can be drawn anew alone; leave it out"
            )


def top_of(path: str, top: Top) -> int:
    """Number of layers of the stacked array at `path` that are drawn anew. 0: of others."""
    if top is None or STACK not in path:
        return 0
    if isinstance(top, int):
        return top
    return next((n for side, n in top.items() if path.startswith(f"{side}/")), 0)


def with_top(array: np.ndarray, drawn: np.ndarray, count: int) -> np.ndarray:
    """A stacked array [layers, ...] with its last `count` layers from `drawn`."""
    return np.concatenate([array[: len(array) - count], drawn[len(array) - count :]])


def reinit_lines(arrays: Mapping[str, np.ndarray], top: Top) -> list[ReportLine]:
    """Lines of the conversion report for what is drawn anew."""
    return [
        ReportLine("reinitialised", "", path, array.shape[1:], count)
        for path, array in arrays.items()
        if (count := top_of(path, top))
    ]
