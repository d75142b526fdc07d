"""What is known of a model and its tasks: label names, problem type, prefixes."""

import dataclasses
from typing import Any

from fxformer import jsonl
from fxformer.config.target import locate
from fxformer.errors import UserError
from fxformer.inference.model import Model

WRITERS = ("text2text-generation", "summarization", "translation")  # pipelines of seq2seq models


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """Facts about a model that its weights do not tell.

    family: model_type of config.json; "" for a model that was trained here
    labels: names of the classes; (): not named
    problem_type: single_label_classification, multi_label_classification, regression or None
    task_params: generation parameters and prefix by task
    writes_targets: whether the model learned task=seq2seq, which a decoder does too, in rows of
        source, separator and target; separator: of these, None: the bos token
    """

    family: str = ""
    labels: tuple[str, ...] = ()
    problem_type: str | None = None
    task_params: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    writes_targets: bool = False
    separator: str | None = None

    def params(self, name: str) -> dict[str, Any]:
        """Generation parameters and prefix for a task; of translation_XX_to_YY, where it has none,
        those of translation."""
        return self.task_params.get(name) or self.task_params.get(name.partition("_")[0], {})

    def names(self, count: int) -> list[str]:
        """Names of `count` classes: those of config.json, else LABEL_0, LABEL_1 …"""
        if len(self.labels) == count:
            return list(self.labels)
        return [f"LABEL_{i}" for i in range(count)]


def model_card(model: Model) -> ModelCard:
    """The ModelCard of a model: of its labelled task, else of its config.json, else empty."""
    if task := model.config.get("task"):
        kind = locate(str(task["_target_"]))
        return ModelCard(
            labels=tuple(task.get("labels") or ()),
            problem_type=getattr(kind, "problem_type", None),
            task_params=trained_params(task) if "prefix" in task else {},
            writes_targets="prefix" in task,
            separator=task.get("separator"),
        )
    if model.published is None or not (model.published / "config.json").is_file():
        return ModelCard()
    config = jsonl.load(model.published / "config.json")
    labels = config.get("id2label") or {}
    try:
        ordered = sorted((int(number), str(name)) for number, name in labels.items())
    except (AttributeError, ValueError):
        raise UserError(f"{model.name}: id2label of config.json is no {{number: name}}") from None
    params = config.get("task_specific_params") or {}
    return ModelCard(
        family=str(config.get("model_type") or ""),
        labels=tuple(name for _, name in ordered),
        problem_type=config.get("problem_type"),
        task_params={str(k): v for k, v in params.items() if isinstance(v, dict)},
    )


def trained_params(task: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Prefix and generation settings of a model that learned task=seq2seq, by pipeline.

    task: the `task` node of its config
    """
    settings = {k: v for k, v in task["generation"].items() if k != "_target_" and v is not None}
    if "max_new_tokens" not in settings and "max_length" not in settings:
        settings["max_new_tokens"] = task["target_length"]
    return dict.fromkeys(WRITERS, {"prefix": task["prefix"], **settings})
