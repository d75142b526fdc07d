"""Trains what a command line says, without a run folder, and asks what came of it."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
from omegaconf import DictConfig

from fxformer.batch import Batch
from fxformer.config.check import check
from fxformer.objective.base import Objective
from fxformer.train.compile import compile_step
from fxformer.train.evaluation import Evaluate
from fxformer.train.loop import fit
from fxformer.train.setup import Setup, set_up
from fxformer.train.split_batches import SplitBatches
from fxformer.train.state import State
from tests import composing

ROOT = Path(__file__).parents[2]


def composed(*overrides: str) -> DictConfig:
    """What `fxformer train` would be given."""
    return composing.composed(overrides)


def ready(*overrides: str) -> Setup:
    """Checked and built, with nothing compiled."""
    cfg = composed(*overrides)
    check(cfg)
    return set_up(cfg)


@dataclasses.dataclass(frozen=True)
class Trained:
    """The end of a run: its last state and the numbers of its last evaluation."""

    setup: Setup
    state: State
    valid: dict[str, float]

    def held_out(self) -> Iterator[Batch]:
        """The validation batches, numpy, the same at each call."""
        batches = self.setup.data.valid(self.setup.corpus.batch)
        return (self.setup.objective.corrupt(batches[n]) for n in range(len(batches)))

    def ask(self, question: Callable[[Objective, Batch], jax.Array]) -> Iterator[tuple]:
        """(batch, question(trained objective, batch)) for each validation batch."""
        asked = jax.jit(lambda params, b: question(self.setup.objective_with(params), b))
        for batch in self.held_out():
            yield batch, jax.device_get(asked(self.state.params, batch))


def trained(*overrides: str, start: State | None = None) -> Trained:
    """Runs the whole schedule through the real loop; one evaluation at the end."""
    return train(ready(*overrides), start)


def train(setup: Setup, start: State | None = None, meter=None) -> Trained:
    """The same for what has been set up. start: instead of a fresh state; meter: of joules"""
    trainer, corpus = setup.trainer, setup.corpus
    placement = jax.tree.map(lambda leaf: leaf.sharding, setup.abstract_state)
    begin = jax.jit(setup.init_state, out_shardings=placement)
    state = begin(jax.random.key(setup.cfg.seed)) if start is None else start
    batches = setup.data.train(corpus.batch, setup.cfg.seed)
    loader = setup.data.loader(
        batches, setup.objective.corrupt, start=int(state.step), stop=trainer.steps, workers=1
    )
    with loader:
        ended = fit(
            compile_step(setup.step, placement, setup.mesh, donate=False),
            state,
            loader,
            until=trainer.steps,
            tracker=Silent(),
            meter=meter or Silent(),
            callbacks=[Evaluate(0, jax.jit(setup.evaluate), SplitBatches(setup))],
            put=setup.put,
        )
    assert ended.status == "done", ended.reason
    return Trained(setup, ended.state, ended.valid)


class Silent:
    """A tracker that keeps nothing and a meter that counts nothing."""

    def log(self, step: int, split: str, metrics: dict[str, float]) -> None: ...

    def read(self) -> float:
        return 0.0

    def phase(self, name: str) -> contextlib.AbstractContextManager:
        return contextlib.nullcontext()
