"""Corpora of Python's standard library, its code and its documentation; read, never imported."""

import ast
import dataclasses
import hashlib
import inspect
import re
import sysconfig
import warnings
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from fxformer.data import control_codes
from fxformer.data.corpus_text import TextCorpus
from fxformer.data.progress import Slow
from fxformer.data.survey import Survey
from fxformer.data.text_files import ReadStats

# Held out by name, not by a random draw: lines of one module resemble each other, and which modules
# a distribution ships varies.
HELD_OUT = frozenset(
    "argparse textwrap statistics heapq imaplib pathlib json queue fractions shelve sched difflib "
    "html gettext zipfile mailbox".split()
)

# Modules that differ between machines and versions, are not prose, or are not of the library.
EXCLUDED = frozenset(
    "idlelib tkinter turtle turtledemo lib2to3 distutils ensurepip _pydecimal "
    "site-packages dist-packages __phello__ pydoc_data venv "
    "aifc asynchat asyncore audioop cgi cgitb chunk crypt imghdr imp mailcap msilib nntplib pipes "
    "smtpd sndhdr sunau telnetlib uu xdrlib antigravity this".split()
)

LARGE_PACKAGE = 10  # documents of a package that has a control code of its own
MIN_BYTES = 500_000  # of text; with fewer, this Python comes without its sources

# pydoc topics of the valid split; they share little text with the others.
HELD_OUT_TOPICS = frozenset(
    "calls formatstrings import objects operator-summary string-methods strings".split()
)

MIN_PROSE = 300  # characters; modules with less documentation are skipped

_RULE = re.compile(r"^\s*([-=~^*#+_|]{3,}|\+[-=+]+\+?|[-=]{2,}(\s+[-=]{2,})+)\s*$")
_TABLE = re.compile(r"^\s*[|+].*[|+]\s*$|\S\s{3,}\S.*\s{3,}\S")
_WORD = re.compile(r"[A-Za-z]{2,}")


