"""What models look at and answer, for the page: texts typed or held out, at any checkpoint."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from fxformer.dashboard.shelf import Shelf

Params = Mapping[str, str]


@functools.cache
def _kept():
    """The opened runs of this process; made late, for it is what needs jax."""
    from fxformer.look.keep import Kept

    return Kept()


def checkpoints(shelf: Shelf, params: Params) -> dict[str, Any]:
    """{"runs": [{"key", "id", "architecture", "steps"}]} of the runs that kept any, newest first."""
    found = []
    for key, run in reversed(shelf.runs().items()):
        steps = _steps(run)
        if steps:
            facts = run.facts
            kind = facts.get("architecture") or facts.get("imported", {}).get("architecture")
            found.append({"key": key, "id": run.id, "architecture": kind, "steps": steps})
    return {"runs": found, "looks": []}


def _steps(run) -> list[int]:
    """Steps of the checkpoints, as look.keep.steps_of, without importing what opens them."""
    folder = run.folder / "checkpoints"
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def texts(shelf: Shelf, params: Params) -> dict[str, Any]:
    """Held-out texts of a run to choose from: {"texts": [{"number", "text"}], "why": "" or why
    there are none}. Typed text needs none of them."""
    from fxformer.generate.samples import spelt

    run = shelf.run(params["run"])
    try:
        batch = _kept().held_out(run)
    except ValueError as error:
        return {"texts": [], "why": str(error)}
    tokenizer = _kept().open(run).tokenizer
    rows = batch.tokens if batch.source is None else batch.source
    return {
        "texts": [{"number": n, "text": spelt(row, tokenizer)} for n, row in enumerate(rows)],
        "why": "",
    }


def attention(shelf: Shelf, params: Params) -> dict[str, Any]:
    """The attention of a text; see look.attention.payload.

    run, step; example: number of a held-out text, or text, and target for a seq2seq model; spoil:
    "1" where the objective is to spoil the text first
    """
    from fxformer.look import texts as look
    from fxformer.look.attention import payload

    opened, example = _opened(shelf, params)
    if example is None and params.get("spoil"):
        example = look.spoilt(opened, params.get("text", ""), _whole(params, "seed") or 0)
    text = example or look.typed(opened, params.get("text", ""), params.get("target", ""))
    return payload(opened, text)


def samples(shelf: Shelf, params: Params) -> dict[str, Any]:
    """What the model answers to a text; see look.answers.payload. Parameters as of `attention`."""
    from fxformer.look import texts as look
    from fxformer.look.answers import payload

    opened, example = _opened(shelf, params)
    seed = _whole(params, "seed") or 0
    return payload(opened, example or look.asked(opened, params.get("text", ""), seed))


def _opened(shelf: Shelf, params: Params):
    """The model that is asked, and the held-out text, if it is one."""
    from fxformer.look import texts as look

    run, kept = shelf.run(params.get("run", "")), _kept()
    opened = kept.open(run, _whole(params, "step"))
    number = _whole(params, "example")
    return opened, None if number is None else look.chosen(kept.held_out(run), number)


def _whole(params: Params, name: str) -> int | None:
    """A parameter that is a whole number, None where it is not given."""
    value = params.get(name)
    if value in (None, ""):
        return None
    if not value.isdigit():
        raise ValueError(f"{name} is a whole number, got {value!r}")
    return int(value)


def questions(shelf: Shelf) -> Iterable[tuple[str, dict[str, str]]]:
    """What a report holds of this, unless it is told to look into a run: nothing but that."""
    yield "checkpoints", {}
