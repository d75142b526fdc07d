"""Model with a labelled task, ready to be evaluated: of a run, or of a Hugging Face folder."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from flax import nnx
from omegaconf import DictConfig, OmegaConf

from fxformer.config.build import build
from fxformer.config.options import composed, option
from fxformer.config.type_check import nearest
from fxformer.data.labelled.corpus import LabelledData
from fxformer.data.tokenizer import Tokenizer
from fxformer.errors import UserError
from fxformer.hf.published_model import load_model
from fxformer.inference.loaded_run import LoadedRun, corpus_of, load_run
from fxformer.inference.model_cache import resolve_step
from fxformer.inference.structure import position_lengths
from fxformer.metrics.tagging import detect_scheme
from fxformer.objective.base import Objective
from fxformer.objective.supervised_seq2seq import Seq2SeqLM
from fxformer.task.base import RowTask
from fxformer.task.corpus import RowCorpus
from fxformer.task.objective import TaskObjective
from fxformer.track.run_reader import StoredRun
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.precision import Precision
from fxformer.warmstart.checkpoint_source import (
    PublishedSource,
    RunSource,
    open_source,
    published_class_names,
)

TASK_OF_HEAD = {  # conf/task option by (head, problem type), for config.json
    ("classification", "regression"): "regression",
    ("classification", "multi_label_classification"): "multi_label",
    ("classification", None): "classification",
    ("token_classification", None): "token_classification",
    ("span", None): "question_answering",
    ("multiple_choice", None): "multiple_choice",
}
LENGTH = 512  # tokens of an input of a published model whose positions have no limit


@dataclasses.dataclass(frozen=True)
class TaskModel:
    """A model with the task that it answers.

    name, step: of the run (step None: of a published model)
    task: with the class names and the metrics
    corpus: reads and encodes rows for it
    tokenizer: of the model
    objective: abstract or not: for its `corrupt`
    graphdef, params: bind(graphdef, params) is the objective with weights
    precision: of its evaluation
    run: None: of a published model
    """

    name: str
    step: int | None
    task: RowTask
    corpus: RowCorpus
    tokenizer: Tokenizer
    objective: Objective
    graphdef: nnx.GraphDef
    params: dict
    precision: Precision
    run: StoredRun | None = None


def open_task_model(
    what: str | Path | LoadedRun,
    *,
    data: Mapping[str, Any],
    metrics: Sequence[str] = (),
    task: str | None = None,
    step: int | Literal["best"] | None = None,
    runs: str | Path = "runs",
) -> TaskModel:
    """The model of a run or of a Hugging Face folder with its task. See evaluate_task."""
    if isinstance(what, LoadedRun):
        return _of_run(what, data, metrics)
    source = open_source(str(what), str(runs))
    if isinstance(source, RunSource):
        return _of_run(load_run(source.run, step_of(source.run, step)), data, metrics)
    if step is not None:
        raise UserError(f"step={step}: {what} is a published model, which has no steps")
    return _published(cast(PublishedSource, source), task, data, metrics)


def step_of(run: StoredRun, step: int | Literal["best"] | None) -> int:
    """The step of a checkpoint: that of the best one, the given one, or the last one."""
    if step == "best":
        step = Checkpoints(run.folder / "checkpoints").best()
    return resolve_step(run, step)


def with_data(cfg: DictConfig, data: Mapping[str, Any]) -> DictConfig:
    """The config with other options of data=labelled. UserError for one that does not exist.

    Files, or a dataset, stand for all data that the config names.
    """
    made, shared = cfg.copy(), ("length", "batch", "separators")
    OmegaConf.set_struct(made, False)
    known = {field.name for field in dataclasses.fields(LabelledData)} | {"length", "batch"}
    if "files" in data or "path" in data:
        if not set(known) <= set(made.data):  # generated rows
            kept = {name: made.data[name] for name in shared}
            made.data = OmegaConf.merge(OmegaConf.create(option("data", "labelled")), kept)
        names = [name for name in known if name.endswith("files")]
        made.data.update(dict.fromkeys([*names, "path", "name", "revision", "split_column"]))
        made.data.update(test_share=0.0, train_rows=0)
    for name, value in data.items():
        if name not in known:
            raise UserError(f"data.{name} is no option of data=labelled{nearest(name, known)}")
        OmegaConf.update(made, f"data.{name}", value, merge=False)
    return made


def with_metrics(task: RowTask, names: Sequence[str]) -> RowTask:
    """The task with these options of conf/metric besides its own metrics; one that gives a number
    of the same name stands in the place of the task's own (squad_v2 for squad)."""
    more = [build(OmegaConf.create(option("metric", name))) for name in dict.fromkeys(names)]
    given = {name for one in more for name in one.names}
    own = [one for one in cast(Sequence[Any], task.metrics) if not given & set(one.names)]
    return dataclasses.replace(cast(Any, task), metrics=[*own, *more])


