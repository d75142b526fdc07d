"""`fxformer report`: the page and all its answers in one file."""

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fxformer import jsonl
from fxformer.dashboard import document
from fxformer.dashboard.routes import EMBEDDED, answer
from fxformer.dashboard.shelf import Shelf


def write(shelf: Shelf, path: str | Path) -> int:
    """Write the report to `path`; returns how many bytes it is. ValueError without any run."""
    if not shelf.runs():
        raise ValueError(f"no runs in {shelf.root}/ to report on; `fxformer train` makes one")
    html = document.self_contained(answers(shelf))
    jsonl.replace(path, html)
    return len(html.encode())


def answers(shelf: Shelf) -> dict[str, Any]:
    """{question: answer} for all that the page can ask a report for."""
    given = {}
    for questions in EMBEDDED:
        for path, params in questions(shelf):
            given[spelled(path, params)] = answer(shelf, path, params)
    return given


def spelled(path: str, params: dict[str, str]) -> str:
    """A question as text, as api.js spells it too: parameters by name, encoded like a form."""
    return path + ("?" + urlencode(sorted(params.items())) if params else "")
