"""Student model with a subset of a teacher's layers (DistilBERT). Sanh et al. 2019, sec. 3."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fxformer.config.target import ConfigError
from fxformer.hf.canonical_config import SIDES
from fxformer.hf.conversion_report import ReportLine
from fxformer.hf.convert import Arrays, Converted, Shapes
from fxformer.rules import is_stacked
from fxformer.warmstart.config_references import resolved

Layers = str | Sequence[int] | dict[Any, Any] | None  # a dict: of these by stack
Model = dict[str, Any]
OPTIONAL = ("transformer/input/type_embedding/",)  # token types, which DistilBERT drops


def layer_indices(layers: Layers, depth: int, key: str = "warm_start.layers") -> list[int]:
    """Ascending indices of the layers of a stack that the student keeps.

    layers: all, every_other (layers 0, 2, 4 …), or indices from 0
    depth: number of layers of the teacher's stack
    Raises ConfigError for an index out of range, a repeated or unsorted one, and an empty list.
    """
    if layers in (None, "all"):
        return list(range(depth))
    if layers == "every_other":
        return list(range(0, depth, 2))
    advice = f"write {key}=every_other, all, or indices from 0 to {depth - 1}, e.g. [0,{depth - 1}]"
    if isinstance(layers, (str, dict)) or not len(layers):
        raise ConfigError(f"{key}: {layers!r} selects no layers; {advice}")
    picks = [int(layer) for layer in layers]
    if sorted(set(picks)) != picks or not 0 <= picks[0] <= picks[-1] < depth:
        raise ConfigError(
            f"{key}: expected ascending layer indices of a teacher of {depth} layers, got {picks}; "
            f"{advice}"
        )
    return picks


def layers_by_stack(teacher: Model, layers: Layers) -> dict[str, list[int]]:
    """{encoder or decoder: layer indices}, from one choice for all stacks or one per stack."""
    sides = [side for side in SIDES if side in teacher]
    if not isinstance(layers, dict):
        layers = dict.fromkeys(sides, layers)
    if strange := sorted(set(layers) - set(sides)):
        raise ConfigError(
            f"warm_start.layers.{strange[0]}: the teacher has no such stack; it has "
            f"{', '.join(sides)}"
        )
    return {
        side: layer_indices(
            layers.get(side), _stack(teacher[side])["layers"], f"warm_start.layers.{side}"
        )
        for side in sides
    }


def subset_model(teacher: Model, picks: dict[str, list[int]]) -> Model:
    """The teacher's `model` node with these layers only.

    Raises ConfigError if layers share parameters and the kept ones would not share them evenly.
    """
    whole, made = resolved(teacher), dict(teacher)
    alike = len({len(picks[side]) for side in picks}) == 1
    for side, layers in picks.items():
        known = _stack(whole[side])
        own: Model = {"layers": "${model.layers}" if alike else len(layers)}
        if known.get("windows"):
            pattern = known["windows"]
            own["windows"] = [pattern[layer % len(pattern)] for layer in layers]
        if known.get("layer_groups"):
            own["layer_groups"] = len(set(_groups(known, layers)))
        made[side] = _with(made[side], own)
    made["layers"] = len(next(iter(picks.values())))
    return made


def block_slices(teacher: Model, picks: dict[str, list[int]]) -> dict[str, tuple[int, list[int]]]:
    """{path prefix of stacked blocks: (number of the teacher's blocks, indices of those kept)}.

    A first layer with a structure of its own is stored separately and not counted.
    """
    found, single = {}, "transformer" in teacher["network"]
    for side, layers in picks.items():
        stack = _stack(teacher[side])
        inner, first = stack.get("inner_layers") or 1, stack.get("first_layer_residual") is not None
        if first and layers[0] != 0:
            raise ConfigError(
                "warm_start.layers: the teacher's first layer differs in structure from the "
                f"others, so the student must keep it: begin with 0, got {layers}"
            )
        own = sorted(set(_groups(stack, layers))) if stack.get("layer_groups") else layers[first:]
        blocks = [block * inner + n for block in own for n in range(inner)]
        place = "transformer/" if single else f"{side}/"
        place += "transformer/" if "transformer" in teacher[side] else ""
        count = (stack.get("layer_groups") or stack["layers"]) * inner - first
        found[f"{place}stack/blocks/"] = count, [block - first for block in blocks]
    return found


def teacher_shapes(
    shapes: Shapes, cuts: dict[str, tuple[int, list[int]]]
) -> dict[str, tuple[int, ...]]:
    """The teacher's shapes, from the student's. Raises ConfigError if the depths do not match."""
    made = {}
    for path, shape in shapes.items():
        cut = _cut(path, cuts)
        if cut is not None and len(cut[1]) != shape[0]:
            raise ConfigError(
                f"warm_start.layers: selects {len(cut[1])} blocks of the teacher, but the student "
                f"has {shape[0]}; write model.layers={len(cut[1])}, or leave it out"
            )
        made[path] = shape if cut is None else (cut[0], *shape[1:])
    return made


def select_blocks(
    arrays: Arrays, lines: list[ReportLine], cuts: dict[str, tuple[int, list[int]]]
) -> Converted:
    """The student's arrays and conversion report, from the teacher's."""
    made, report = {}, []
    for path, array in arrays.items():
        cut = _cut(path, cuts)
        made[path] = array if cut is None else np.asarray(array)[cut[1]]
    for line in lines:
        cut = _cut(line.path, cuts)
        if cut is None:
            report.append(line)
            continue
        shape = (len(cut[1]), *line.shape[1:]) if line.layers == 1 else line.shape
        many = 1 if line.layers == 1 else len(cut[1])
        report.append(ReportLine(line.status, line.tensor, line.path, shape, many))
    return made, report


def _cut(path: str, cuts: dict) -> tuple[int, list[int]] | None:
    if not is_stacked(path):
        return None
    return next((cut for start, cut in cuts.items() if path.startswith(start)), None)


def _stack(node: Model) -> Model:
    """The transformer stack of a node: itself, or the one it wraps (ProphetNet)."""
    return node.get("transformer", node)


def _with(node: Model, own: Model) -> Model:
    return (
        {**node, "transformer": {**node["transformer"], **own}}
        if "transformer" in node
        else {**node, **own}
    )


def _groups(stack: Model, layers: list[int]) -> list[int]:
    """Index of the parameter group of each layer (ALBERT)."""
    groups, depth = stack["layer_groups"], stack["layers"]
    own = [layer * groups // depth for layer in layers]
    left = sorted(set(own))
    if [layer * len(left) // len(layers) for layer in range(len(layers))] != [
        left.index(group) for group in own
    ]:
        raise ConfigError(
            f"warm_start.layers: the teacher's {depth} layers share {groups} groups of parameters "
            f"evenly, layers {layers} would not (groups {own}): choose as many layers of each group"
        )
    return own
