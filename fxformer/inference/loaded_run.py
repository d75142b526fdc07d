"""A run opened for questions: its objective with the weights of one of its checkpoints."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from omegaconf import DictConfig

from fxformer.batch import Batch
from fxformer.config.build import build
from fxformer.config.stored import opened_config
from fxformer.data.corpus import Corpus
from fxformer.data.tokenizer import Tokenizer, is_saved, load
from fxformer.errors import UserError
from fxformer.objective.base import Objective
from fxformer.objective.infilling import Question, asked
from fxformer.track.run_reader import StoredRun
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.experiment import maker
from fxformer.train.state import abstract, bind, blueprint, init

ROWS = 64  # questions answered at once


@dataclasses.dataclass(frozen=True)
class Spent:
    """What a run had used when it made a checkpoint. flops: of the model, padding not counted."""

    step: int
    tokens: float
    flops: float
    joules: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class Opened:
    """A model to be asked. params: as of `step`; make: key -> the objective, fresh.

    tokenizer: text to the ids of this run, as the run has kept it
    """

    run: StoredRun
    cfg: DictConfig
    tokenizer: Tokenizer
    objective: Objective
    make: Callable[[jax.Array], Objective]
    shape: nnx.GraphDef
    params: dict
    step: int

    @functools.cached_property
    def corpus(self) -> Corpus:
        """The text the run was trained on. UserError where it has changed, or is gone."""
        corpus = corpus_of(self.cfg)
        if corpus.source.tokenizer.hash != self.tokenizer.hash:
            raise UserError(
                f"{self.run.id} was trained with tokenizer {self.tokenizer.hash}, and its config "
                f"now makes {corpus.source.tokenizer.hash}: the text it was trained on has "
                "changed, so its ids mean other words"
            )
        return corpus

    @functools.cached_property
    def _read(self) -> Callable[[dict, Batch], jax.Array]:
        def surprise(params: dict, batch: Batch) -> jax.Array:
            model = bind(self.shape, params).model
            hidden = jnp.take_along_axis(model(batch), batch.picked[..., None], axis=1)
            scores = jax.nn.log_softmax(model.logits(hidden))
            right = jnp.take_along_axis(scores, batch.targets[..., None], -1)[..., 0]
            return -jnp.where(batch.weights > 0, right, 0).sum(1)

        return jax.jit(surprise)

    def surprise(self, questions: list[Question]) -> np.ndarray:
        """-log p of what each question asks for, nats. [questions] float64."""
        order = np.argsort([len(question.tokens) for question in questions], kind="stable")
        found = np.zeros(len(questions))
        for low in range(0, len(order), ROWS):
            some = order[low : low + ROWS]
            rows = [questions[i] for i in some] + [questions[some[0]]] * (ROWS - len(some))
            batch = asked(rows, self.objective.vocabulary.pad)
            found[some] = np.asarray(self._read(self.params, batch))[: len(some)]
        return found

    def fresh(self) -> "Opened":
        """The same model before any training."""
        params = jax.jit(lambda key: init(self.make, key))(jax.random.key(0))
        return dataclasses.replace(self, params=params)

    def at(self, step: int) -> "Opened":
        """The same model as of another checkpoint."""
        like = abstract(self.make)
        params = Checkpoints(self.run.folder / "checkpoints").weights(like, step)
        return dataclasses.replace(self, params=params, step=step)


def spendings(run: StoredRun) -> list[Spent]:
    """What each checkpoint of a run had cost, in order of steps. UserError without any."""
    place = Path(run.folder, "checkpoints")
    checkpoints = Checkpoints(place) if place.is_dir() else None
    per_token = run.facts.get("flops_per_token", 0.0)
    found = []
    for step in checkpoints.steps() if checkpoints else []:
        totals = checkpoints.host(step)["totals"]
        found.append(
            Spent(
                step=step,
                tokens=totals["tokens"],
                flops=totals["tokens"] * per_token,
                joules=totals["joules"],
                seconds=totals["seconds"],
            )
        )
    if not found:
        raise UserError(f"{run.id} has no checkpoint to compare: train it on, resume={run.id}")
    return found


def open_at(run: StoredRun, step: int, *, looped: bool = False) -> Opened:
    """The run's model as of a checkpoint. UserError where its tokenizer is not that of its ids,
    ConfigError where its stored config may not be built from.

    The text it was trained on is not asked for, so it may be gone.
    looped: one layer is compiled for all, which is sooner done where little is computed
    """
    cfg = opened_config(run.folder)
    if looped:
        _loop(cfg.model)
    kept = run.folder / "tokenizer"
    tokenizer = load(kept) if is_saved(kept) else corpus_of(cfg).source.tokenizer
    before = run.facts.get("data", {}).get("tokenizer_hash", tokenizer.hash)
    if before != tokenizer.hash:
        raise UserError(
            f"{run.id} was trained with tokenizer {before}, and {kept} holds {tokenizer.hash}: "
            "its ids mean other words"
        )
    make = maker(cfg, tokenizer.spelt)
    objective = nnx.eval_shape(lambda: make(jax.random.key(0)))
    return Opened(run, cfg, tokenizer, objective, make, blueprint(make), {}, step).at(step)


def _loop(node: DictConfig) -> None:
    """Every stack below this node has its layers in a loop (nn/stack.py, unroll)."""
    for key, value in node.items():
        if key == "unroll":
            node[key] = 1
        elif isinstance(value, DictConfig):
            _loop(value)


def corpus_of(cfg: DictConfig) -> Corpus:
    """The corpus of a run's config."""
    return build(cfg.data)(tokenizer=build(cfg.tokenizer))
