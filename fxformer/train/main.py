"""One run, from a checked config to its summary."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from fxformer.config.build import build
from fxformer.energy import ledger
from fxformer.energy.ledger import Ledger
from fxformer.energy.meter import Meter
from fxformer.track import plain
from fxformer.track.progress import Progress
from fxformer.track.run import Run
from fxformer.track.store import StoredRun
from fxformer.track.summary import Sample, summarise
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.compile import compile_step, donates, use_compile_cache
from fxformer.train.loop import fit
from fxformer.train.running import Run as Fit
from fxformer.train.running import Totals
from fxformer.train.setup import Held, Setup, set_up
from fxformer.train.state import State


def main(cfg: DictConfig) -> None:
    """Train as `cfg` says. Raises SystemExit where the run does not end as done (75, 3)."""
    console = Console()
    if cfg.resume and not goes_on(cfg, console):
        return
    use_compile_cache(cfg.trainer.compile_cache)
    prior = ledger.totals(Path(cfg.resume, "energy.jsonl")) if cfg.resume else None
    energy = build(cfg.energy)
    kinds = [d.device_kind for d in jax.local_devices() if d.platform != "cpu"]
    meter = energy.open(accelerators=kinds, prior=prior)
    with meter.phase("startup"), console.status("reading the corpus, checking the model …"):
        setup = set_up(cfg)
    run = open_run(cfg, setup)
    try:
        ended = Session(setup, run, meter, energy, console).train()
    except BaseException as error:
        reason = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        run.finish(reason, f"{type(error).__name__}: {error}")
        raise
    run.finish(ended.status, ended.reason)
    if ended.code:
        raise SystemExit(ended.code)


def goes_on(cfg: DictConfig, console: Console) -> bool:
    """Whether a resumed run has steps to make; says so where it has not, or has more than it had.

    The schedule stretches over trainer.steps: with more of them it is drawn anew.
    """
    stored, steps = StoredRun(cfg.resume), cfg.trainer.steps
    before = stored.config["trainer"]["steps"]
    made = max((line["step"] for line in stored.lines), default=0)
    if stored.status == "done" and made >= steps:
        more = f"fxformer train resume={stored.id} trainer.steps={2 * made}"
        console.print(f"{stored.id} is done: {made} steps. To go on: {more}", highlight=False)
        return False
    if steps != before:
        words = f"trainer.steps was {before} and is {steps}: the learning rate follows its schedule"
        console.print(f"{words} over {steps} steps from here", highlight=False)
    return True


def open_run(cfg: DictConfig, setup: Setup) -> Run:
    """The folder of a new run, or of the one that is resumed if its data are still the same."""
    facts = setup.facts()
    if not cfg.resume:
        run = Run.create(cfg.runs, cfg.name or title(cfg), config=cfg, facts=facts)
        setup.data.tokenizer.save(run.folder / "tokenizer")
        return run
    run = Run.reopen(cfg.resume, config=cfg)
    for name in ("corpus_hash", "tokenizer_hash"):
        before, now = run.facts["data"][name], facts["data"][name]
        if before != now:
            reason = f"its {name} was {before}, it is now {now}: the data have changed"
            run.finish("interrupted", reason)
            raise ValueError(f"resume: {run.folder} cannot go on: {reason}; start a new run")
    return run


def title(cfg: DictConfig) -> str:
    """What was chosen, in a few words."""
    if not HydraConfig.initialized():
        return "run"
    chosen = HydraConfig.get().runtime.choices
    return "-".join(str(chosen[group]) for group in ("model", "size", "objective", "data"))


@dataclasses.dataclass
class Session:
    """One attempt at a run: what watches the loop, and what is said at its end."""

    setup: Setup
    run: Run
    meter: Meter
    energy: object
    console: Console
    samples: Sequence[Sample] = ()

    def __post_init__(self) -> None:
        cfg, trainer = self.setup.cfg, self.setup.trainer
        self.trackers = build(cfg.tracker)
        self.ledger = Ledger(
            self.run.folder / "energy.jsonl", every=self.energy.ledger_every_seconds
        )
        self.checkpoints = Checkpoints(
            self.run.folder / "checkpoints", keep=trainer.keep, copy=donates(trainer.donate)
        )
        words = f"{self.run.folder.name} · {plain.count(self.setup.parameters)} parameters"
        self.progress = Progress(
            trainer.steps,
            title=words,
            flops_per_token=self.setup.flops_per_token,
            console=self.console,
        )
        self.held = Held(self.setup)

    def train(self) -> Fit:
        """Trains to the end, evaluates, saves, shows."""
        setup, trainer = self.setup, self.setup.trainer
        self.trackers.start(self.run)
        self.trackers.follow(lambda n, split, m: self.progress.log(n, split, m, self.meter.provenance))
        self.trackers.follow(lambda n, *_: self.ledger.keep(self.meter, step=n))
        state, totals = self.first_state()
        data, corpus = setup.data, setup.corpus
        loader = data.loader(
            data.train(corpus.batch, setup.cfg.seed),
            setup.objective.corrupt,
            start=int(state.step),
            stop=trainer.steps,
            workers=corpus.workers,
            prefetch=corpus.prefetch,
        )
        placement = jax.tree.map(lambda leaf: leaf.sharding, setup.like)
        step = compile_step(setup.step, placement, setup.mesh, donate=trainer.donate)
        with contextlib.closing(self), self.progress, loader:
            ended = fit(
                self.first_compiled(step, state),
                state,
                loader,
                until=trainer.steps,
                tracker=self.trackers,
                meter=self.meter,
                events=self.events(),
                totals=totals,
                log_every=trainer.log_every,
                max_minutes=trainer.max_minutes,
                put=setup.put,
            )
        self.conclude(ended)
        return ended

    def first_state(self) -> tuple[State, Totals]:
        """The state to begin with: a fresh one, or that of the newest sound checkpoint."""
        like, cfg = self.setup.like, self.setup.cfg
        if cfg.resume:
            found = self.checkpoints.restore(like)
            step = 0 if found is None else int(found.state.step)
            self.run.rewind(step)
            if found is not None:
                totals = Totals(**found.host["totals"])
                totals.restarts += 1
                return found.state, totals
        placement = jax.tree.map(lambda leaf: leaf.sharding, like)
        with self.meter.phase("compile"):
            return jax.jit(self.setup.start, out_shardings=placement)(jax.random.key(cfg.seed)), Totals()

    def first_compiled(self, step, state):
        """The step, compiled now so that its time and joules are charged to compiling."""
        with self.meter.phase("compile"):
            example = self.setup.put(self.setup.example)
            compiled = step.lower(state, example).compile()
        return compiled

    def events(self):
        """Evaluation, checkpoints, samples and early stopping."""
        return self.setup.trainer.events(
            jax.jit(self.setup.evaluate),
            self.held,
            self.checkpoints,
            self.setup.like,
            samples=self.show_samples,
            derive=self.held.derive,
            facts=lambda: {"run": self.run.facts["id"]},
        )

    def show_samples(self, ended: Fit) -> None:
        """What the model makes of held-out text, kept as samples.md and shown at the end."""
        from fxformer.generate.samples import samples

        setup = self.setup
        batch = setup.objective.corrupt(setup.data.valid(setup.corpus.batch)[0])
        params = ended.state.params if ended.state.ema is None else ended.state.ema
        with self.meter.phase("generate"):
            self.samples = samples(
                setup.objective, setup.objective_with, params, batch, setup.data.tokenizer, rows=3
            )
        lines = [f"# Step {ended.step}"]
        for one in self.samples:
            lines += ["", f"read: {one.read}", "", f"wrote: {one.wrote}", "", f"truth: {one.truth}"]
        self.trackers.text("samples", "\n".join(lines) + "\n")

    def close(self) -> None:
        """The last line of the ledger, however the loop ended."""
        self.ledger.close(self.meter)

    def conclude(self, ended: Fit) -> None:
        """The summary, for the folder and for the person."""
        energy = self.meter.close().total
        numbers = {f"valid_{name}": value for name, value in ended.valid.items()}
        totals = dataclasses.asdict(ended.totals) | {"joules": energy.joules}
        carbon = self.energy.carbon
        cost = {"kwh": carbon.kwh(energy.joules), "gco2e": carbon.gco2e(energy.joules)}
        self.trackers.finish(numbers | totals | cost | {"sigma_joules": energy.sigma})
        summarise(
            self.console,
            self.run.folder,
            status=ended.status,
            facts=self.facts(ended),
            energy=energy,
            carbon=carbon,
            unreadable=self.meter.unreadable,
            samples=self.samples,
        )

    def facts(self, ended: Fit) -> list[tuple[str, str]]:
        """The lines of the summary that are not about energy."""
        rows = [("ended", ended.reason)]
        if "loss" in ended.train:
            rows.append(("loss", f"{plain.loss(ended.train['loss'])} in training"))
        if "loss" in ended.valid:
            words = f"{plain.loss(ended.valid['loss'])} on held-out text"
            for name in ("perplexity", "bits_per_byte", "accuracy"):
                if name in ended.valid:
                    words += f", {name.replace('_', ' ')} {ended.valid[name]:.3g}"
            guess = self.setup.data.facts["unigram_nats"]
            rows += [("", words), ("", f"{guess:.4f} for one that knows only how frequent tokens are")]
        speed = ended.totals.tokens / max(ended.totals.seconds, 1e-9)
        rows.append(("speed", f"{plain.count(speed)} tokens/s, {plain.clock(ended.totals.seconds)}"))
        waited = ended.totals.waited / max(ended.totals.seconds, 1e-9)
        padding = self.setup.data.facts["packing"]["train"]["padding_share"]
        rows.append(("data", f"{padding:.1%} padding, {waited:.1%} of the time waited for"))
        return rows
