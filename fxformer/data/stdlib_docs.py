"""Corpus `stdlib_docs`: what Python's standard library says about itself in English."""

import ast
import dataclasses
import inspect
import re

from fxformer.data.stdlib import StandardLibrary, folder

# pydoc topics of the valid split; they share little text with the others.
HELD_OUT_TOPICS = frozenset(
    "calls formatstrings import objects operator-summary string-methods strings".split()
)

LEAST_PROSE = 300  # characters; a module that says less has nothing to tell

_RULE = re.compile(r"^\s*([-=~^*#+_|]{3,}|\+[-=+]+\+?|[-=]{2,}(\s+[-=]{2,})+)\s*$")
_TABLE = re.compile(r"^\s*[|+].*[|+]\s*$|\S\s{3,}\S.*\s{3,}\S")
_WORD = re.compile(r"[A-Za-z]{2,}")


@dataclasses.dataclass(kw_only=True)
class StdlibDocs(StandardLibrary):
    """About 1.6 MB of English: doc strings and long comments by module, and the topics of pydoc.
    Doctests, literal blocks and tables are left out."""

    def document(self, source: str) -> str:
        try:
            nodes = list(ast.walk(ast.parse(source)))
        except (SyntaxError, ValueError):
            return ""  # a few files of the library are templates rather than Python
        prose = [clean(part) for part in doc_strings(nodes) + comments(source, nodes)]
        text = "\n\n".join(part for part in dict.fromkeys(prose) if part)
        return text if len(text) >= LEAST_PROSE else ""

    def extra(self) -> dict[str, str]:
        return {f"topic:{name}": clean(text) for name, text in topics().items()}

    def held_out(self, name: str) -> bool:
        kind, _, topic = name.partition("topic:")
        return topic in HELD_OUT_TOPICS if topic else super().held_out(kind)


def doc_strings(nodes: list[ast.AST]) -> list[str]:
    """Of the module, its classes and functions, from the top down."""
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    found = [ast.get_docstring(node) for node in nodes if isinstance(node, kinds)]
    return [text for text in found if text]


def comments(source: str, nodes: list[ast.AST], least: int = 2) -> list[str]:
    """Runs of at least so many comment lines, each as one text."""
    texts = [node for node in nodes if isinstance(node, ast.Constant | ast.JoinedStr)]
    quoted = {i for node in texts for i in range(node.lineno + 1, node.end_lineno + 1)}
    runs: list[list[str]] = [[]]
    for number, line in enumerate(source.split("\n"), 1):
        bare = line.lstrip()
        if bare.startswith("#") and number not in quoted:
            runs[-1].append(bare.lstrip("#"))
        elif runs[-1]:
            runs.append([])
    return [inspect.cleandoc("\n" + "\n".join(run)) for run in runs if len(run) >= least]


def topics() -> dict[str, str]:
    """The topics of Python's help(), sorted by name."""
    path = folder() / "pydoc_data" / "topics.py"
    if not path.is_file():
        return {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            return dict(sorted(ast.literal_eval(node.value).items()))
    return {}


def clean(text: str) -> str:
    """The prose of a doc string: paragraphs of words, without code, rules and tables."""
    kept, literal = [], None  # literal: the indent a literal block lies deeper than
    for block in re.split(r"\n\s*\n", text.expandtabs()):
        lines = [line.rstrip() for line in block.split("\n") if line.strip()]
        if not lines:
            continue
        indent = min(len(line) - len(line.lstrip()) for line in lines)
        if literal is not None and indent > literal:
            continue
        literal = indent if lines[-1].endswith("::") else None
        if lines[0].lstrip().startswith((">>>", "...", "$ ")):
            continue
        prose = _prose(lines)
        if prose:
            kept.append("\n".join(line[indent:] for line in prose).replace("::", ":"))
    return "\n\n".join(kept)


def _prose(lines: list[str]) -> list[str]:
    """The lines of a paragraph that are prose; none if it is mostly something else."""
    stop = next((i for i, line in enumerate(lines) if line.lstrip().startswith(">>>")), len(lines))
    lines = [line for line in lines[:stop] if not _RULE.match(line)]
    if sum(bool(_TABLE.search(line)) for line in lines) * 2 > len(lines):
        return []
    joined = " ".join(lines)
    letters = sum(map(len, _WORD.findall(joined)))
    return lines if letters > 0.55 * len(joined.replace(" ", "")) and letters > 10 else []
