"""One attempt at a run: the loop with everything that watches it."""

import dataclasses
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Self

import jax
import jax.numpy as jnp
from rich.console import Console

from fxformer.config.build import build
from fxformer.energy.config import TDPEnergy
from fxformer.energy.crosscheck import CrossCheck
from fxformer.energy.ledger import Ledger
from fxformer.energy.meter import Meter
from fxformer.inference.decoding.samples import generate_samples
from fxformer.objective.coverage import Coverage
from fxformer.rules import named
from fxformer.track import formatting
from fxformer.track.evaluations import StoredEvaluation, evaluations_of
from fxformer.track.progress import Progress
from fxformer.track.run import Run
from fxformer.track.summary import Sample, summarise
from fxformer.train import summary_stats
from fxformer.train.callbacks import Callback
from fxformer.train.comparisons import comparisons_of
from fxformer.train.compile import compile_step, donates
from fxformer.train.loop import Budget, budget_of, fit
from fxformer.train.loop_state import LoopState, RunTotals
from fxformer.train.placement import on_own_device
from fxformer.train.processes import Processes
from fxformer.train.setup import Setup
from fxformer.train.signals import deadline
from fxformer.train.split_batches import SplitBatches, summed
from fxformer.train.state import State
from fxformer.train.teacher_cache import fill_caches
from fxformer.train.test_split import EvaluateTest

SAMPLES = 3  # predictions shown
LOOP = ("train", "data", "evaluate", "generate", "checkpoint")  # phases inside the loop


