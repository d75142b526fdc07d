"""The text on every machine that runs Python: its standard library, read and never imported."""

import dataclasses
import hashlib
import sysconfig
import warnings
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal

from fxformer.data import control_codes, synthetic_text
from fxformer.data.corpus_text import TextCorpus
from fxformer.data.progress import Slow

# Held out by name, not by a random draw: lines of one module resemble each other, and which modules
# a distribution ships varies.
HELD_OUT = frozenset(
    "argparse textwrap statistics heapq imaplib pathlib json queue fractions shelve sched difflib "
    "html gettext zipfile mailbox".split()
)

# Not on every machine, not in every version, not prose, or not the library itself.
LEFT_OUT = frozenset(
    "idlelib tkinter turtle turtledemo lib2to3 distutils ensurepip _pydecimal "
    "site-packages dist-packages __phello__ pydoc_data venv "
    "aifc asynchat asyncore audioop cgi cgitb chunk crypt imghdr imp mailcap msilib nntplib pipes "
    "smtpd sndhdr sunau telnetlib uu xdrlib antigravity this".split()
)

LARGE = 10  # documents of a package that has a control code of its own
LEAST = 500_000  # bytes of text; with fewer something is missing from this Python


@dataclasses.dataclass(kw_only=True)
class StandardLibrary(TextCorpus):
    """Documents by module; a subclass takes what it wants of a module's source.

    code: "module" takes as control codes the large packages (asyncio, email …), "module" for all
        other modules, and "topic" for what is no module

    Where there is too little of it (a Python without sources), made-up text takes its place, and
    the facts of the corpus say so under "generated".
    """

    code: Literal["module"] | None = None

    @abstractmethod
    def document(self, source: str) -> str:
        """The document a module yields; "" for none."""

    def extra(self) -> dict[str, str]:
        """Further documents by name, and whether they are held out."""
        return {}

    def held_out(self, name: str) -> bool:
        """Whether a document is of the valid split."""
        return name.split(".")[0] in HELD_OUT

    @cached_property
    def texts(self) -> dict[str, str]:
        """All documents by name; read once."""
        texts = {}
        with Slow("Reading the standard library", "modules") as work:
            for name, path in modules().items():
                # Latin-1 sources exist in the library; their few characters are left out.
                text = self.document(path.read_text(encoding="utf-8", errors="ignore"))
                if text.strip():
                    texts[name] = text
                work.advance(1)
        return texts | self.extra()

    @cached_property
    def missing(self) -> str:
        """Why made-up text is used; "" where it is not."""
        size = sum(len(text) for text in self.texts.values())
        if size >= LEAST:
            return ""
        why = (
            f"{size} bytes of text in the standard library at {folder()}, less than {LEAST}: "
            "this Python comes without its sources; generated text is used instead"
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
            made = synthetic_text.documents(split)
            return (
                made
                if self.code is None
                else (control_codes.Coded(text, "generated") for text in made)
            )
        wanted = split == "valid"
        chosen = (pair for pair in self.texts.items() if self.held_out(pair[0]) == wanted)
        if self.code is None:
            return (text for _, text in chosen)
        large = packages(self.texts)
        return (control_codes.Coded(text, kind(name, large)) for name, text in chosen)

    def notes(self) -> dict:
        return {"generated": self.missing or None}


def packages(names: Iterable[str]) -> frozenset[str]:
    """The packages with LARGE documents or more."""
    count = Counter(name.split(".")[0] for name in names if ":" not in name)
    return frozenset(name for name, number in count.items() if number >= LARGE)


def kind(name: str, large: frozenset[str]) -> str:
    """The control code of a document: its package if that is large, or what it is."""
    package = name.split(".")[0]
    return "topic" if ":" in name else package if package in large else "module"


def folder() -> Path:
    """Where this Python keeps its library."""
    return Path(sysconfig.get_path("stdlib"))


def modules() -> dict[str, Path]:
    """Module names and files, sorted; packages that may be absent elsewhere left out."""
    root = folder()
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        machine = parts[0].startswith(("_sysconfigdata", "config-"))
        tests = {"test", "tests", "__pycache__"}.intersection(parts)
        if parts[0] not in LEFT_OUT and not machine and not tests:
            found[".".join(parts)] = path
    return found
