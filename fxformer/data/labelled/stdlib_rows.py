"""Labelled rows of Python's standard library: modules of docstrings, summaries, code and text."""

import ast
import random
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

from fxformer.data import overlap, stdlib
from fxformer.data.labelled import splits
from fxformer.data.labelled.rows import Row
from fxformer.data.progress import Slow
from fxformer.errors import UserError

StdlibKind = Literal["module", "summary", "match"]
CLASSES = 24  # modules, of kind "module": those with the most docstrings
PER_CLASS = 120  # docstrings of a module at most
VALID_SHARE = 0.2  # of the docstrings, of kind "module"
LEAST, MOST = 40, 600  # characters of a docstring; longer ones lose their end
CODE = 500  # characters of a function's source
Documented = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
Given = dict[str, list[dict[str, Any]]]


def stdlib_rows(kind: StdlibKind, counts: dict[str, int], seed: int) -> Given:
    """Rows by split, "train" and "valid".

    kind: "module": which module a docstring is of, one of CLASSES; equal docstrings stay in one
        split. "summary": first line of a docstring from the rest. "match": whether a function's
        source and a summary belong together; wrong summaries are those of other functions of the
        same split. Of the last two the splits have different modules (stdlib.HELD_OUT).
    counts: rows of each split at most; seed: of the choice of rows
    Raises UserError where this Python comes without its sources.
    """
    made = {"module": _modules, "summary": _summaries, "match": _matches}[kind](seed)
    if not made["train"] or not made["valid"]:
        raise UserError(
            f"the standard library at {stdlib.folder()} has no docstrings: this Python comes "
            "without its sources"
        )
    found = {}
    for split, rows in made.items():
        random.Random(f"{seed} {kind} {split}").shuffle(rows)
        found[split] = rows[: counts[split]]
    return found


def documented() -> Iterator[tuple[str, Documented, str]]:
    """(module, class or function, docstring) of the standard library."""
    with Slow("Reading the standard library", "modules") as work:
        for name, path in stdlib.modules().items():
            work.advance(1)
            try:
                tree = ast.parse(path.read_text(encoding="utf-8", errors="ignore"))
            except (SyntaxError, ValueError):
                continue  # a few files of the library are templates, not Python
            for node in ast.walk(tree):
                if isinstance(node, Documented) and (text := ast.get_docstring(node)):
                    yield name, node, text


def _modules(seed: int) -> Given:
    found: dict[str, dict[bytes, str]] = {}
    for name, _, text in documented():
        prose = stdlib.clean(text)[:MOST]
        if len(prose) >= LEAST:
            found.setdefault(name.split(".")[0], {}).setdefault(overlap.key(prose), prose)
    times = Counter(key for texts in found.values() for key in texts)
    rows: list[Row] = []
    public = [name for name in found if not name.startswith("_")]
    for name in sorted(public, key=lambda name: (-len(found[name]), name))[:CLASSES]:
        texts = [text for key, text in found[name].items() if times[key] == 1]
        random.Random(f"{seed} {name}").shuffle(texts)
        for text in texts[:PER_CLASS]:
            rows.append(Row({"text": text, "label": name}, name, len(rows)))
    if not rows:
        return {"train": [], "valid": []}
    parts = splits.by_share(rows, {"valid": VALID_SHARE}, splits.group_key(None))
    return {split: [row.values for row in some] for split, some in parts.items()}


def _summaries(seed: int) -> Given:
    found: Given = {"train": [], "valid": []}
    known: set[bytes] = set()
    for name, _, text in documented():
        first, _, rest = text.strip().partition("\n\n")
        source, target = stdlib.clean(rest)[:MOST], _line(first)
        key = overlap.key(source)
        if len(source) >= LEAST and target and key not in known:
            known.add(key)
            found[_split(name)].append({"source": source, "target": target})
    return found


def _matches(seed: int) -> Given:
    pairs: dict[str, list[tuple[str, str]]] = {"train": [], "valid": []}
    known: set[bytes] = set()
    for name, node, text in documented():
        summary = _line(text.strip().partition("\n\n")[0])
        if isinstance(node, ast.ClassDef) or not summary:
            continue
        code = _source(node)
        key = overlap.key(code)
        if len(code) >= LEAST and key not in known:
            known.add(key)
            pairs[_split(name)].append((code, summary))
    return {split: _labelled(some, random.Random(f"{seed}")) for split, some in pairs.items()}


def _labelled(pairs: list[tuple[str, str]], draw: random.Random) -> list[dict[str, Any]]:
    """Every other pair with its own summary, the rest with that of another pair."""
    order = list(pairs)
    draw.shuffle(order)
    rows = []
    for number, (code, summary) in enumerate(order):
        if number % 2:
            others = [draw.choice(order)[1] for _ in range(20)]
            wrong = next((one for one in others if one != summary), None)
            if wrong is None:
                continue
            rows.append({"text": code, "pair": wrong, "label": "other"})
        else:
            rows.append({"text": code, "pair": summary, "label": "match"})
    return rows


def _split(name: str) -> str:
    return "valid" if name.split(".")[0] in stdlib.HELD_OUT else "train"


def _line(text: str) -> str:
    """The first paragraph of a docstring as one line; "" where it is no sentence of words."""
    line = " ".join(text.split())
    letters = len(re.findall(r"[A-Za-z]", line))
    return line if 15 <= len(line) <= 120 and letters > 0.6 * len(line) else ""


def _source(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Source of a function without its docstring and decorators."""
    body = node.body[1:] or [ast.Pass()]
    bare = type(node)(
        name=node.name, args=node.args, body=body, decorator_list=[], returns=node.returns,
        type_comment=None, lineno=0, col_offset=0,
    )  # fmt: skip
    return ast.unparse(ast.fix_missing_locations(bare))[:CODE]
