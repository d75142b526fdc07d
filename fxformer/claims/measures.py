"""Measures: one number of a trained run, or of a config without training.

A kind of measure is a class. `study.yaml` names it by `_target_`; a new kind needs a file here and
no other change.
"""

import abc
import dataclasses
import math
from typing import ClassVar, Literal

from omegaconf import DictConfig, OmegaConf

from fxformer.energy.totals import PHASES
from fxformer.errors import UserError
from fxformer.evaluate.held_out import held_out
from fxformer.evaluate.passages import continued, fitting
from fxformer.evaluate.scores import charges, infill_bits, pseudo
from fxformer.track.evaluations import evaluations_of
from fxformer.track.run_reader import StoredRun
from fxformer.types import Count, Natural


class Measure(abc.ABC):
    """Base of measures. trains: whether it needs trained runs"""

    trains: ClassVar[bool] = True

    @abc.abstractmethod
    def of_run(self, run: StoredRun) -> float:
        """The number of a finished run. UserError where it has none."""


class ConfigMeasure(Measure):
    """Base of measures that need no training, only the config."""

    trains = False

    @abc.abstractmethod
    def of_config(self, cfg: DictConfig) -> float:
        """The number of a composed and checked config."""

    def of_run(self, run: StoredRun) -> float:
        """The number of the config of a run."""
        from fxformer.config.stored import opened_config

        return self.of_config(opened_config(run.folder))


@dataclasses.dataclass(frozen=True)
class SummaryNumber(Measure):
    """A number of the run's summary: valid_loss, valid_accuracy, tokens_per_second, …"""

    number: str

    def of_run(self, run: StoredRun) -> float:
        return _named(run.facts.get("summary") or {}, self.number, run, "summary")


@dataclasses.dataclass(frozen=True)
class EvaluationNumber(Measure):
    """A number of the last evaluation of a split: loss, nll, or a metric of a labelled task."""

    number: str
    split: Literal["valid", "test"] = "valid"

    def of_run(self, run: StoredRun) -> float:
        lines = [line for line in run.lines if line.get("split") == self.split]
        found = dict(lines[-1]) if lines else {}
        evaluated = evaluations_of(run.facts).get(self.split)
        scores = evaluated.scores if evaluated is not None else {}
        found |= {name: one.value for name, one in scores.items()}
        return _named(found, self.number, run, f"{self.split} evaluation")


@dataclasses.dataclass(frozen=True)
class RunJoules(Measure):
    """Energy of the run over all attempts, as its ledger has it.

    phases: only these, as "train"; []: all
    """

    phases: list[str] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        for name in self.phases:
            if name not in PHASES:
                raise UserError(f"RunJoules: no phase {name!r}; there are {', '.join(PHASES)}")

    def of_run(self, run: StoredRun) -> float:
        totals = run.energy()
        if not self.phases:
            return float(totals.joules)
        parts = totals.by("phase")
        return float(sum(parts[name].joules for name in self.phases if name in parts))


@dataclasses.dataclass(frozen=True)
class Parameters(Measure):
    """Number of parameters of the model."""

    def of_run(self, run: StoredRun) -> float:
        return _named(run.facts, "parameters", run, "run.json")


@dataclasses.dataclass(frozen=True)
class RunFlops(Measure):
    """Model FLOPs of training: those of a token, forward and backward, times the tokens."""

    def of_run(self, run: StoredRun) -> float:
        tokens = _named(run.facts.get("summary") or {}, "tokens", run, "summary")
        return tokens * _named(run.facts, "flops_per_token", run, "run.json")


@dataclasses.dataclass(frozen=True)
class CostToReach(Measure):
    """Cost at the first evaluation at which a number is at most, or at least, a target.

    number: of the evaluations of the held-out split: loss, bits_per_byte, accuracy …
    at_most, at_least: the target; one of them
    cost: tokens, seconds of training, or joules since the start of the run. NaN where the run
        never reaches the target
    """

    number: str
    at_most: float | None = None
    at_least: float | None = None
    cost: Literal["tokens", "seconds", "joules"] = "joules"

    def __post_init__(self) -> None:
        if (self.at_most is None) == (self.at_least is None):
            raise UserError("CostToReach: give at_most= or at_least=, one of them")

    def of_run(self, run: StoredRun) -> float:
        for line in run.lines:
            if line.get("split") != "valid":
                continue
            value = _named(dict(line), self.number, run, "valid evaluation")
            below = self.at_most is not None and value <= self.at_most
            if below or (self.at_least is not None and value >= self.at_least):
                return _named(dict(line), self.cost, run, "valid evaluation")
        return math.nan


@dataclasses.dataclass(frozen=True)
class ConfigNumber(ConfigMeasure):
    """A number of the config itself, as data.batch. key: its path"""

    key: str

    def of_config(self, cfg: DictConfig) -> float:
        value = OmegaConf.select(cfg, self.key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise UserError(f"ConfigNumber: {self.key} is {value!r:.60}, not a number")
        return float(value)


@dataclasses.dataclass(frozen=True)
class HeldOutBits(Measure):
    """Bits per byte of left-out words of the held-out text, as `fxformer compare` scores them.

    score: "infill": given the text on both sides; "follow": given the text before; "pseudo":
        pseudo-likelihood (Salazar et al. 2020)
    passages, seed: how many passages, and the seed of their choice. Runs of one corpus, tokenizer
        and data.length are scored on the same words
    """

    score: Literal["infill", "follow", "pseudo"] = "infill"
    passages: Count = 200
    seed: Natural = 0

    def of_run(self, run: StoredRun) -> float:
        import numpy as np

        from fxformer.inference.loaded_run import checkpoint_costs, load_run

        loaded = load_run(run, checkpoint_costs(run)[-1].step)
        texts, _ = held_out([loaded])
        reader = (loaded.tokenizer, loaded.corpus.length)
        drawn, (examples,), _ = fitting(texts, [reader], self.passages, self.seed)
        sizes = np.array([passage.size for passage in drawn], np.float64)
        if self.score == "pseudo":
            found = pseudo(loaded, examples, sizes)
        else:
            ends = [continued(one, loaded.tokenizer) for one in examples]
            found = infill_bits(loaded, examples if self.score == "infill" else ends, sizes)
        if found is None:
            raise UserError(f"{run.id}: its objective gives no probability of left-out words")
        script, _ = charges(loaded, drawn)
        return found.value + float(script.sum() / sizes.sum())


def _named(found: dict, name: str, run: StoredRun, place: str) -> float:
    """A number by its name. UserError with the names that there are."""
    value = found.get(name)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if name in found and value is None:
        return math.nan
    known = [key for key, one in found.items() if isinstance(one, (int, float))]
    raise UserError(f"{run.id}: no {name} in its {place}; there are {', '.join(sorted(known))}")
