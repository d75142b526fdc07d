"""Measures of a trained run on held-out rows of another config: longer ones, other noise."""

import dataclasses
from typing import Any

import jax
from flax import nnx
from omegaconf import DictConfig, OmegaConf

from fxformer.claims.measures import Measure
from fxformer.errors import UserError
from fxformer.inference.loaded_run import LoadedRun, checkpoint_costs, load_run
from fxformer.track.run_reader import StoredRun
from fxformer.train.evaluation import evaluate_batches
from fxformer.train.experiment import Experiment, open_experiment
from fxformer.train.state import bind, shapes_of
from fxformer.types import Count

KEYS = ("data", "objective")


@dataclasses.dataclass(frozen=True)
class OtherRowsNumber(Measure):
    """A number of the evaluation of a run's last checkpoint on the held-out rows of another config,
    as of rows longer than those of training.

    changes: {key of data or of the objective: value} of the other config, {data.length: 256}
    number: loss, accuracy, …
    relative: divided by the same number on the rows of the run's own config
    batches: of the held-out split at most, the first; of longer rows as much fewer; None: all
    """

    changes: dict[str, Any]
    number: str = "loss"
    relative: bool = False
    batches: Count | None = None

    def __post_init__(self) -> None:
        if not self.changes:
            raise UserError("OtherRowsNumber: give changes=, as {data.length: 256}")
        if wrong := [key for key in self.changes if key.split(".")[0] not in KEYS]:
            raise UserError(f"OtherRowsNumber: changes: {wrong[0]}: expected a key of data.* or "
                            "objective.*")  # fmt: skip

    def of_run(self, run: StoredRun) -> float:
        loaded = load_run(run, checkpoint_costs(run)[-1].step)
        found = self._number(loaded, changed(loaded.cfg, self.changes))
        return found / self._number(loaded, loaded.cfg) if self.relative else found

    def _number(self, loaded: LoadedRun, cfg: DictConfig) -> float:
        other = open_experiment(cfg)
        most = None
        if self.batches is not None:
            most = max(1, self.batches * loaded.cfg.data.length // other.corpus.length)
        numbers = evaluated(loaded, other, most)
        if self.number not in numbers:
            raise UserError(
                f"OtherRowsNumber: {loaded.run.id} has no {self.number}; there are "
                f"{', '.join(sorted(numbers))}"
            )
        return numbers[self.number]


def changed(cfg: DictConfig, changes: dict[str, Any]) -> DictConfig:
    """A copy of a config with other values at keys that it has. UserError for one it lacks."""
    made = cfg.copy()
    for key, value in changes.items():
        if OmegaConf.select(made, key, default=...) is ...:
            raise UserError(f"changes: the config of the run has no key {key}")
        OmegaConf.update(made, key, value)
    return made


def evaluated(loaded: LoadedRun, other: Experiment, most: int | None = None) -> dict[str, float]:
    """Averages of the objective of another config with the weights of a run, over its held-out
    split or the first `most` batches of it. UserError where the weights do not fit."""
    if shapes_of(other.objective) != shapes_of(loaded.objective):
        raise UserError(f"{loaded.run.id}: the other config has parameters of other shapes")
    graphdef = nnx.split(other.objective)[0]

    @jax.jit
    def evaluate(params: dict, batch: Any) -> tuple[dict, Any]:
        return bind(graphdef, params).evaluate(batch)[0], None

    batches = other.data.valid(other.corpus.batch)
    stop = None if most is None else min(most, len(batches))
    with other.data.loader(batches, other.objective.corrupt, stop=stop) as loader:
        return evaluate_batches(evaluate, loaded.params, (batch for _, batch in loader))
