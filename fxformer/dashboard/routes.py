"""API routes of the dashboard, and the requests that a report embeds.

A GET route is a pure function (index, parameters as text) -> plain values for JSON. It raises
UserError for a request that cannot be answered; the page shows the message.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fxformer.dashboard import (
    api_energy,
    api_inspect,
    api_playground,
    api_runs,
    api_searches,
    bias_audits,
    claim_results,
    comparisons,
    configs,
    curves,
    managing,
    notes,
)
from fxformer.dashboard.run_index import RunIndex
from fxformer.track.redact import Redactor

Params = Mapping[str, str]
Request = tuple[str, dict[str, str]]  # path and parameters

GET_ROUTES: dict[str, Callable[[RunIndex, Params], Any]] = {
    "revisions": api_runs.revisions,
    "runs": api_runs.runs,
    "run": api_runs.run,
    "configs": configs.configs,
    "config": configs.config,
    "curves": curves.curves,
    "curve": curves.curve,
    "comparisons": comparisons.comparisons,
    "bias_audits": bias_audits.bias_audits,
    "claim_results": claim_results.claim_results,
    "energy": api_energy.energy,
    "progress": api_energy.progress,
    "cumulative": api_energy.cumulative,
    "cost_per_nat": api_energy.cost_per_nat,
    "regions": api_energy.regions,
    "searches": api_searches.searches,
    "search": api_searches.search,
    "importance": api_searches.importance,
    "views": managing.views,
    "checkpoints": api_inspect.checkpoints,
    "embedded_texts": api_inspect.embedded_texts,
    "texts": api_inspect.texts,
    "attention": api_inspect.attention,
    "reading": api_inspect.reading,
    "flow": api_inspect.flow,
    "queries_keys": api_inspect.queries_keys,
    "samples": api_inspect.samples,
    "models": api_playground.models,
    "tasks": api_playground.tasks,
}

# Changes, by POST from the page itself.
POST_ROUTES: dict[str, Callable[[RunIndex, Mapping[str, Any]], Any]] = {
    "notes": notes.write,
    "mark": managing.mark,
    "delete": managing.delete,
    "restore": managing.restore,
    "views": managing.save_view,
}

# Answers in pieces, by POST from the page itself: (index, body, send) sends each event.
Send = Callable[[Any], None]
STREAM_ROUTES: dict[str, Callable[[RunIndex, Mapping[str, Any], Send], None]] = {
    "answer": api_playground.answer,
}

# The requests that the page of a report can make; their answers are embedded.
EMBEDDED_REQUESTS: tuple[Callable[[RunIndex], Iterable[Request]], ...] = (
    managing.embedded_requests,
    api_runs.embedded_requests,
    curves.embedded_requests,
    comparisons.embedded_requests,
    bias_audits.embedded_requests,
    claim_results.embedded_requests,
    api_energy.embedded_requests,
    api_searches.embedded_requests,
    api_inspect.embedded_requests,
)


def answer(index: RunIndex, path: str, params: Params) -> Any:
    """The answer to a GET request, secrets redacted. KeyError for an unknown path, UserError as
    above."""
    return redact(index, GET_ROUTES[path](index, params))


def change(index: RunIndex, path: str, given: Mapping[str, Any]) -> Any:
    """Apply a POST request; errors as for `answer`."""
    return redact(index, POST_ROUTES[path](index, given))


def stream(index: RunIndex, path: str, given: Mapping[str, Any], send: Send) -> None:
    """Send each event of a POST request, its text redacted; errors as for `answer`."""
    redactor, keys = Redactor(), index.run_keys()
    STREAM_ROUTES[path](index, given, lambda event: send(redactor.texts(event, keep=keys)))


def redact(index: RunIndex, value: Any) -> Any:
    """An answer with all of its text redacted. Keys of runs are kept where the page requests runs
    by them; not in a report, whose requests are redacted likewise."""
    return Redactor().texts(value, keep=index.run_keys(), skip=("weights", "pdf"))
