"""Base class of bias audits: examples of a published data set, statistics of a model on them."""

import abc
import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from fxformer.evaluate.bias.examples import BiasExample, subset
from fxformer.inference.model_core import ModelCore
from fxformer.metrics.base import Metric
from fxformer.types import Count, Natural


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a model, or a file of scores, gives on the examples of an audit.

    name, architecture: of the model
    scored: what was scored, in words
    kept: [n] int64, indices of the examples that were read whole, ascending
    statistics: [n, K] float64, of these
    log_odds: [n] float64, log of the score ratio of the first sentence to the second, in nats
    remarks: a sentence each
    """

    name: str
    architecture: str
    scored: str
    kept: np.ndarray
    statistics: np.ndarray
    log_odds: np.ndarray
    remarks: tuple[str, ...] = ()

    def restricted(self, kept: np.ndarray) -> "Measured":
        """The same on some of its examples, by their indices in the audit."""
        rows = np.searchsorted(self.kept, kept)
        return dataclasses.replace(
            self, kept=kept, statistics=self.statistics[rows], log_odds=self.log_odds[rows]
        )


@dataclasses.dataclass(frozen=True)
class BiasAudit(abc.ABC):
    """A published data set and the measure of a model on it.

    root: folder with the published files, or with a folder of the audit's name that holds them
    files: the files, instead of root
    examples: how many, a random subset; None: all
    seed: of the subset, of the exchanged tokens and of the bootstrap
    """

    name: ClassVar[str]
    title: ClassVar[str]
    measures: ClassVar[str]  # what `preferred` and `log_odds` are, a sentence

    root: str | None = None
    files: Sequence[str] = ()
    examples: Count | None = None
    seed: Natural = 0

    @abc.abstractmethod
    def read(self) -> list[BiasExample]:
        """All examples of the files. UserError for a missing or damaged file."""

    @abc.abstractmethod
    def metric(self, examples: Sequence[BiasExample]) -> Metric:
        """The metric of the statistics."""

    @abc.abstractmethod
    def measure(self, model: ModelCore, examples: Sequence[BiasExample]) -> Measured:
        """The statistics of a model. UserError where it cannot be scored."""

    def chosen(self) -> list[BiasExample]:
        """The examples to measure on."""
        return subset(self.read(), self.examples, self.seed)

    def scored_file(self, file: str, examples: Sequence[BiasExample]) -> Measured | None:
        """The statistics of scores that were published for each sentence; None: not of this
        audit."""
        return None
