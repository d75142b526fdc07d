"""Tensors of a file to arrays of a model and back, by a family's name map. Nothing goes unsaid.

A tensor that the map does not name, an array that no tensor fills, and a shape that differs are
errors, all found from headers before any data are read.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping

import numpy as np

from fxformer.config.type_check import nearest
from fxformer.hf.conversion_report import ReportLine
from fxformer.hf.tensor_source import Source, WeightMismatch
from fxformer.hf.weight_map import Entry, pattern

Shapes = Mapping[str, tuple[int, ...]]
Arrays = dict[str, np.ndarray]
Converted = tuple[Arrays, list[ReportLine]]  # ({path: array}, conversion report)


def load(
    source: Source,
    entries: list[Entry],
    shapes: Shapes,
    fresh: Iterable[str] = (),
    spare: tuple[str, ...] = (),
) -> Converted:
    """The arrays of a model, {path: float32}, and what became of every tensor.

    shapes: of the model's arrays by path; fresh: paths that may be missing from the files
    spare: beginnings of paths whose tensors may go unread (heads that the model does not have)
    Raises WeightMismatch, all problems at once, before any data are read.
    """
    wanted, unread = check(source, entries, shapes, fresh, spare)
    arrays, lines = {}, []
    for entry in wanted:
        lines += _take(source, entry, shapes, arrays)
    for entry in entries:
        if entry.constant is not None and entry.paths[0] not in shapes and entry.file in source:
            let_go = entry.unread or entry.paths[0].startswith(spare or ("\0",))
            line = ReportLine("ignored", entry.file, "", source.shape(entry.file))
            lines.append(line if let_go else _constant(source, entry))
    lines += [
        ReportLine("ignored", raw, "", source.files[raw].shape) for raw in source.ignored + unread
    ]
    lines += [ReportLine("fresh", "", p, shapes[p]) for p in shapes if p not in arrays]
    return arrays, lines


def check(
    source: Source,
    entries: list[Entry],
    shapes: Shapes,
    fresh: Iterable[str] = (),
    spare: tuple[str, ...] = (),
) -> tuple[list[Entry], list[str]]:
    """(the entries that the model has arrays for, names in the files that go unread), as of `load`.

    Raises WeightMismatch. Headers are looked at, no data.
    """
    wanted = _wanted(entries, shapes)
    asked = wanted + [entry for entry in entries if entry.constant is not None]
    spared = [e for e in entries if e not in asked and e.paths[0].startswith(spare or ("\0",))]
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


def dump(entries: list[Entry], arrays: Mapping[str, np.ndarray]) -> Arrays:
    """The tensors of a file, contiguous, under the names the map gives first. Inverse of `load`."""
    tensors = {}
    for entry in entries:
        parts = [np.asarray(arrays[p]) for p in entry.paths if p in arrays]
        if len(parts) == len(entry.paths):
            for layer in range(len(parts[0])) if entry.stacked else [None]:
                own = tuple(p if layer is None else p[layer] for p in parts)
                made = np.ascontiguousarray(entry.layout.outward(own))
                for name in (entry.file, *(entry.copies if entry.kept else ())):
                    tensors[name if layer is None else entry.name(layer, name)] = made
        elif entry.constant is not None and entry.file not in tensors:
            tensors[entry.file] = np.ascontiguousarray(entry.constant())
    return dict(sorted(tensors.items()))


def _wanted(entries: list[Entry], shapes: Shapes) -> list[Entry]:
    """The entries a model has arrays for. What is a tensor of its own is no copy of another."""
    wanted = [entry for entry in entries if entry.paths[0] in shapes]
    own = {entry.file for entry in wanted}
    return [
        dataclasses.replace(entry, copies=tuple(c for c in entry.copies if c not in own))
        for entry in wanted
    ]


def _layers(entry: Entry, shapes: Shapes) -> list[int | None]:
    """The layers an entry has a tensor for; [None] where it is no stack's."""
    return list(range(shapes[entry.paths[0]][0])) if entry.stacked else [None]


def _found(source: Source, entry: Entry, layer: int | None) -> list[str]:
    """The names under which the files hold it, that of the map first."""
    named = (entry.file, *entry.copies)
    spelt = named if layer is None else tuple(entry.name(layer, name) for name in named)
    return [name for name in spelt if name in source]