@dataclasses.dataclass
class Trainer:
    """Made once for a process; `train` runs it to its end, its interruption or its failure.

    more: events that happen after the trainer's own
    """

    setup: Setup
    run: Run
    meter: Meter
    ledger: Ledger
    energy: TDPEnergy
    console: Console
    check: CrossCheck
    processes: Processes = Processes()
    more: Sequence[Callback] = ()
    samples: Sequence[Sample] = ()

    def __post_init__(self) -> None:
        cfg, trainer = self.setup.cfg, self.setup.trainer
        self.trackers = self.processes.trackers(cfg.tracker)
        self.ledger.write(self.meter)  # what the start has used is kept, whatever comes
        self.checkpoints = self.processes.checkpoints(
            self.run.folder / "checkpoints",
            keep_checkpoints=trainer.keep_checkpoints,
            milestones=trainer.milestone_steps,
            copy_state=donates(trainer.donate),
            check_owner=self.run.verify,
        )
        deadline.busy = lambda: self.checkpoints.saving
        deadline.leave["ledger"] = lambda name: self.ledger.close(self.meter)
        words = f"{self.run.folder.name} · {formatting.count(self.setup.parameters)} parameters"
        if self.setup.trained_parameters != self.setup.parameters:
            words += f", {formatting.count(self.setup.trained_parameters)} trained"
        flops = self.setup.flops_per_token
        self.progress = Progress(
            trainer.steps, title=words, flops_per_token=flops, console=self.console
        )
        self.validation = SplitBatches(self.setup)
        self.coverage = Coverage(self.setup.objective)
        self.comparisons = comparisons_of(self.setup, self.run)

    def train(self) -> LoopState:
        """Trains to the end, evaluates, saves, shows."""
        with self:
            ended = self.learn()
        self.conclude(ended)
        return ended

    def learn(self) -> LoopState:
        """From the first state to the last."""
        setup, trainer = self.setup, self.setup.trainer
        self.trackers.start(self.run)
        self.trackers.follow(self.show_numbers)
        state, totals = self.first_state()
        fill_caches(setup, state.params, self.meter, self.run, self.progress.event)
        loader = setup.data.loader(
            setup.data.train(setup.corpus.batch, setup.cfg.seed, setup.own_rows),
            self.coverage,
            start=int(state.step),
            stop=trainer.steps,
            workers=setup.corpus.workers,
            prefetch=setup.corpus.prefetch,
        )
        placement = jax.tree.map(lambda leaf: leaf.sharding, setup.abstract_state)
        step = compile_step(setup.step, placement, setup.mesh, donate=trainer.donate)
        with self.progress, loader, self.processes.agreement() as agreement:
            return fit(
                self.first_compiled(step, state),
                state,
                loader,
                until=trainer.steps,
                tracker=self.trackers,
                meter=self.meter,
                callbacks=self.callbacks(),
                totals=totals,
                log_every=trainer.log_every,
                budget=self.budget(),
                put=setup.put_rows,
                agreement=agreement,
            )

    def budget(self) -> Budget:
        """What the run may use, all attempts together."""
        return budget_of(self.setup.trainer.budget_minutes, self.energy, lambda: self.meter.hours)

    def first_state(self) -> tuple[State, RunTotals]:
        """The state to begin with: a fresh one, or that of the newest sound checkpoint."""
        like, cfg = self.setup.abstract_state, self.setup.cfg
        if cfg.resume:
            found = self.checkpoints.restore(like)
            step = 0 if found is None else int(found.state.step)
            if found is not None:
                for what in self.run.damage(found.host.get("logs")):
                    warnings.warn(f"{self.run.folder}: {what}; the run goes on", stacklevel=2)
            self.run.rewind(step)
            if found is not None:
                return found.state, self.resumed(RunTotals(**found.host["totals"]))
        with self.meter.phase("compile"):
            place = jax.tree.map(lambda leaf: leaf.sharding, like)
            state = jax.jit(self.setup.init_state, out_shardings=place)(jax.random.key(cfg.seed))
        return self.begun(state), RunTotals()

    def resumed(self, totals: RunTotals) -> RunTotals:
        """Those of a checkpoint, and what an attempt that was killed used after it: steps that are
        made again, but seconds and joules that stay spent."""
        seconds = sum(self.meter.prior.seconds.get(phase, 0.0) for phase in LOOP)
        totals.seconds = max(totals.seconds, seconds)
        totals.joules = max(totals.joules, self.meter.prior.joules)
        totals.restarts += 1
        return totals

    def begun(self, state: State) -> State:
        """The first state with the weights from `warm_start`; logs an event."""
        start = build(self.setup.cfg.warm_start)
        params, lines = start.apply(state.params, runs=self.setup.cfg.runs)
        if not lines:
            return state
        fresh = sorted(line.path for line in lines if line.status == "fresh")
        anew = {line.path: line.layers for line in lines if line.status == "reinitialised"}
        self.run.event("warm_start", source=start.source, fresh=fresh, reinitialised=anew)
        noted = start.note(lines, self.run.folder if self.processes.group.first else None)
        self.progress.event(f"weights of {start.source}: {noted}")
        self.progress.event(f"freshly initialised: {', '.join(fresh) or 'nothing'}")
        if anew:
            self.progress.event(f"re-initialised top layers: {start.reinit_layers}")
        if stuck := start.frozen_at_random(lines, named(self.setup.frozen)):
            words = f"{', '.join(stuck[:3])}{' …' if stuck[3:] else ''}"
            found = f"{len(stuck)} parameters are freshly initialised and frozen"
            warnings.warn(f"{found}, so they stay as drawn: {words}", stacklevel=2)
        ema = None if state.ema is None else jax.tree.map(jnp.copy, params)
        return dataclasses.replace(state, params=params, ema=ema)

    def first_compiled(self, step, state):
        """The step, compiled now so that its time and joules are charged to compiling."""
        self.progress.event("compiling the step …")
        began = time.perf_counter()
        with self.meter.phase("compile"):
            example = self.setup.put(self.setup.example_batch)
            compiled = step.lower(state, example).compile()
            self.processes.group.barrier("compiled")
        self.ledger.write(self.meter)
        self.progress.event(f"compiled in {time.perf_counter() - began:.1f} s")
        return compiled

    def callbacks(self):
        """Evaluation, checkpoints, samples and early stopping, and what else was asked for."""
        own = self.setup.trainer.callbacks(
            self.setup.evaluation(),
            self.validation,
            self.checkpoints,
            self.setup.abstract_state,
            samples=self.show_samples,
            derive=self.validation.derive,
            observe=self.validation.observe,
            results=self.validation.results,
            generated=self.setup.generated,
            directions=self.setup.directions,
            facts=self.saved_facts,
            note=self.note,
        )
        return [
            *self.comparisons,
            *own,
            EvaluateTest(self.setup, self.checkpoints, self.run),
            *self.more,
        ]

    def saved_facts(self) -> dict:
        """For the host part of a checkpoint: the run, and what its logs hold by now."""
        self.ledger.write(self.meter)
        return {"run": self.run.facts["id"], "logs": self.run.marks()}

    def note(self, kind: str, **facts) -> None:
        """Something that happened: into events.jsonl, and to the person."""
        self.run.event(kind, **facts)
        words = ", ".join(f"{name} {value}" for name, value in facts.items())
        self.progress.event(f"{kind}: {words}")

    def show_samples(self, ended: LoopState) -> None:
        """What the model makes of held-out text, kept as samples.md and shown at the end."""
        self.samples = self.drawn_samples(ended)
        self.trackers.text("samples", summary_stats.page(ended.step, self.samples))

    def drawn_samples(self, ended: LoopState) -> list[Sample]:
        """A few held-out texts with the model's answers."""
        setup = self.setup
        if not setup.objective.needs_lm_head:
            packed = setup.data.packed["valid"]
            shown = setup.objective.samples(self.validation.outputs, packed, SAMPLES)
            return [Sample(*one) for one in shown]
        params = ended.state.params if ended.state.ema is None else ended.state.ema
        with self.meter.phase("generate"):
            if setup.generated is not None:
                return setup.generated.samples(params, SAMPLES)
            return generate_samples(
                setup.objective,
                setup.objective_with,
                on_own_device(params),
                setup.objective.corrupt(setup.data.valid(setup.corpus.batch)[0]),
                setup.data.tokenizer,
                rows=SAMPLES,
            )

    def show_numbers(self, step: int, split: str, metrics: Mapping[str, Any]) -> None:
        """A line of numbers: to the terminal and, now and then, into the ledger."""
        self.progress.log(step, split, metrics, self.meter.provenance)
        self.ledger.write_if_due(self.meter, step=step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        """The last line of the ledger, however the loop ended; mirrors hear of a failure."""
        self.processes.close_ledger(self.ledger, self.meter, whole=kind is None)
        if kind is not None:
            self.trackers.finish({})

    def store_evaluation(self, ended: LoopState) -> None:
        """The last evaluation of the validation rows of a task, with intervals, into run.json."""
        if results := ended.valid_results:
            found = StoredEvaluation.of(results, ended.totals.evaluated, ended.valid)
            known = self.run.facts.get("evaluation") or {}
            self.run.update(evaluation={**known, "valid": found.facts()})

    def conclude(self, ended: LoopState) -> None:
        """The summary, for the folder and for the person."""
        assert ended.status is not None  # the loop ends only with one
        used = self.meter.close()
        if compared := self.check.end():
            self.run.event("crosscheck", **compared)
        energy = used.total
        work = summary_stats.work(self.setup, ended, used.seconds.get("train", 0.0))
        numbers = {f"valid_{name}": value for name, value in ended.valid.items()}
        self.store_evaluation(ended)
        evaluated = evaluations_of(self.run.facts)
        if test := evaluated.get("test"):
            numbers |= {f"test_{name}": value for name, value in test.numbers.items()}
        totals = dataclasses.asdict(ended.totals) | {"joules": energy.joules}
        carbon, joules = self.energy.carbon, energy.joules
        cost = {"kwh": carbon.kwh(joules), "gco2e": carbon.gco2e(joules, used.hours)}
        seen = summed(self.setup, 0, 0, self.coverage)[2]
        text = summary_stats.text(self.setup, seen, self.validation.coverage)
        self.trackers.finish(numbers | totals | cost | work | text | {"sigma_joules": energy.sigma})
        summarise(
            self.console,
            self.run.folder,
            status=ended.status,
            facts=summary_stats.facts(self.setup, ended, work, text, evaluated)
            + [line for one in self.comparisons for line in one.lines(ended)],
            energy=used,
            carbon=carbon,
            check=self.check.text(),
            unreadable=[*self.meter.unreadable, *self.processes.unreadable],
            samples=self.samples,
        )
