"""API of attention and predictions of a model for a text, typed or held out, at a checkpoint."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fxformer.dashboard.document import request_key
from fxformer.dashboard.run_index import RunIndex
from fxformer.errors import UserError
from fxformer.track.redact import Redactor
from fxformer.track.run_reader import StoredRun

Params = Mapping[str, str]
MAX_BYTES = 64_000_000  # of attention weights, queries and keys in a report
NO_FLOW = "This file has no attention flow: write it with fxformer attention --flow."


@functools.cache
def models():
    """The cache of loaded models of this process; imported late, because it imports JAX."""
    from fxformer.inference.model_cache import RunCache

    return RunCache()


def checkpoints(index: RunIndex, params: Params) -> dict[str, Any]:
    """{"runs": [{"key", "id", "architecture", "steps"}]} of runs with checkpoints, newest first."""
    found = []
    for key, run in reversed(index.runs().items()):
        steps = _steps(run)
        if steps:
            kind = run.facts.get("architecture") or _architecture(run)
            found.append({"key": key, "id": run.id, "architecture": kind, "steps": steps})
    return {"runs": found}


def _architecture(run: StoredRun) -> str | None:
    """The architecture of an imported run, which does not record it: "seq2seq" or None."""
    try:
        network = run.config["model"]["network"]["_target_"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return "seq2seq" if str(network).endswith(".Seq2Seq") else None


def _steps(run: StoredRun) -> list[int]:
    """Checkpoint steps, as model_cache.checkpoint_steps but without importing JAX."""
    folder = run.folder / "checkpoints"
    if not folder.is_dir():
        return []
    names = (path.name for path in folder.iterdir())
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def texts(index: RunIndex, params: Params) -> dict[str, Any]:
    """Held-out texts of a run: {"texts": [{"number", "text"}], "why": "" or why there are none}."""
    from fxformer.inference.decoding.samples import readable_text

    run = index.run(params.get("run", ""))
    try:
        batch = models().held_out(run)
    except UserError as error:
        return {"texts": [], "why": Redactor(run.config).text(str(error))}
    tokenizer = models().open(run).tokenizer
    rows = batch.tokens
    if batch.source is not None:
        rows, tokenizer = batch.source, tokenizer.of_source
    return {
        "texts": [
            {"number": n, "text": readable_text(row, tokenizer)} for n, row in enumerate(rows)
        ],
        "why": "",
    }


def attention(index: RunIndex, params: Params) -> dict[str, Any]:
    """The attention weights for a text; see inspect.attention.payload.

    params: run, step; either example (number of a held-out text) or text; target (decoder input of
    a seq2seq model); corrupt ("1": corrupt the text by the objective first)
    """
    from fxformer.inspect.attention import payload

    return payload(*_attention_input(index, params))


def reading(index: RunIndex, params: Params) -> dict[str, Any]:
    """Rollout, logit lens and head gradients for a text; see inspect.reading.payload. Parameters as
    for `attention`."""
    from fxformer.inspect.reading import payload

    return payload(*_attention_input(index, params))


def flow(index: RunIndex, params: Params) -> dict[str, Any]:
    """Attention flow for a text. Parameters as for `attention`."""
    from fxformer.inspect.reading import flow_payload

    return flow_payload(*_attention_input(index, params))


def queries_keys(index: RunIndex, params: Params) -> dict[str, Any]:
    """Queries and keys of every head for a text. Parameters as for `attention`."""
    from fxformer.inspect.reading import products_payload

    return products_payload(*_attention_input(index, params))


def _attention_input(index: RunIndex, params: Params):
    """(the loaded model, the text as its input)."""
    from fxformer.inference import text_input

    loaded, example = _loaded(index, params)
    if example is None and params.get("corrupt"):
        seed = _int(params, "seed") or 0
        example = text_input.corrupted_input(loaded, params.get("text", ""), seed)
    target = params.get("target", "")
    return loaded, example or text_input.plain_input(loaded, params.get("text", ""), target)


def samples(index: RunIndex, params: Params) -> dict[str, Any]:
    """Predictions for a text; see inspect.predictions.payload. Parameters as for `attention`."""
    from fxformer.inference import text_input
    from fxformer.inspect.predictions import payload

    loaded, example = _loaded(index, params)
    seed = _int(params, "seed") or 0
    text = example or text_input.prediction_input(loaded, params.get("text", ""), seed)
    return payload(loaded, text)


def loaded_run(index: RunIndex, params: Params):
    """The LoadedRun that the parameters run and step name."""
    return models().open(index.run(params.get("run", "")), _int(params, "step"))


def _loaded(index: RunIndex, params: Params):
    """The loaded model, and the held-out text if the request names one."""
    from fxformer.inference import text_input

    loaded, number = loaded_run(index, params), _int(params, "example")
    if number is None:
        return loaded, None
    return loaded, text_input.held_out_input(models().held_out(loaded.run), number)


def _int(params: Params, name: str) -> int | None:
    """An int parameter, None where it is missing."""
    value = params.get(name)
    if value in (None, ""):
        return None
    if not value.isdigit():
        raise UserError(f"{name}: expected an int, got {value!r}")
    return int(value)


@dataclasses.dataclass(frozen=True)
class EmbeddedText:
    """A text embedded in a report.

    run: key of the run
    steps: checkpoints
    params: example, or text, target and corrupt; see `attention`
    flow: whether attention flow is computed
    """

    run: str
    steps: tuple[int, ...]
    params: Mapping[str, str]
    flow: bool = False


def steps(run: StoredRun, which: str) -> tuple[int, ...]:
    """Checkpoint steps by "last", "all" or "100,200". UserError for a missing one."""
    from fxformer.inference.model_cache import resolve_step

    if which in ("last", "all"):
        last = resolve_step(run, None)
        return (last,) if which == "last" else tuple(_steps(run))
    parts = which.split(",")
    if not all(part.strip().isdigit() for part in parts):
        raise UserError(
            f"--checkpoint: expected a step, several with commas, all or last, got {which!r}"
        )
    return tuple(resolve_step(run, int(part)) for part in parts)


def embedded_texts(index: RunIndex, params: Params) -> list[dict[str, Any]]:
    """The texts embedded in a report; a live page has none."""
    return []


def embedded_requests(index: RunIndex) -> Iterable[tuple[str, dict[str, str]]]:
    """The requests whose answers every report embeds."""
    yield "checkpoints", {}


def embedded_answers(index: RunIndex, texts: Sequence[EmbeddedText]) -> dict[str, Any]:
    """{request key: answer} for the texts of a report. UserError where they exceed MAX_BYTES."""
    given: dict[str, Any] = {"embedded_texts": [dataclasses.asdict(text) for text in texts]}
    size = 0
    for text in texts:
        for step in text.steps:
            params = {"run": text.run, "step": str(step), **text.params}
            found = attention(index, params)
            pairs = _or_reason(queries_keys, index, params)
            size += sum(len(one["weights"]) for one in found["kinds"])
            size += sum(len(one[of]["weights"]) for one in pairs.get("kinds", ()) for of in "qk")
            if size > MAX_BYTES:
                raise UserError(
                    f"attention weights, queries and keys exceed {MAX_BYTES // 1_000_000} MB: "
                    "choose fewer checkpoints, or shorter texts"
                )
            given[request_key("attention", params)] = found
            given[request_key("queries_keys", params)] = pairs
            given[request_key("reading", params)] = reading(index, params)
            given[request_key("flow", params)] = (
                _or_reason(flow, index, params) if text.flow else {"why": NO_FLOW}
            )
            given[request_key("samples", params)] = _samples_or_reason(index, params)
    return given


def _or_reason(answer, index: RunIndex, params: Params) -> dict[str, Any]:
    """An answer, or {"why": why there is none}."""
    try:
        return answer(index, params)
    except UserError as error:
        return {"why": str(error)}


def _samples_or_reason(index: RunIndex, params: Params) -> dict[str, Any]:
    """`samples`, or why there are none, as for a head without token probabilities."""
    try:
        return samples(index, params)
    except UserError as error:
        return {"kind": "nothing", "note": str(error)}
