"""Answers of the playground: a task of a loaded model, with milliseconds, tokens/s and joules."""

import dataclasses
import functools
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fxformer.dashboard.playground_tasks import (
    PlaygroundTask,
    answer_table,
    language_options,
    mask_of,
    model_tasks,
)
from fxformer.energy.meter import Meter
from fxformer.errors import UserError
from fxformer.inference.compile_time import compile_seconds
from fxformer.inference.decoding.loop import limit_programs
from fxformer.inference.load import load, placed
from fxformer.inference.loaded_run import LoadedRun
from fxformer.inference.model import Model
from fxformer.inference.pipelines.base import check_text
from fxformer.inference.pipelines.cost import open_meter
from fxformer.inference.pipelines.generating import GeneratingPipeline
from fxformer.inference.pipelines.tasks import pipeline
from fxformer.inference.text_generation import Prompt, generate_rows
from fxformer.inference.token_text import encode_text

MAX_PROGRAMS = 64  # compiled for decoding, before all are dropped
MAX_TOKENS = 2048  # of a prompt, whatever the model could read
MAX_PASSES = 512  # of the score of an encoder, one for each token
MAX_NEW_TOKENS = 512  # where the model's files say more


class PlacedModels:
    """The last two models with their weights on the device, so that no step copies them."""

    def __init__(self):
        self._models: list[tuple[Any, Model]] = []
        self._lock = threading.Lock()

    def of(self, loaded: LoadedRun) -> Model:
        """The model of a loaded run."""
        return self._kept(lambda key: key is loaded.params, loaded.params,
                          lambda: placed(loaded.model))  # fmt: skip

    def of_folder(self, folder: Path) -> Model:
        """The model of a Hugging Face folder."""
        return self._kept(lambda key: isinstance(key, Path) and key == folder, folder,
                          lambda: load(folder))  # fmt: skip

    def _kept(self, is_it: Callable[[Any], bool], key: Any, make: Callable[[], Model]) -> Model:
        with self._lock:
            for known, model in self._models:
                if is_it(known):
                    return model
            self._models = [*self._models[-1:], (key, make())]
            return self._models[-1][1]


def described(model: Model) -> dict[str, Any]:
    """What a model can do; see `api_playground.tasks`."""
    found, reasons = model_tasks(model)
    first = "fill-mask" if model.architecture == "encoder" else "generate"
    return {
        "tasks": [dataclasses.asdict(one) for one in found],
        "architecture": model.architecture,
        "mask": mask_of(model),
        "max_tokens": min(model.max_tokens or MAX_TOKENS, MAX_TOKENS),
        "why": "" if found else reasons[first],
    }


@dataclasses.dataclass(frozen=True)
class Question:
    """What is asked of a model.

    second: what the task's second input holds: a target, a question, labels, a prefix, languages
    options: of decoding, fields of GenerationConfig
    """

    task: str
    text: str
    second: str = ""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def _task(model: Model, name: str) -> PlaygroundTask:
    """The task of a model. UserError for one that it cannot do, or that is none."""
    found, reasons = model_tasks(model)
    for one in found:
        if one.task == name:
            return one
    known = ", ".join(one.task for one in found)
    raise UserError(
        reasons.get(name) or f"the playground has no task {name!r} for {model.name}; it has {known}"
    )


def answer(model: Model, asked: Question, on_text: Callable[[str], None]) -> dict[str, Any]:
    """{"answer", "cost"} of a question.

    answer: of generation {"text", "tokens", "score", "ended"}: the generated text, its number of
        tokens, log-probability in nats (of beams divided by the length penalty), and whether it
        ended by itself; of other tasks {"note", "columns", "rows"}: a table
    cost: see `Stopwatch.cost`
    on_text: called with each piece of generated text; not with beams
    """
    task = _task(model, asked.task)
    if not task.second:  # it may be of the model beside this one
        asked = dataclasses.replace(asked, second="")
    _check_length(model, asked, task)
    meter = _meter()
    watch = Stopwatch(meter)
    with meter.phase("generate"):
        if task.generates:
            limit_programs(MAX_PROGRAMS)
            found = _generated(model, asked, watch, on_text)
        else:
            found = answer_table(model, asked.task, asked.text, asked.second)
    return {"answer": found, "cost": watch.cost(found.get("tokens"))}


def _check_length(model: Model, asked: Question, task: PlaygroundTask) -> None:
    """Raise UserError for texts of more tokens than the page computes."""
    encoder = asked.task == "score" and model.architecture == "encoder"
    most = MAX_PASSES if encoder else MAX_TOKENS
    tokenizer = None if model.tokenizer is None else model.tokenizer.of_source
    found = [(task.first, check_text(asked.text), tokenizer)]
    if task.second and asked.second.strip():
        found.append((task.second, check_text(asked.second, task.second), model.tokenizer))
    for name, text, one in found:
        count = 0 if one is None else len(encode_text(text, one))
        if count > most:
            raise UserError(
                f"{name}: {count:,} tokens; for this task the page takes at most {most:,}"
            )


def _generated(
    model: Model, asked: Question, watch: "Stopwatch", on_text: Callable[[str], None]
) -> dict[str, Any]:
    """The generated text, by default as long as the model's files say for the task."""

    def piece(number: int, text: str) -> None:
        watch.mark()
        on_text(text)

    bounds = {"max_length": None, "max_new_tokens": None, "num_return_sequences": 1}
    if asked.task == "generate":
        config = model.generation.replace(**{**bounds, **asked.options})
        texts, beams = [asked.second + asked.text], config.num_beams > 1
        (made,) = model.generate_records(
            texts, generation_config=config, on_text=None if beams else piece
        )
    else:
        options = language_options(asked.second) if asked.task == "translation" else {}
        asking = pipeline(asked.task, model, num_return_sequences=1, **options, **asked.options)
        assert isinstance(asking, GeneratingPipeline)
        row = asking.prepare(asked.text, asking.options).state
        config = asking.config(asking.options)
        config = config.replace(max_new_tokens=min(row.new, MAX_NEW_TOKENS), max_length=None)
        prompt, beams = Prompt(row.ids, row.new, 0), config.num_beams > 1
        ((made,),) = generate_rows(model, [prompt], config, on_text=None if beams else piece)
    ended = bool(len(made.ids)) and int(made.ids[-1]) in config.eos_ids
    return {"text": made.text, "tokens": len(made.ids), "score": made.score, "ended": ended}


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
