"""Distillation: a run or a published model as the teacher of a run (config key `distillation`).

fxformer train distillation=distilbert distillation.teacher=RUN objective=mlm model=distilbert
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from omegaconf import DictConfig, OmegaConf

from fxformer.data.tokenizer import Tokenizer
from fxformer.distillation.loss import loss_of
from fxformer.distillation.teacher import Teacher
from fxformer.distillation.terms import Term
from fxformer.errors import UserError
from fxformer.objective.base import Objective
from fxformer.rules import named, named_map
from fxformer.task.objective import TaskObjective
from fxformer.train.experiment import Experiment, objective_factory
from fxformer.train.precision import Precision
from fxformer.train.state import abstract, graphdef_of, shapes_of
from fxformer.types import Count, NonNegative
from fxformer.warmstart.checkpoint_source import HEADS, CheckpointSource, open_source, same_ids

MODEL = "model/"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Distillation:
    """Distillation of a teacher into the model that is trained. Hinton et al. 2015.

    teacher: a run's name or folder, a folder of a published model or its hub id
    hard: weight of the objective's own loss, that of the true targets
    terms: what else the loss has, by name (distillation/terms.py)
    precision: dtype of the teacher's parameters and computation; null: that of the run
    ignore: fields of a published config.json that do not affect the outputs
    shuffled: whether the teacher reads other rows than the student: a control that must fail
    top_k: probabilities of the teacher that are computed once for each target and cached on disk,
        with the mass of all others as one class; null: the teacher computes in every step
    per_epoch: whether they are cached for each epoch by itself, as an objective needs that corrupts
        its rows anew
    """

    teacher: str
    hard: NonNegative = 1.0
    terms: Mapping[str, Term]
    precision: Literal["float32", "bfloat16"] | None = None
    ignore: list[str] | None = None
    shuffled: bool = False
    top_k: Count | None = None
    per_epoch: bool = False

    def open(self, cfg: DictConfig, experiment: Experiment) -> Teacher:
        """The teacher of a run, whose parameters are read when they are first wanted.

        Raises UserError where it reads other tokens, has other classes or cannot be compared.
        """
        loss = loss_of(self.hard, self.terms, shuffled=self.shuffled)
        source = open_source(
            self.teacher,
            str(cfg.runs),
            self.ignore or (),
            option="'distillation.ignore=[{}]'",
        )
        _check_tokenizer(source, experiment.data.tokenizer, self.teacher)
        make = objective_factory(_with_model_of(cfg, source), experiment.corpus.vocabulary)
        objective = self._objective(make)
        if isinstance(objective, TaskObjective):
            _check_classes(source, objective, self.teacher)
        projections = loss.check(experiment.objective, objective)
        if self.top_k is not None:
            loss.check_cached(experiment.objective)
            if self.top_k > (size := experiment.objective.vocabulary.size):
                raise UserError(f"distillation.top_k={self.top_k}: there are {size} tokens")
        precision = Precision(
            compute=self.precision or cfg.precision.compute, matmul=cfg.precision.matmul
        )
        shapes = shapes_of(objective)
        optional = _optional(objective)
        source.check(_of_model(shapes), optional)
        return Teacher(
            name=self.teacher,
            objective=objective,
            graphdef=graphdef_of(objective),
            abstract=jax.eval_shape(precision.cast, shapes),
            load=lambda: _loaded(source, shapes, optional, precision, self.teacher),
            precision=precision,
            loss=loss,
            projections=projections,
            top_k=self.top_k,
            per_epoch=self.per_epoch,
        )

    def _objective(self, make: Callable[[jax.Array], Objective]) -> Objective:
        """The teacher's objective with abstract arrays."""
        try:
            return abstract(make)
        except UserError as error:
            raise UserError(
                f"distillation.teacher={self.teacher} cannot teach this objective: {error.args[0]}"
            ) from None


def _with_model_of(cfg: DictConfig, source: CheckpointSource) -> DictConfig:
    """The config of the same objective on the model of the source."""
    made = cfg.copy()
    OmegaConf.set_struct(made, False)
    made.model = OmegaConf.create(source.model)
    return made


def _optional(objective: Objective) -> tuple[str, ...]:
    """Prefixes of heads that the source may lack, or that may stay unused."""
    return HEADS if isinstance(objective, TaskObjective) else ("task_heads/",)


def _of_model(shapes: dict) -> dict[str, tuple[int, ...]]:
    return {path.removeprefix(MODEL): leaf.shape for path, leaf in named(shapes).items()}


def _loaded(
    source: CheckpointSource,
    shapes: dict,
    optional: tuple[str, ...],
    precision: Precision,
    name: str,
) -> dict:
    """The parameters of the teacher. UserError where it lacks the head that is to teach."""
    arrays, lines = source.load(_of_model(shapes), optional)
    missing = [line.path for line in lines if line.status == "fresh"]
    needed = [path for path in missing if path.startswith("task_heads/")]
    if needed:
        raise UserError(
            f"distillation.teacher={name} has no trained {needed[0]}: fine-tune it on this task "
            "first, and write the run that does so"
        )

    def put(path: str, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        found = arrays.get(path.removeprefix(MODEL))
        if found is None:  # a head that this objective does not use
            return jnp.zeros(leaf.shape, leaf.dtype)
        return jnp.asarray(np.array(found, leaf.dtype))

    return jax.jit(precision.cast)(named_map(put, shapes))


def _check_tokenizer(source: CheckpointSource, tokenizer: Tokenizer, name: str) -> None:
    """Raise UserError where the teacher reads other ids."""
    own = source.tokenizer()
    if own is not None and not same_ids(own, tokenizer):
        raise UserError(
            f"distillation.teacher={name} has another tokenizer ({own.vocabulary.size} ids) than "
            f"this run ({tokenizer.vocabulary.size}), so their distributions cannot be compared; "
            f"write tokenizer=file tokenizer.path={source.tokenizer_folder}"
        )
    if source.vocab_rows < tokenizer.vocabulary.size:
        raise UserError(
            f"distillation.teacher={name} has {source.vocab_rows} embedding rows and the tokenizer "
            f"{tokenizer.vocabulary.size} ids: take the tokenizer of the teacher"
        )


def _check_classes(source: CheckpointSource, objective: TaskObjective, name: str) -> None:
    """Raise UserError where the teacher's classes differ from the student's, or their order."""
    theirs, own = source.class_names(), getattr(objective.task, "labels", None)
    if own is None or theirs is None or list(own) == list(theirs):
        return
    how = "in another order" if sorted(own) == sorted(theirs) else "differently"
    words = ", ".join(map(str, theirs[:6])) + (" …" if len(theirs) > 6 else "")
    raise UserError(
        f"distillation.teacher={name} names its {len(theirs)} classes {how} ({words}) than this "
        "run; write task.labels= as the teacher has them"
    )
