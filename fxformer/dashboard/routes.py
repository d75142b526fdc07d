"""Which function answers what the page asks for, and what a report must hold of it.

An answer is a pure function (shelf, parameters as text) -> plain values for JSON. What it cannot do
is a UserError, whose words the page shows.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fxformer.dashboard import (
    api_energy,
    api_inspect,
    api_runs,
    api_searches,
    comparisons,
    configs,
    curves,
    managing,
    notes,
)
from fxformer.dashboard.run_index import Shelf
from fxformer.track.redact import Redactor

Params = Mapping[str, str]
Question = tuple[str, dict[str, str]]  # a path and its parameters

ANSWERS: dict[str, Callable[[Shelf, Params], Any]] = {
    "pulse": api_runs.pulse,
    "runs": api_runs.runs,
    "run": api_runs.run,
    "configs": configs.configs,
    "config": configs.config,
    "curves": curves.curves,
    "curve": curves.curve,
    "yardstick": comparisons.yardstick,
    "energy": api_energy.energy,
    "progress": api_energy.progress,
    "course": api_energy.course,
    "tenths": api_energy.tenths,
    "regions": api_energy.regions,
    "searches": api_searches.searches,
    "search": api_searches.search,
    "mattered": api_searches.mattered,
    "views": managing.views,
    "checkpoints": api_inspect.checkpoints,
    "looks": api_inspect.looks,
    "texts": api_inspect.texts,
    "attention": api_inspect.attention,
    "samples": api_inspect.samples,
}

# What the page may change, by POST from itself.
CHANGES: dict[str, Callable[[Shelf, Mapping[str, Any]], Any]] = {
    "notes": notes.write,
    "mark": managing.mark,
    "delete": managing.delete,
    "restore": managing.restore,
    "views": managing.save_view,
}

# What a report asks for when it is written: all that its page can ask for later.
EMBEDDED: tuple[Callable[[Shelf], Iterable[Question]], ...] = (
    managing.questions,
    api_runs.questions,
    curves.questions,
    comparisons.questions,
    api_energy.questions,
    api_searches.questions,
    api_inspect.questions,
)


def answer(shelf: Shelf, path: str, params: Params) -> Any:
    """The answer to `path`, without secrets. KeyError where there is no such path, UserError as
    above."""
    return clean(shelf, ANSWERS[path](shelf, params))


def change(shelf: Shelf, path: str, given: Mapping[str, Any]) -> Any:
    """Make the change `path`; errors as of `answer`."""
    return clean(shelf, CHANGES[path](shelf, given))


def clean(shelf: Shelf, value: Any) -> Any:
    """An answer with all of its text redacted. The keys of runs stay as they are where the page
    asks for runs by them: not in a report, whose questions are redacted alike."""
    return Redactor().texts(value, keep=shelf.known_keys(), skip=("weights",))
