"""`fxformer.pipeline`: the pipeline of a task by its name, as in transformers."""

import importlib
from pathlib import Path
from typing import Any

from jax.typing import DTypeLike

from fxformer.config.type_check import nearest
from fxformer.errors import UserError
from fxformer.inference.load import load
from fxformer.inference.model import Model
from fxformer.inference.pipelines.base import Pipeline
from fxformer.inference.pipelines.cost import open_meter
from fxformer.inference.pipelines.languages import TASK
from fxformer.inference.pipelines.names import ALIASES, TASKS


def pipeline(
    task: str,
    model: str | Path | Model,
    *,
    step: int | None = None,
    dtype: DTypeLike | None = None,
    runs: str | Path = "runs",
    energy: bool = False,
    **options: Any,
) -> Pipeline:
    """The pipeline of a task with a model; call it with a text, or with a list of texts.

    task: a name of `names.TASKS`, or sentiment-analysis, ner, translation_XX_to_YY
    model: what `fxformer.load` takes, with `step`, `dtype` and `runs`; or a loaded Model
    energy: count the joules of answers (`Pipeline.answers` gives them)
    options: of the task, for all calls
    Raises UserError for an unknown task or option, and if the model cannot do the task.
    """
    kind = task_class(task)
    loaded = model if isinstance(model, Model) else load(model, step, dtype=dtype, runs=runs)
    name = ALIASES.get(task, task)
    return kind(loaded, name=name, meter=open_meter() if energy else None, **options)


def task_class(task: str) -> type[Pipeline]:
    """The Pipeline class of a task. UserError, naming the nearest, if there is none."""
    name = "translation" if TASK.fullmatch(task) else ALIASES.get(task, task)
    if name not in TASKS:
        known = [*TASKS, *ALIASES, "translation_XX_to_YY"]
        raise UserError(f"no task {task!r}{nearest(task, known)}; there are {', '.join(known)}")
    module, _, cls = TASKS[name].partition(":")
    found = importlib.import_module(f"fxformer.inference.pipelines.{module}")
    return getattr(found, cls)
