"""Answers of the playground: a task of a loaded model, with milliseconds, tokens/s and joules."""

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fxformer.energy.meter import Meter
from fxformer.errors import UserError
from fxformer.inference.compile_time import compile_seconds
from fxformer.inference.decoding.loop import limit_programs
from fxformer.inference.load import placed
from fxformer.inference.loaded_run import LoadedRun
from fxformer.inference.model import Model
from fxformer.inference.pipelines.base import check_text
from fxformer.inference.pipelines.cost import open_meter
from fxformer.inference.pipelines.mask_text import mask_name
from fxformer.inference.pipelines.tasks import pipeline

MAX_PROGRAMS = 64  # compiled for decoding, before all are dropped
MAX_TOKENS = 2048  # of a prompt, whatever the model could read
MAX_PASSES = 512  # of the score of an encoder, one for each token
SHOWN = 10  # candidates of a mask, classes
LABELS = {
    "fill-mask": "fill masks",
    "score": "score a text",
    "text-classification": "classify a text",
    "token-classification": "classify tokens",
}
GENERATE = {"decoder": "continue a text", "seq2seq": "generate from a source text"}
_GENERATORS = {"decoder": "text-generation", "seq2seq": "text2text-generation"}


class PlacedModels:
    """The last two models with their weights on the device, so that no step copies them."""

    def __init__(self):
        self._models: list[tuple[dict, Model]] = []

    def of(self, loaded: LoadedRun) -> Model:
        """The model of a loaded run."""
        for weights, model in self._models:
            if weights is loaded.params:
                return model
        self._models = [*self._models[-1:], (loaded.params, placed(loaded.model))]
        return self._models[-1][1]


def model_tasks(model: Model) -> dict[str, Any]:
    """Tasks that the architecture and the heads of a model allow; see `api_playground.tasks`."""
    found, reasons = [], {}
    for task in ("generate", *LABELS):
        try:
            _check_task(model, task)
        except UserError as error:
            reasons[task] = str(error)
            continue
        label = GENERATE[model.architecture] if task == "generate" else LABELS[task]
        found.append({"task": task, "label": label})
    first = "fill-mask" if model.architecture == "encoder" else "generate"
    mask = None
    if model.tokenizer is not None and model.vocabulary.of_source.mask is not None:
        source = model.architecture == "seq2seq"
        mask = mask_name(model.tokenizer.of_source if source else model.tokenizer)
    return {
        "tasks": found,
        "architecture": model.architecture,
        "mask": mask,
        "max_tokens": min(model.max_tokens or MAX_TOKENS, MAX_TOKENS),
        "why": "" if found else reasons[first],
    }


def _check_task(model: Model, task: str) -> None:
    """Raise UserError for a task that the model cannot do, or that is none."""
    if task == "generate":
        pipeline(_GENERATORS.get(model.architecture, "text-generation"), model)
    elif task == "score":
        model.check_head()
        if model.architecture == "encoder" and model.vocabulary.mask is None:
            raise UserError(f"{model.name} has no mask token, which the score of an encoder needs")
    elif task in LABELS:
        pipeline(task, model)
    else:
        known = ", ".join(("generate", *LABELS))
        raise UserError(f"the playground has no task {task!r}; it has {known}")


@dataclasses.dataclass(frozen=True)
class Question:
    """What is asked of a model.

    task: "generate" or one of LABELS
    target: text to score of an encoder-decoder
    options: of decoding, fields of GenerationConfig
    """

    task: str
    text: str
    target: str = ""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def answer(model: Model, asked: Question, on_text: Callable[[str], None]) -> dict[str, Any]:
    """{"answer", "cost"} of a question.

    answer: of generation {"text", "tokens", "score", "ended"}: the generated text, its number of
        tokens, log-probability in nats (of beams divided by the length penalty), and whether it
        ended by itself; of other tasks {"note", "columns", "rows"}: a table
    cost: see `Stopwatch.cost`
    on_text: called with each piece of generated text; not with beams
    """
    _check_task(model, asked.task)
    _check_length(model, asked)
    meter = _meter()
    watch = Stopwatch(meter)
    with meter.phase("generate"):
        if asked.task == "generate":
            limit_programs(MAX_PROGRAMS)
            found = _generated(model, asked, watch, on_text)
        else:
            found = _TABLES[asked.task](model, asked.text, asked.target)
    return {"answer": found, "cost": watch.cost(found.get("tokens"))}


def _check_length(model: Model, asked: Question) -> None:
    """Raise UserError for texts of more tokens than the page computes."""
    encoder = asked.task == "score" and model.architecture == "encoder"
    most = MAX_PASSES if encoder else MAX_TOKENS
    found = [("text", model.encode(check_text(asked.text)))]
    if model.architecture == "seq2seq" and asked.target.strip():
        found.append(("target", model.encode(check_text(asked.target, "target"), target=True)))
    for name, (ids,) in found:
        if len(ids) > most:
            raise UserError(
                f"the {name} has {len(ids):,} tokens; for this task the page takes at most {most:,}"
            )