@dataclasses.dataclass(kw_only=True)
class StandardLibrary(TextCorpus):
    """Text of the standard library, one document per module; a subclass extracts it.

    code: "module": the control code of a document is its package where that is large (asyncio,
        email …), else "module", or "topic" for a topic of pydoc

    Where this Python comes without its sources, synthetic text is used instead, and the facts of
    the corpus give the reason under "synthetic_text".
    """

    code: Literal["module"] | None = None

    @abstractmethod
    def document(self, source: str) -> str:
        """Text of the document of a module, given its source code; "" for none."""

    def extra(self) -> dict[str, str]:
        """Further documents by name."""
        return {}

    def is_held_out(self, name: str) -> bool:
        """Whether a document belongs to the valid split."""
        return name.split(".")[0] in HELD_OUT

    @cached_property
    def texts(self) -> dict[str, str]:
        """All documents by name; read once."""
        texts = {}
        with Slow("Reading the standard library", "modules") as work:
            for name, path in modules().items():
                # A few sources are Latin-1; what is not UTF-8 in them is dropped.
                text = self.document(path.read_text(encoding="utf-8", errors="ignore"))
                if text.strip():
                    texts[name] = text
                work.advance(1)
        return texts | self.extra()

    @cached_property
    def missing(self) -> str:
        """Why synthetic text is used; "" where it is not."""
        size = sum(len(text) for text in self.texts.values())
        if size >= MIN_BYTES:
            return ""
        why = (
            f"{size} bytes of text in the standard library at {folder()}, less than {MIN_BYTES}: "
            "this Python comes without its sources; synthetic text is used instead"
        )
        warnings.warn(why, stacklevel=2)
        return why

    def fingerprint(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        for name, path in modules().items():
            digest.update(name.encode() + path.read_bytes())
        return digest.hexdigest()

    def documents(self, split: str) -> Iterator[str]:
        if self.missing:
            made = synthetic_text(split)
            return (
                made
                if self.code is None
                else (control_codes.Coded(text, "synthetic") for text in made)
            )
        wanted = split == "valid"
        chosen = (pair for pair in self.texts.items() if self.is_held_out(pair[0]) == wanted)
        if self.code is None:
            return (text for _, text in chosen)
        large = packages(self.texts)
        return (control_codes.Coded(text, kind(name, large)) for name, text in chosen)

    def notes(self, stats: ReadStats, found: Survey) -> dict:
        return {"synthetic_text": self.missing or None}


@dataclasses.dataclass(kw_only=True)
class StdlibCode(StandardLibrary):
    """Source code of the standard library, one document per module; about 7 MB of Python."""

    def document(self, source: str) -> str:
        return source


@dataclasses.dataclass(kw_only=True)
class StdlibDocs(StandardLibrary):
    """Documentation of the standard library: about 1.6 MB of English.

    Docstrings and long comments, one document per module, and the topics of pydoc; without
    doctests, literal blocks and tables.
    """

    def document(self, source: str) -> str:
        try:
            nodes = list(ast.walk(ast.parse(source)))
        except (SyntaxError, ValueError):
            return ""  # a few files of the library are templates, not Python
        prose = [clean(part) for part in doc_strings(nodes) + comments(source, nodes)]
        text = "\n\n".join(part for part in dict.fromkeys(prose) if part)
        return text if len(text) >= MIN_PROSE else ""

    def extra(self) -> dict[str, str]:
        return {f"topic:{name}": clean(text) for name, text in topics().items()}

    def is_held_out(self, name: str) -> bool:
        kind, _, topic = name.partition("topic:")
        return topic in HELD_OUT_TOPICS if topic else super().is_held_out(kind)


def packages(names: Iterable[str]) -> frozenset[str]:
    """Packages with LARGE_PACKAGE documents or more."""
    count = Counter(name.split(".")[0] for name in names if ":" not in name)
    return frozenset(name for name, number in count.items() if number >= LARGE_PACKAGE)


def kind(name: str, large: frozenset[str]) -> str:
    """Control code of a document: its package if that is large, else "module" or "topic"."""
    package = name.split(".")[0]
    return "topic" if ":" in name else package if package in large else "module"


def folder() -> Path:
    """Folder of this Python's standard library."""
    return Path(sysconfig.get_path("stdlib"))


def modules() -> dict[str, Path]:
    """Module names and files, sorted, without the EXCLUDED packages and the tests."""
    root = folder()
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        machine = parts[0].startswith(("_sysconfigdata", "config-"))
        tests = {"test", "tests", "__pycache__"}.intersection(parts)
        if parts[0] not in EXCLUDED and not machine and not tests:
            found[".".join(parts)] = path
    return found


def doc_strings(nodes: list[ast.AST]) -> list[str]:
    """Docstrings of the module, its classes and functions, from the top down."""
    found = [
        ast.get_docstring(node)
        for node in nodes
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return [text for text in found if text]


def comments(source: str, nodes: list[ast.AST], least: int = 2) -> list[str]:
    """Runs of at least `least` comment lines, each as one text."""
    texts = [node for node in nodes if isinstance(node, ast.Constant | ast.JoinedStr)]
    quoted = {
        i for node in texts for i in range(node.lineno + 1, (node.end_lineno or node.lineno) + 1)
    }
    runs: list[list[str]] = [[]]
    for number, line in enumerate(source.split("\n"), 1):
        bare = line.lstrip()
        if bare.startswith("#") and number not in quoted:
            runs[-1].append(bare.lstrip("#"))
        elif runs[-1]:
            runs.append([])
    return [inspect.cleandoc("\n" + "\n".join(run)) for run in runs if len(run) >= least]


def topics() -> dict[str, str]:
    """Topics of Python's help(), sorted by name."""
    path = folder() / "pydoc_data" / "topics.py"
    if not path.is_file():
        return {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            return dict(sorted(ast.literal_eval(node.value).items()))
    return {}


def clean(text: str) -> str:
    """Prose of a docstring: paragraphs of words, without code, rules and tables."""
    kept, literal = [], None  # literal: indent of the paragraph that a literal block follows
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
    """Lines of a paragraph that are prose; none if most of it is not."""
    stop = next((i for i, line in enumerate(lines) if line.lstrip().startswith(">>>")), len(lines))
    lines = [line for line in lines[:stop] if not _RULE.match(line)]
    if sum(bool(_TABLE.search(line)) for line in lines) * 2 > len(lines):
        return []
    joined = " ".join(lines)
    letters = sum(map(len, _WORD.findall(joined)))
    return lines if letters > 0.55 * len(joined.replace(" ", "")) and letters > 10 else []


_NAMES = "The teacher|A child|The old captain|My sister|The gardener|Every student|A tired clerk"
_VERBS = "found|carried|described|painted|forgot|repaired|admired|measured|sold|hid"
_THINGS = "letter|lantern|map|clock|bridge|violin|garden gate|basket|window|boat|drawing|coat"
_KINDS = "small|broken|green|very old|heavy|beautiful|strange|wooden|forgotten|bright"
_PLACES = "by the river|in the attic|before noon|without a word|in the city|after the storm"
_ENDS = "and went home|but nobody noticed|because it was late|and began to sing|as always"


def synthetic_text(split: str, documents: int = 400, sentences: int = 30) -> Iterator[str]:
    """English text of a small grammar: documents of a split, the same on every machine.

    documents: of the train split; the valid split has a tenth as many
    """
    lists = [text.split("|") for text in (_NAMES, _VERBS, _KINDS, _THINGS, _PLACES, _ENDS)]
    rng = np.random.default_rng([7, split == "valid"])
    for _ in range(documents // 10 if split == "valid" else documents):
        picks = [rng.integers(0, len(words), sentences) for words in lists]
        said = [[words[i] for i in pick] for words, pick in zip(lists, picks, strict=True)]
        yield " ".join(
            f"{who} {did} the {kind} {thing} {where} {end}."
            for who, did, kind, thing, where, end in zip(*said, strict=True)
        )
