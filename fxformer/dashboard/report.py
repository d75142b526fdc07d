"""`fxformer report`: the dashboard with all its answers in one HTML file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fxformer import jsonl
from fxformer.dashboard import api_inspect, document
from fxformer.dashboard.routes import EMBEDDED_REQUESTS, answer, redact
from fxformer.dashboard.run_index import RunIndex
from fxformer.errors import UserError


def write(
    index: RunIndex,
    path: str | Path,
    texts: Sequence[api_inspect.EmbeddedText] = (),
    first: str = "",
) -> int:
    """Write the report to `path`; returns how many bytes it is. UserError without any run.

    texts: texts whose attention and predictions are embedded; their models are loaded
    first: name of the view that it opens with
    """
    if not index.runs():
        raise UserError(f"no runs in {index.root}/ to report on; start one with `fxformer train`")
    html = document.self_contained(embedded_answers(index, texts), first)
    jsonl.replace(path, html)
    return len(html.encode())


def embedded_answers(
    index: RunIndex, texts: Sequence[api_inspect.EmbeddedText] = ()
) -> dict[str, Any]:
    """{request key: answer} for every request of the page."""
    index.redact_keys = True
    given = redact(index, api_inspect.embedded_answers(index, texts))
    for embedded_requests in EMBEDDED_REQUESTS:
        for path, params in embedded_requests(index):
            given[document.request_key(path, redact(index, params))] = answer(index, path, params)
    return given