def _generated(
    model: Model, asked: Question, watch: "Stopwatch", on_text: Callable[[str], None]
) -> dict[str, Any]:
    """The generated text; without max_new_tokens at most 64 tokens, or as many as fit."""

    def piece(number: int, text: str) -> None:
        watch.mark()
        on_text(text)

    bounds = {"max_length": None, "max_new_tokens": None, "num_return_sequences": 1}
    config = model.generation.replace(**{**bounds, **asked.options})
    beams = config.num_beams > 1
    (made,) = model.generate_records(
        [asked.text], generation_config=config, on_text=None if beams else piece
    )
    ended = bool(len(made.ids)) and int(made.ids[-1]) in config.eos_ids
    return {"text": made.text, "tokens": len(made.ids), "score": made.score, "ended": ended}


def _fill_mask(model: Model, text: str, target: str) -> dict[str, Any]:
    found = pipeline("fill-mask", model, top_k=SHOWN)(text)
    masks = found if found and isinstance(found[0], list) else [found]
    rows = [
        [number, one["token_str"], one["score"]]
        for number, some in enumerate(masks, 1)
        for one in some
    ]
    return {"note": "", "columns": ["mask", "token", "probability"], "rows": rows}


def _classes(model: Model, text: str, target: str) -> dict[str, Any]:
    found = pipeline("text-classification", model, top_k=SHOWN)(text)
    rows = [[one["label"], one["score"]] for one in found]
    return {"note": "", "columns": ["class", "score"], "rows": rows}


def _entities(model: Model, text: str, target: str) -> dict[str, Any]:
    found = pipeline("token-classification", model, aggregation_strategy="simple")(text)
    rows = [[one["word"], one["entity_group"], one["score"]] for one in found]
    note = "" if rows else "No token has a label other than O."
    return {"note": note, "columns": ["words", "label", "score"], "rows": rows}


def _scores(model: Model, text: str, target: str) -> dict[str, Any]:
    """log p of each token; of an encoder each masked alone, of an encoder-decoder those of the
    target."""
    if model.architecture == "seq2seq" and not target.strip():
        raise UserError("the score of an encoder-decoder needs a target text as well")
    targets = [target] if model.architecture == "seq2seq" else None
    (scores,) = model.token_scores([text], targets)
    if not len(scores.tokens):
        raise UserError("the text has no token to score: a decoder scores from the second token on")
    tokenizer = model.tokenizer
    assert tokenizer is not None  # as the text has been encoded
    rows = [
        [tokenizer.decode(np.array([token])) or tokenizer.name_of(int(token)), float(log_p)]
        for token, log_p in zip(scores.tokens, scores.log_probs, strict=True)
    ]
    mean = scores.total / len(rows)
    kind = "pseudo-log-likelihood" if model.architecture == "encoder" else "log-likelihood"
    note = f"{kind} {scores.total:.2f} nats over {len(rows)} tokens, {mean:.3f} each"
    return {"note": note, "columns": ["token", "log p (nats)"], "rows": rows}


_TABLES = {
    "fill-mask": _fill_mask,
    "score": _scores,
    "text-classification": _classes,
    "token-classification": _entities,
}


@functools.cache
def _meter() -> Meter:
    """The energy meter of this process."""
    return open_meter()


@dataclasses.dataclass
class Stopwatch:
    """Time and energy from now on.

    marks: when pieces of text came, by time.perf_counter()
    """

    meter: Meter
    marks: list[float] = dataclasses.field(default_factory=list)

    def __post_init__(self):
        self.joules, self.compiled = self._joules(), compile_seconds()
        self.began = time.perf_counter()

    def mark(self) -> None:
        """A piece of text has come."""
        self.marks.append(time.perf_counter())

    def _joules(self) -> dict[str, float]:
        """Joules so far by provenance."""
        found: dict[str, float] = {}
        for entry in self.meter.own().entries:
            found[entry.provenance] = found.get(entry.provenance, 0.0) + entry.joules
        return found

    def cost(self, tokens: int | None) -> dict[str, Any]:
        """Cost so far.

        milliseconds: all; first_milliseconds: until the first piece of text; None: in one piece
        compile_milliseconds: of compiling programs, included in both
        tokens_per_second: of generation
        joules: of this process {provenance: joules}
        """
        seconds, now = time.perf_counter() - self.began, self._joules()
        compiled = compile_seconds() - self.compiled
        used = {kind: joules - self.joules.get(kind, 0.0) for kind, joules in now.items()}
        return {
            "milliseconds": 1e3 * seconds,
            "first_milliseconds": 1e3 * (self.marks[0] - self.began) if self.marks else None,
            "compile_milliseconds": 1e3 * compiled,
            "tokens_per_second": None if tokens is None else tokens / max(seconds, 1e-9),
            "joules": {kind: joules for kind, joules in used.items() if joules > 0},
        }
