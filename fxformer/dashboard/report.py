"""`fxformer report`: the page and all its answers in one file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fxformer import jsonl
from fxformer.dashboard import api_inspect, document
from fxformer.dashboard.routes import EMBEDDED, answer, clean
from fxformer.dashboard.run_index import Shelf
from fxformer.errors import UserError


def write(
    shelf: Shelf, path: str | Path, looks: Sequence[api_inspect.Look] = (), first: str = ""
) -> int:
    """Write the report to `path`; returns how many bytes it is. UserError without any run.

    looks: texts whose attention and answers it shows besides, which runs are opened for
    first: the view that it opens with
    """
    if not shelf.runs():
        raise UserError(f"no runs in {shelf.root}/ to report on; `fxformer train` makes one")
    html = document.self_contained(answers(shelf, looks), first)
    jsonl.replace(path, html)
    return len(html.encode())


def answers(shelf: Shelf, looks: Sequence[api_inspect.Look] = ()) -> dict[str, Any]:
    """{question: answer} for all that the page can ask a report for."""
    shelf.secret_keys = True
    given = clean(shelf, api_inspect.answers(shelf, looks))
    for questions in EMBEDDED:
        for path, params in questions(shelf):
            given[spelled(path, clean(shelf, params))] = answer(shelf, path, params)
    return given


def spelled(path: str, params: dict[str, str]) -> str:
    """A question as text, as api.js spells it too: parameters by name, encoded like a form."""
    form = urlencode(sorted(params.items()), safe="*").replace("~", "%7E")  # as browsers do
    return path + ("?" + form if params else "")