def _spelt(entries: list[Entry], shapes: Shapes) -> set[str]:
    """Every name that these entries can have, layer by layer."""
    names = set()
    for entry in entries:
        for name in (entry.file, *entry.copies):
            braced = "{" in name and entry.paths[0] in shapes
            names |= {entry.name(i, name) for i in _layers(entry, shapes)} if braced else {name}
    return names


def _strange(source: Source, asked: set[str], spared: list[Entry]) -> tuple[list[str], list[str]]:
    """Names that nothing here asks for: problems, and those that may go."""
    extra = {n: raw for n, raw in source.raw.items() if n not in asked}
    let_go = _said(spared)
    unread = [raw for n, raw in extra.items() if source.may_ignore(raw) or _among(n, let_go)]
    return [
        f"{raw}: the model has no place for it{nearest(raw, asked)}"
        for raw in [*extra.values(), *source.strange]
        if raw not in unread
    ], unread


def _said(entries: list[Entry]) -> tuple[set[str], list[re.Pattern]]:
    """The names of entries, and patterns of those with braces."""
    names = {name for entry in entries for name in (entry.file, *entry.copies)}
    return names, [pattern(name) for name in sorted(names) if "{" in name]


def _among(name: str, said: tuple[set[str], list[re.Pattern]]) -> bool:
    return name in said[0] or any(p.match(name) for p in said[1])


def _lacking(source: Source, wanted: list[Entry], shapes: Shapes, fresh: set[str]) -> list[str]:
    """Arrays that nothing fills."""
    problems, named = [], set()
    for entry in wanted:
        named.update(entry.paths)
        lost = [layer for layer in _layers(entry, shapes) if not _found(source, entry, layer)]
        if lost and not set(entry.paths) <= fresh:
            name = entry.file if lost[0] is None else entry.name(lost[0])
            problems.append(f"{name} is missing{nearest(name, source.raw)}")
    bare = [path for path in shapes if path not in named and path not in fresh]
    return problems + [f"{path}: the family's map has no tensor for it" for path in bare]


def _misfits(source: Source, entry: Entry, shapes: Shapes) -> list[str]:
    """Shapes that differ, told from headers."""
    problems = []
    for layer in _layers(entry, shapes):
        for name in _found(source, entry, layer):
            there, dtype = source.shape(name), source.files[source.raw[name]].dtype
            if not np.issubdtype(dtype, np.floating) and dtype.name != "bfloat16":
                problems.append(f"{name} holds {dtype.name}, which is no weight")
                continue
            here = [shapes[p] if layer is None else shapes[p][1:] for p in entry.paths]
            try:
                hollow = np.broadcast_to(np.int8(0), there)  # a shape without memory
                parts = [part.shape for part in entry.layout.inward(hollow)]
            except ValueError as error:
                problems.append(f"{name} {list(there)}: {error}")
                continue
            if parts != here:
                problems.append(f"{name} is {list(there)}, it makes {parts}; the model has {here}")
    return problems


def _take(source: Source, entry: Entry, shapes: Shapes, arrays: Arrays) -> list[ReportLine]:
    """Read an entry's tensors into `arrays`; its lines of the bill."""
    lines = []
    for layer in _layers(entry, shapes):
        found = _found(source, entry, layer)
        if not found:
            return lines
        tensor = source.read(found[0])
        for path, part in zip(entry.paths, entry.layout.inward(tensor), strict=True):
            if layer is None:
                arrays[path] = np.ascontiguousarray(part, np.float32)
            else:
                arrays.setdefault(path, np.empty(shapes[path], np.float32))[layer] = part
        if layer in (None, 0):
            word = "loaded" if tensor.ndim < 2 and len(entry.paths) == 1 else entry.layout.word
            where, many = ", ".join(entry.paths), len(_layers(entry, shapes))
            lines.append(ReportLine(word, entry.file, where, tensor.shape, many))
        for copy in found[1:]:
            if not np.array_equal(source.read(copy), tensor):
                raise WeightMismatch(f"{copy} differs from {found[0]}, of which it is a copy")
            lines.append(ReportLine("shared", source.raw[copy], entry.paths[0], tensor.shape))
    return lines


def _constant(source: Source, entry: Entry) -> ReportLine:
    there = source.read(entry.file)
    if not np.allclose(there, entry.constant(), atol=1e-3):  # half precision
        raise WeightMismatch(f"{entry.file} is not what is computed in its place")
    return ReportLine("constant", entry.file, "", there.shape)
