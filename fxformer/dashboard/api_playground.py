"""API of the playground: tasks of a model, and answers to prompts, sent as they are generated."""

import functools
import threading
from collections.abc import Callable, Mapping
from typing import Any

from fxformer.config.type_check import nearest, type_problem
from fxformer.dashboard import api_inspect
from fxformer.dashboard.run_index import RunIndex
from fxformer.errors import UserError

Send = Callable[[dict[str, Any]], None]  # sends one event to the page

MAX_CHARACTERS = 20_000  # of a prompt, and of a target
MAX_NEW_TOKENS = 512
MAX_BEAMS = 8
WAIT_SECONDS = 10.0  # for an answer that is being generated for somebody else
_FIELDS = {
    "run": str,
    "step": int | None,
    "task": str,
    "text": str,
    "target": str,
    "options": dict[str, Any],
}
# Decoding options of the page: fields of GenerationConfig, with the largest value where bounded.
OPTIONS: dict[str, int | None] = {
    "max_new_tokens": MAX_NEW_TOKENS,
    "do_sample": None,
    "temperature": None,
    "top_k": None,
    "top_p": None,
    "num_beams": MAX_BEAMS,
    "length_penalty": None,
    "repetition_penalty": None,
    "seed": 2**32 - 1,
}
_busy = threading.Lock()


@functools.cache
def _placed_models():
    """The models of the last answers on the device; imported late, because it imports JAX."""
    from fxformer.dashboard.playground import PlacedModels

    return PlacedModels()


def tasks(index: RunIndex, params: Mapping[str, str]) -> dict[str, Any]:
    """{"tasks": [{"task", "label"}], "architecture", "mask", "max_tokens", "why"} of a model.

    params: run, step
    mask: how a mask is written, None where it has none
    max_tokens: most tokens of a prompt
    why: "" or why there is no task
    """
    from fxformer.dashboard.playground import model_tasks

    return model_tasks(api_inspect.loaded_run(index, params).model)


def answer(index: RunIndex, given: Mapping[str, Any], send: Send) -> None:
    """Answer {"run", "step", "task", "text", "target", "options"}; one answer at a time.

    target: text to score of an encoder-decoder; options: see OPTIONS
    Sends {"piece": text} as text is generated, then {"answer": …, "cost": …}; see
    `playground.answer`. An exception of `send` ends the answer, but not beams, which send nothing
    before their end. UserError for a request that cannot be answered.
    """
    _check(given)
    if not _busy.acquire(timeout=WAIT_SECONDS):
        raise UserError("another answer is being generated on this server: try again after it")
    try:
        from fxformer.dashboard import playground

        run, step = index.run(given["run"]), given.get("step")
        model = _placed_models().of(api_inspect.models().open(run, step))
        asked = playground.Question(
            given["task"], given["text"], given.get("target", ""), given.get("options", {})
        )
        send(playground.answer(model, asked, lambda piece: send({"piece": piece})))
    finally:
        _busy.release()


def _check(given: Mapping[str, Any]) -> None:
    """UserError for a request that is not well-formed or beyond the bounds."""
    for name, value in given.items():
        if name not in _FIELDS:
            raise UserError(f"unknown field {name!r}{nearest(name, _FIELDS)}")
        if problem := type_problem(value, _FIELDS[name]):
            raise UserError(f"{name}: {problem}")
    for name in ("run", "task", "text"):
        if not str(given.get(name, "")).strip():
            raise UserError({"text": "enter a text first"}.get(name, f"{name} is missing"))
    for name in ("text", "target"):
        if (length := len(given.get(name, ""))) > MAX_CHARACTERS:
            raise UserError(
                f"the {name} has {length:,} characters; the page takes at most {MAX_CHARACTERS:,}"
            )
    for name, value in given.get("options", {}).items():
        if name not in OPTIONS:
            raise UserError(f"there is no option {name!r}{nearest(name, OPTIONS)}")
        most = OPTIONS[name]
        if most is not None and isinstance(value, int) and value > most:
            raise UserError(f"{name}={value}: the page takes at most {most}")
