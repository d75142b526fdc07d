"""Conversion of checkpoint tensors to model parameters and back, by a family's weight map.

A tensor missing from the map, a parameter without a tensor and a shape mismatch are errors, found
from the file headers before any data are read.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping

import numpy as np

from fxformer.config.type_check import nearest
from fxformer.hf.conversion_report import ReportLine, Status
from fxformer.hf.tensor_source import TensorSource, WeightMismatch
from fxformer.hf.weight_map import WeightEntry, pattern

Shapes = Mapping[str, tuple[int, ...]]
Arrays = dict[str, np.ndarray]
Converted = tuple[Arrays, list[ReportLine]]  # ({path: array}, conversion report)


def load(
    source: TensorSource,
    entries: list[WeightEntry],
    shapes: Shapes,
    fresh: Iterable[str] = (),
    optional: tuple[str, ...] = (),
) -> Converted:
    """({path: float32 array} for a model, conversion report).

    entries: the weight map
    shapes: shape of each parameter of the model by path
    fresh: paths that may be missing from the files
    optional: path prefixes whose tensors may stay unread (heads that the model does not have)
    Raises WeightMismatch listing all problems, before any data are read.
    """
    wanted, unread = check(source, entries, shapes, fresh, optional)
    arrays, lines = {}, []
    for entry in wanted:
        lines += _take(source, entry, shapes, arrays)
    for entry in entries:
        if entry.constant is not None and entry.paths[0] not in shapes and entry.file in source:
            let_go = entry.unread or entry.paths[0].startswith(optional or ("\0",))
            line = ReportLine("ignored", entry.file, "", source.shape(entry.file))
            lines.append(line if let_go else _constant(source, entry))
    lines += [
        ReportLine("ignored", raw, "", source.files[raw].shape) for raw in source.ignored + unread
    ]
    lines += [ReportLine("fresh", "", p, shapes[p]) for p in shapes if p not in arrays]
    return arrays, lines


def check(
    source: TensorSource,
    entries: list[WeightEntry],
    shapes: Shapes,
    fresh: Iterable[str] = (),
    optional: tuple[str, ...] = (),
) -> tuple[list[WeightEntry], list[str]]:
    """(entries the model has parameters for, tensor names that stay unread); arguments as `load`.

    Raises WeightMismatch. Reads headers only.
    """
    wanted = _wanted(entries, shapes)
    asked = wanted + [entry for entry in entries if entry.constant is not None]
    spared = [e for e in entries if e not in asked and e.paths[0].startswith(optional or ("\0",))]
    problems, unread = _strange(source, _spelt(asked, shapes), spared)
    problems += _lacking(source, wanted, shapes, set(fresh))
    problems += [wrong for entry in wanted for wrong in _misfits(source, entry, shapes)]
    problems += [
        f"{e.file} is {list(source.shape(e.file))}; config.json says {list(e.shape)}"
        for e in entries
        if e.shape is not None and e.file in source and source.shape(e.file) != e.shape
    ]
    if problems:
        more = f"\n… and {len(problems) - 12} more" if len(problems) > 12 else ""
        raise WeightMismatch("\n".join(problems[:12]) + more)
    return wanted, unread


def dump(entries: list[WeightEntry], arrays: Mapping[str, np.ndarray]) -> Arrays:
    """{tensor name: contiguous array} of a checkpoint; the inverse of `load`."""
    tensors = {}
    for entry in entries:
        parts = [np.asarray(arrays[p]) for p in entry.paths if p in arrays]
        if len(parts) == len(entry.paths):
            for layer in range(len(parts[0])) if entry.stacked else [None]:
                own = tuple(p if layer is None else p[layer] for p in parts)
                made = np.ascontiguousarray(entry.layout.to_tensor(own))
                for name in (entry.file, *(entry.copies if entry.kept else ())):
                    tensors[name if layer is None else entry.name(layer, name)] = made
        elif entry.constant is not None and entry.file not in tensors:
            tensors[entry.file] = np.ascontiguousarray(entry.constant())
    return dict(sorted(tensors.items()))


def _wanted(entries: list[WeightEntry], shapes: Shapes) -> list[WeightEntry]:
    """Entries the model has parameters for; a tensor with its own entry is no copy of another."""
    wanted = [entry for entry in entries if entry.paths[0] in shapes]
    own = {entry.file for entry in wanted}
    return [
        dataclasses.replace(entry, copies=tuple(c for c in entry.copies if c not in own))
        for entry in wanted
    ]


def _layers(entry: WeightEntry, shapes: Shapes) -> list[int | None]:
    """Layer indices of an entry of a stack; [None] for any other entry."""
    return list(range(shapes[entry.paths[0]][0])) if entry.stacked else [None]


def _found(source: TensorSource, entry: WeightEntry, layer: int | None) -> list[str]:
    """Names under which the files hold the tensor, the one of the map first."""
    named = (entry.file, *entry.copies)
    names = named if layer is None else tuple(entry.name(layer, name) for name in named)
    return [name for name in names if name in source]


def _spelt(entries: list[WeightEntry], shapes: Shapes) -> set[str]:
    """Every tensor name of these entries, layer by layer."""
    names = set()
    for entry in entries:
        for name in (entry.file, *entry.copies):
            if "{" in name and entry.paths[0] in shapes:
                layers = _layers(entry, shapes)
                names |= {entry.name(i, name) for i in layers if i is not None}
            else:
                names.add(name)
    return names


def _strange(
    source: TensorSource, asked: set[str], spared: list[WeightEntry]
) -> tuple[list[str], list[str]]:
    """(problems, tensor names that may stay unread) of tensors without an entry."""
    extra = {n: raw for n, raw in source.raw.items() if n not in asked}
    let_go = _said(spared)
    unread = [raw for n, raw in extra.items() if source.may_ignore(raw) or _among(n, let_go)]
    return [
        f"{raw}: the model has no such tensor{nearest(raw, asked)}"
        for raw in [*extra.values(), *source.strange]
        if raw not in unread
    ], unread


def _said(entries: list[WeightEntry]) -> tuple[set[str], list[re.Pattern]]:
    """Tensor names of entries, and patterns of those with placeholders."""
    names = {name for entry in entries for name in (entry.file, *entry.copies)}
    return names, [pattern(name) for name in sorted(names) if "{" in name]


def _among(name: str, said: tuple[set[str], list[re.Pattern]]) -> bool:
    return name in said[0] or any(p.match(name) for p in said[1])


def _lacking(
    source: TensorSource, wanted: list[WeightEntry], shapes: Shapes, fresh: set[str]
) -> list[str]:
    """Problems: parameters without a tensor."""
    problems, named = [], set()
    for entry in wanted:
        named.update(entry.paths)
        lost = [layer for layer in _layers(entry, shapes) if not _found(source, entry, layer)]
        if lost and not set(entry.paths) <= fresh:
            name = entry.file if lost[0] is None else entry.name(lost[0])
            problems.append(f"{name} is missing{nearest(name, source.raw)}")
    bare = [path for path in shapes if path not in named and path not in fresh]
    return problems + [f"{path}: the family's map has no tensor for it" for path in bare]


def _misfits(source: TensorSource, entry: WeightEntry, shapes: Shapes) -> list[str]:
    """Problems: shape mismatches, from headers."""
    problems = []
    for layer in _layers(entry, shapes):
        for name in _found(source, entry, layer):
            there, dtype = source.shape(name), source.files[source.raw[name]].dtype
            if not np.issubdtype(dtype, np.floating) and dtype.name != "bfloat16":
                problems.append(f"{name} has dtype {dtype.name}, expected a floating-point dtype")
                continue
            here = [shapes[p] if layer is None else shapes[p][1:] for p in entry.paths]
            try:
                hollow = np.broadcast_to(np.int8(0), there)  # a shape without memory
                parts = [part.shape for part in entry.layout.to_arrays(hollow)]
            except ValueError as error:
                problems.append(f"{name} {list(there)}: {error}")
                continue
            if parts != here:
                problems.append(
                    f"{name} has shape {list(there)}, which gives {parts}; the model has {here}"
                )
    return problems


def _take(
    source: TensorSource, entry: WeightEntry, shapes: Shapes, arrays: Arrays
) -> list[ReportLine]:
    """Read an entry's tensors into `arrays`; return its lines of the report."""
    lines = []
    for layer in _layers(entry, shapes):
        found = _found(source, entry, layer)
        if not found:
            return lines
        tensor = source.read(found[0])
        for path, part in zip(entry.paths, entry.layout.to_arrays(tensor), strict=True):
            if layer is None:
                arrays[path] = np.ascontiguousarray(part, np.float32)
            else:
                arrays.setdefault(path, np.empty(shapes[path], np.float32))[layer] = part
        if layer in (None, 0):
            plain = tensor.ndim < 2 and len(entry.paths) == 1
            status: Status = "loaded" if plain else entry.layout.status
            where, many = ", ".join(entry.paths), len(_layers(entry, shapes))
            lines.append(ReportLine(status, entry.file, where, tensor.shape, many))
        for copy in found[1:]:
            if not np.array_equal(source.read(copy), tensor):
                raise WeightMismatch(f"{copy} differs from {found[0]}, but should be a copy of it")
            lines.append(ReportLine("shared", source.raw[copy], entry.paths[0], tensor.shape))
    return lines


def _constant(source: TensorSource, entry: WeightEntry) -> ReportLine:
    assert entry.constant is not None
    there = source.read(entry.file)
    if not np.allclose(there, entry.constant(), atol=1e-3):  # half precision
        raise WeightMismatch(f"{entry.file} differs from the constant that is computed instead")
    return ReportLine("constant", entry.file, "", there.shape)