def _of_run(loaded: LoadedRun, data: Mapping[str, Any], metrics: Sequence[str]) -> TaskModel:
    if not loaded.cfg.get("task"):
        raise UserError(
            f"{loaded.run.id} was not trained on a labelled task, so it has no metrics of one; "
            "fine-tune it: fxformer train warm_start.from="
            f"{loaded.run.id} task=classification data.files=…"
        )
    cfg = with_data(loaded.cfg, data)
    task = with_metrics(build(cfg.task), metrics)
    corpus = cast(RowCorpus, corpus_of(cfg))
    return TaskModel(
        loaded.run.id,
        loaded.step,
        task,
        dataclasses.replace(corpus, task=task),
        loaded.tokenizer,
        loaded.objective,
        loaded.graphdef,
        loaded.params,
        build(cfg.precision),
        loaded.run,
    )


def _published(
    source: PublishedSource, task: str | None, data: Mapping[str, Any], metrics: Sequence[str]
) -> TaskModel:
    published, tokenizer = source.published, source.tokenizer()
    if tokenizer is None:
        raise UserError(f"{published.folder} has no tokenizer that can be read")
    module: Any = load_model(published)[0]
    chosen = task or _task_of(published.config, list(module.task_heads), published.folder)
    words = [f"model={published.family.model}", f"task={chosen}", "data.files=none"]
    cfg = with_data(composed("train", words), data)
    cfg.model = OmegaConf.create(source.resolved_model)
    names = _class_names(published.config, module, chosen)
    if names is not None:
        cfg.task.labels = names
    if chosen == "token_classification" and "label_scheme" not in data and names is not None:
        cfg.data.label_scheme = _scheme(names)
    made = with_metrics(build(cfg.task), metrics)
    longest = min(position_lengths(module), default=LENGTH)
    corpus = build(cfg.data)(tokenizer=None)
    length = data.get("length") or longest
    corpus = dataclasses.replace(corpus, task=made, length=length)
    objective = _objective(source, module, made, tokenizer)
    graphdef, state = nnx.split(objective)
    return TaskModel(
        published.folder.resolve().name,
        None,
        made,
        corpus,
        tokenizer,
        objective,
        graphdef,
        nnx.to_pure_dict(state),
        Precision(),
    )


def _objective(
    source: PublishedSource, module: Any, task: RowTask, tokenizer: Tokenizer
) -> Objective:
    """The objective of a task on a model that exists."""
    given: dict[str, Any] = {"vocabulary": tokenizer.vocabulary, "rngs": nnx.Rngs(0)}
    if start := source.start():
        given["start"] = start

    def model(**_: Any) -> Any:
        return module

    if "TaskObjective" in task.objectives:
        return TaskObjective(model, task=cast(Any, task), **given)
    return Seq2SeqLM(model, **given)


def _task_of(config: Mapping[str, Any], heads: list[str], folder: Path) -> str:
    """The option of conf/task that a head and the problem type of config.json mean."""
    kind = config.get("problem_type")
    for head in heads:
        if found := TASK_OF_HEAD.get((head, kind)) or TASK_OF_HEAD.get((head, None)):
            return found
    raise UserError(
        f"{folder} has no task head that is evaluated ({', '.join(heads) or 'it has none'}); "
        "name the task, such as task=seq2seq, or fine-tune the model"
    )


def _class_names(config: Mapping[str, Any], module: Any, task: str) -> list[str] | None:
    """Class names of a published model in the order of its outputs; None: the task has none."""
    heads = {"multi_label": "classification"}
    head = heads.get(task, task)
    if head not in ("classification", "token_classification") or head not in module.task_heads:
        return None
    count = module.task_heads[head].output.kernel.shape[-1]
    named = published_class_names(config) or []
    return named if len(named) == count else [f"LABEL_{n}" for n in range(count)]


def _scheme(names: Sequence[str]) -> str | None:
    """The tagging scheme of class names; None: they mark no entities."""
    try:
        return detect_scheme(names)
    except UserError:
        return None
