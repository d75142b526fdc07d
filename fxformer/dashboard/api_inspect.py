"""What models look at and answer, for the page: texts typed or held out, at any checkpoint."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fxformer.dashboard.run_index import Shelf
from fxformer.errors import UserError
from fxformer.track.redact import Redactor
from fxformer.track.run_reader import StoredRun

Params = Mapping[str, str]
LARGEST = 64_000_000  # bytes of weights in a file


@functools.cache
def _kept():
    """The loaded runs of this process; made late, for it is what needs jax."""
    from fxformer.inference.model_cache import RunCache

    return RunCache()


def checkpoints(shelf: Shelf, params: Params) -> dict[str, Any]:
    """{"runs": [{"key", "id", "architecture", "steps"}]} of runs that kept any, newest first."""
    found = []
    for key, run in reversed(shelf.runs().items()):
        steps = _steps(run)
        if steps:
            kind = run.facts.get("architecture") or _architecture(run)
            found.append({"key": key, "id": run.id, "architecture": kind, "steps": steps})
    return {"runs": found}


def _architecture(run: StoredRun) -> str | None:
    """That of an imported run, which has not noted it: seq2seq, or another."""
    try:
        network = run.config["model"]["network"]["_target_"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return "seq2seq" if str(network).endswith(".Seq2Seq") else None


def _steps(run: StoredRun) -> list[int]:
    """Checkpoint steps, as model_cache.checkpoint_steps, without importing JAX."""
    folder = run.folder / "checkpoints"
    if not folder.is_dir():
        return []
    names = (path.name for path in folder.iterdir())
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def texts(shelf: Shelf, params: Params) -> dict[str, Any]:
    """Held-out texts of a run to choose from: {"texts": [{"number", "text"}], "why": "" or why
    there are none}. Typed text needs none of them."""
    from fxformer.inference.decoding.samples import readable_text

    run = shelf.run(params.get("run", ""))
    try:
        batch = _kept().held_out(run)
    except UserError as error:
        return {"texts": [], "why": Redactor(run.config).text(str(error))}
    tokenizer = _kept().open(run).tokenizer
    rows = batch.tokens
    if batch.source is not None:
        rows, tokenizer = batch.source, tokenizer.of_source
    return {
        "texts": [
            {"number": n, "text": readable_text(row, tokenizer)} for n, row in enumerate(rows)
        ],
        "why": "",
    }


def attention(shelf: Shelf, params: Params) -> dict[str, Any]:
    """The attention of a text; see inspect.attention.payload.

    run, step; example: number of a held-out text, or text, and target for a seq2seq model; spoil:
    "1" where the objective is to spoil the text first
    """
    from fxformer.inference import text_input
    from fxformer.inspect.attention import payload

    loaded, example = _opened(shelf, params)
    if example is None and params.get("spoil"):
        example = text_input.corrupted_input(
            loaded, params.get("text", ""), _whole(params, "seed") or 0
        )
    text = example or text_input.plain_input(
        loaded, params.get("text", ""), params.get("target", "")
    )
    return payload(loaded, text)


def samples(shelf: Shelf, params: Params) -> dict[str, Any]:
    """Predictions for a text; see inspect.predictions.payload. Parameters as of `attention`."""
    from fxformer.inference import text_input
    from fxformer.inspect.predictions import payload

    loaded, example = _opened(shelf, params)
    seed = _whole(params, "seed") or 0
    return payload(
        loaded, example or text_input.prediction_input(loaded, params.get("text", ""), seed)
    )


def _opened(shelf: Shelf, params: Params):
    """The model that is asked, and the held-out text, if it is one."""
    from fxformer.inference import text_input

    run, kept = shelf.run(params.get("run", "")), _kept()
    loaded = kept.open(run, _whole(params, "step"))
    number = _whole(params, "example")
    return loaded, None if number is None else text_input.held_out_input(kept.held_out(run), number)


def _whole(params: Params, name: str) -> int | None:
    """A parameter that is a whole number, None where it is not given."""
    value = params.get(name)
    if value in (None, ""):
        return None
    if not value.isdigit():
        raise UserError(f"{name} is a whole number, got {value!r}")
    return int(value)


@dataclasses.dataclass(frozen=True)
class Look:
    """A text that a report shows: of which run (its key), at which steps, and what is asked."""

    run: str
    steps: tuple[int, ...]
    asked: Mapping[str, str]  # example, or text, target and spoil; see `attention`


def steps(run: StoredRun, words: str) -> tuple[int, ...]:
    """The checkpoints that "last", "all" or "100,200" mean. UserError where there is no such."""
    from fxformer.inference.model_cache import resolve_step

    if words in ("last", "all"):
        last = resolve_step(run, None)
        return (last,) if words == "last" else tuple(_steps(run))
    parts = words.split(",")
    if not all(part.strip().isdigit() for part in parts):
        raise UserError(f"--checkpoint is a step, several with commas, all or last, not {words!r}")
    return tuple(resolve_step(run, int(part)) for part in parts)


def looks(shelf: Shelf, params: Params) -> list[dict[str, Any]]:
    """The texts that are there to look at without asking for more: none, in a page that is live."""
    return []


def questions(shelf: Shelf) -> Iterable[tuple[str, dict[str, str]]]:
    """What every report holds of this."""
    yield "checkpoints", {}


def answers(shelf: Shelf, chosen: Sequence[Look]) -> dict[str, Any]:
    """{question: answer} of the texts that a report is to show. UserError where they are too much
    for one file."""
    from fxformer.dashboard.report import spelled

    given: dict[str, Any] = {"looks": [dataclasses.asdict(look) for look in chosen]}
    size = 0
    for look in chosen:
        for step in look.steps:
            params = {"run": look.run, "step": str(step), **look.asked}
            seen = attention(shelf, params)
            size += sum(len(one["weights"]) for one in seen["kinds"])
            if size > LARGEST:
                raise UserError(
                    f"the weights alone are more than {LARGEST // 1_000_000} MB: choose fewer "
                    "checkpoints, or shorter texts"
                )
            given[spelled("attention", params)] = seen
            given[spelled("samples", params)] = _or_why(shelf, params)
    return given


def _or_why(shelf: Shelf, params: Params) -> dict[str, Any]:
    """`samples`, or why there are none: a head that gives words no probability."""
    try:
        return samples(shelf, params)
    except UserError as error:
        return {"kind": "nothing", "note": str(error)}
