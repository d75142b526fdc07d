"""API of the playground: tasks of a model, and answers to prompts, sent as they are generated."""

import functools
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fxformer.config.type_check import nearest, type_problem
from fxformer.dashboard import api_inspect
from fxformer.dashboard.run_index import RunIndex
from fxformer.errors import UserError

Send = Callable[[dict[str, Any]], None]  # sends one event to the page

MAX_CHARACTERS = 20_000  # of each input
MAX_NEW_TOKENS = 512
MAX_BEAMS = 8  # and candidates of contrastive search, each of which has a row of the cache too
FOLDER = "folder:"  # begins the keys of models that the command line names
WAIT_SECONDS = 10.0  # for an answer that is being generated for somebody else
_FIELDS = {
    "run": str,
    "step": int | None,
    "task": str,
    "text": str,
    "second": str,
    "options": dict[str, Any],
}
# Decoding options of the page: fields of GenerationConfig, with the largest value where bounded.
OPTIONS: dict[str, int | None] = {
    "max_new_tokens": MAX_NEW_TOKENS,
    "do_sample": None,
    "temperature": None,
    "top_k": None,
    "penalty_alpha": None,
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


def models(index: RunIndex, params: Mapping[str, str]) -> dict[str, Any]:
    """{"runs": [{"key", "id", "architecture", "steps"}]} as of `api_inspect.checkpoints`, then the
    Hugging Face folders that the command line names, whose steps are []."""
    folders = [
        {"key": FOLDER + name, "id": name, "architecture": None, "steps": []}
        for name in index.model_folders
    ]
    return {"runs": [*api_inspect.checkpoints(index, params)["runs"], *folders]}


def tasks(index: RunIndex, params: Mapping[str, str]) -> dict[str, Any]:
    """{"tasks": [PlaygroundTask], "architecture", "mask", "max_tokens", "why"} of a model.

    params: run (a key of `models`), step
    tasks: see `playground_tasks.PlaygroundTask`
    mask: how a mask is written, None where it has none
    max_tokens: most tokens of a prompt
    why: "" or why there is no task
    """
    from fxformer.dashboard.playground import described

    if (folder := _folder(index, params.get("run", ""))) is not None:
        return described(_placed_models().of_folder(folder))
    return described(api_inspect.loaded_run(index, params).model)


def _folder(index: RunIndex, key: str) -> Path | None:
    """The folder of a key of `models`; None for that of a run. UserError for an unknown one."""
    if not key.startswith(FOLDER):
        return None
    if (name := key.removeprefix(FOLDER)) not in index.model_folders:
        raise UserError(f"the command line of this server names no model {name!r}")
    return index.model_folders[name]


def answer(index: RunIndex, given: Mapping[str, Any], send: Send) -> None:
    """Answer {"run", "step", "task", "text", "second", "options"}; one answer at a time.

    run: a key of `models`; second: text of the task's second input; options: see OPTIONS
    Sends {"piece": text} as text is generated, then {"answer": …, "cost": …}; see
    `playground.answer`. An exception of `send` ends the answer, but not beams, which send nothing
    before their end. UserError for a request that cannot be answered.
    """
    _check(given)
    if not _busy.acquire(timeout=WAIT_SECONDS):
        raise UserError("another answer is being generated on this server: try again after it")
    try:
        from fxformer.dashboard import playground

        folder = _folder(index, given["run"])
        if folder is not None:
            model = _placed_models().of_folder(folder)
        else:
            run, step = index.run(given["run"]), given.get("step")
            model = _placed_models().of(api_inspect.models().open(run, step))
        asked = playground.Question(
            given["task"], given["text"], given.get("second", ""), given.get("options", {})
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
    for name in ("text", "second"):
        if (length := len(given.get(name, ""))) > MAX_CHARACTERS:
            raise UserError(
                f"the {name} input has {length:,} characters; at most {MAX_CHARACTERS:,} are taken"
            )
    options = given.get("options", {})
    if options.get("penalty_alpha") and isinstance(options.get("top_k"), int):
        if options["top_k"] > MAX_BEAMS:
            raise UserError(
                f"top_k={options['top_k']}: the page takes at most {MAX_BEAMS} of these"
            )
    for name, value in options.items():
        if name not in OPTIONS:
            raise UserError(f"there is no option {name!r}{nearest(name, OPTIONS)}")
        most = OPTIONS[name]
        if most is not None and isinstance(value, int) and value > most:
            raise UserError(f"{name}={value}: the page takes at most {most}")
