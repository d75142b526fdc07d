"""A student: some layers of a teacher, all the rest as it is. Sanh et al. 2019, sec. 3."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fxformer.config.target import ConfigError
from fxformer.hf.canonical_config import SIDES
from fxformer.hf.conversion_report import Line
from fxformer.hf.convert import Arrays, Shapes
from fxformer.rules import is_stacked
from fxformer.warmstart.config_references import resolved

Layers = str | Sequence[int] | dict[str, Any] | None
Model = dict[str, Any]
DROPPED = ("transformer/embed/types/",)  # as DistilBERT did: a student may do without


def chosen(layers: Layers, depth: int, key: str = "init.layers") -> list[int]:
    """The layers of a stack that a student has, in their order.

    layers: all, every_other (the first, the third …), or their numbers from 0
    Raises ConfigError for one that there is not, for the same twice, and for none at all.
    """
    if layers in (None, "all"):
        return list(range(depth))
    if layers == "every_other":
        return list(range(0, depth, 2))
    advice = f"write {key}=every_other, all, or numbers from 0 to {depth - 1}, e.g. [0,{depth - 1}]"
    if isinstance(layers, (str, dict)) or not len(layers):
        raise ConfigError(f"{key}: {layers!r} names no layers; {advice}")
    picks = [int(layer) for layer in layers]
    if sorted(set(picks)) != picks or not 0 <= picks[0] <= picks[-1] < depth:
        raise ConfigError(
            f"{key}: the teacher has {depth} layers and {picks} are not some of them, in their "
            f"order; {advice}"
        )
    return picks


def picked(teacher: Model, layers: Layers) -> dict[str, list[int]]:
    """{side: layers} of a model, for one choice or one for each side."""
    sides = [side for side in SIDES if side in teacher]
    if not isinstance(layers, dict):
        layers = dict.fromkeys(sides, layers)
    if strange := sorted(set(layers) - set(sides)):
        raise ConfigError(
            f"init.layers.{strange[0]}: the teacher has no such stack; it has {', '.join(sides)}"
        )
    return {
        side: chosen(layers.get(side), _stack(teacher[side])["layers"], f"init.layers.{side}")
        for side in sides
    }


def student(teacher: Model, picks: dict[str, list[int]]) -> Model:
    """The teacher's `model` node with these layers only.

    Raises ConfigError where blocks are shared and the layers left would not share them alike.
    """
    whole, made = resolved(teacher), dict(teacher)
    alike = len({len(picks[side]) for side in picks}) == 1
    for side, layers in picks.items():
        known, own = _stack(whole[side]), {"layers": "${model.layers}" if alike else len(layers)}
        if known.get("windows"):
            pattern = known["windows"]
            own["windows"] = [pattern[layer % len(pattern)] for layer in layers]
        if known.get("groups"):
            own["groups"] = len(set(_groups(known, layers)))
        made[side] = _with(made[side], own)
    made["layers"] = len(next(iter(picks.values())))
    return made


def slices(teacher: Model, picks: dict[str, list[int]]) -> dict[str, tuple[int, list[int]]]:
    """{beginning of paths: (the teacher's blocks, those the student has)}; the first layer's own,
    where it is built unlike the others, is none of them."""
    found, single = {}, "transformer" in teacher["network"]
    for side, layers in picks.items():
        stack = _stack(teacher[side])
        inner, first = stack.get("inner") or 1, stack.get("first") is not None
        if first and layers[0] != 0:
            raise ConfigError(
                f"init.layers: the teacher's first layer is built unlike the others and so must be "
                f"the student's first: begin with 0, got {layers}"
            )
        own = sorted(set(_groups(stack, layers))) if stack.get("groups") else layers[first:]
        blocks = [block * inner + n for block in own for n in range(inner)]
        place = "transformer/" if single else f"{side}/"
        place += "transformer/" if "transformer" in teacher[side] else ""
        count = (stack.get("groups") or stack["layers"]) * inner - first
        found[f"{place}stack/blocks/"] = count, [block - first for block in blocks]
    return found


def teachers(shapes: Shapes, cuts: dict[str, tuple[int, list[int]]]) -> dict[str, tuple[int, ...]]:
    """A student's shapes as the teacher has them. Raises ConfigError for another depth."""
    made = {}
    for path, shape in shapes.items():
        cut = _cut(path, cuts)
        if cut is not None and len(cut[1]) != shape[0]:
            raise ConfigError(
                f"init.layers: names {len(cut[1])} blocks of the teacher and the student has "
                f"{shape[0]}; write model.layers={len(cut[1])}, or leave it out"
            )
        made[path] = shape if cut is None else (cut[0], *shape[1:])
    return made


def taken(
    arrays: Arrays, lines: list[Line], cuts: dict[str, tuple[int, list[int]]]
) -> tuple[Arrays, list[Line]]:
    """The student's arrays of the teacher's, and the bill of them."""
    made, bill = {}, []
    for path, array in arrays.items():
        cut = _cut(path, cuts)
        made[path] = array if cut is None else np.asarray(array)[cut[1]]
    for line in lines:
        cut = _cut(line.path, cuts)
        if cut is None:
            bill.append(line)
            continue
        shape = (len(cut[1]), *line.shape[1:]) if line.layers == 1 else line.shape
        many = 1 if line.layers == 1 else len(cut[1])
        bill.append(Line(line.what, line.file, line.path, shape, many))
    return made, bill


def _cut(path: str, cuts: dict) -> tuple[int, list[int]] | None:
    if not is_stacked(path):
        return None
    return next((cut for start, cut in cuts.items() if path.startswith(start)), None)


def _stack(node: Model) -> Model:
    """The stack of a side: itself, or what it wraps (ProphetNet's)."""
    return node.get("transformer", node)


def _with(node: Model, own: Model) -> Model:
    return (
        {**node, "transformer": {**node["transformer"], **own}}
        if "transformer" in node
        else {**node, **own}
    )


def _groups(stack: Model, layers: list[int]) -> list[int]:
    """Which distinct block each of the layers uses (ALBERT)."""
    groups, depth = stack["groups"], stack["layers"]
    own = [layer * groups // depth for layer in layers]
    left = sorted(set(own))
    if [layer * len(left) // len(layers) for layer in range(len(layers))] != [
        left.index(group) for group in own
    ]:
        raise ConfigError(
            f"init.layers: {depth} layers share {groups} blocks evenly, and {layers} would not: "
            f"they use blocks {own}; take as many layers of each"
        )
    return own
