"""One run, from a checked config to its summary."""

import contextlib
import functools
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import jax
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from fxformer.config import folders
from fxformer.config.build import build, cause
from fxformer.distributed.group import ProcessGroup
from fxformer.energy import ledger
from fxformer.energy.config import TDPEnergy
from fxformer.energy.crosscheck import CrossCheck
from fxformer.energy.ledger import Ledger
from fxformer.energy.meter import Meter
from fxformer.errors import UserError
from fxformer.track.run import Run
from fxformer.track.run_reader import GRID_FILE, StoredRun, name_of
from fxformer.train import signals, tensor_parallel
from fxformer.train.callbacks import Callback
from fxformer.train.checkpoint import FULL
from fxformer.train.checkpoint_folder import steps_in
from fxformer.train.compile import use_compile_cache
from fxformer.train.frozen_body import is_frozen
from fxformer.train.memory_check import check_memory
from fxformer.train.mixture_summary import tell_repeats
from fxformer.train.processes import Processes, code_facts, is_communication
from fxformer.train.setup import Setup, set_up
from fxformer.train.trainer import Trainer

HASHES = ("corpus_hash", "tokenizer_hash")  # of the data of a run, which stay the same


class Watch(Protocol):
    """A search that this run is a trial of. facts: for run.json"""

    @property
    def facts(self) -> Mapping[str, Any]: ...

    def __call__(
        self, run: Run, kwh: Callable[[float], float], until: int, group: ProcessGroup
    ) -> Callback:
        """What is to happen after evaluations. kwh: joules -> kWh; until: the last step; group: the
        processes of the run"""
        ...


def main(cfg: DictConfig, watch: Watch | None = None) -> None:
    """Train as `cfg` says. Raises SystemExit where the run does not end as done (75, 3)."""
    processes = Processes(build(cfg.distributed).join())
    if not processes.group.alone:
        check_distributed(cfg)
    with processes.guarded():
        processes.require_same("the", lambda: code_facts(cfg))
        attempt(cfg, processes, watch)


def check_distributed(cfg: DictConfig) -> None:
    """Raise UserError for what one process alone can do."""
    refused = {
        "task.frozen=true": is_frozen(cfg),
        "trainer.schedule_on=budget": cfg.trainer.schedule_on == "budget",
    }
    if found := [what for what, there in refused.items() if there]:
        raise UserError(f"{found[0]} needs distributed=none: it is for a single process")


def attempt(cfg: DictConfig, processes: Processes, watch: Watch | None) -> None:
    """One attempt at a run, in this process and the others that it trains with."""
    console = processes.console()
    if cfg.resume and not goes_on(cfg, console):
        return
    use_compile_cache(cfg.trainer.compile_cache)
    stored = cfg.resume and processes.group.first
    prior = ledger.totals(Path(cfg.resume, "energy.jsonl")) if stored else None
    energy = build(cfg.energy)
    kinds = [d.device_kind for d in jax.local_devices() if d.platform != "cpu"]
    # Closed whatever comes: the next job of this process must find its counters and tools free.
    with contextlib.closing(energy.open(accelerators=kinds, prior=prior, startup=True)) as meter:
        processes.count_all(meter)
        with contextlib.closing(energy.cross_check(meter)) as check:
            train(cfg, energy, meter, check, console, watch, processes)


def train(
    cfg: DictConfig,
    energy: TDPEnergy,
    meter: Meter,
    check: CrossCheck,
    console: Console,
    watch: Watch | None,
    processes: Processes,
) -> None:
    """The same with an open meter, and the tool that counts beside it, if one does."""
    facts = {} if watch is None else watch.facts
    own = functools.partial(begin_ledger, cfg, energy, facts)
    kept = processes.ledger(own, energy.ledger_every_seconds)
    try:
        kept.start_thread(meter)
        with meter.phase("startup"), console.status("reading the corpus, checking the model …"):
            check.begin()
            setup = set_up(cfg, processes.group)
            check_memory(setup)
        cfg = setup.cfg
        facts_of_data = setup.data.facts
        processes.require_same("the data:", lambda: {n: facts_of_data[n] for n in HASHES})
        facts = {**facts, **processes.facts()}
        run = open_run(cfg, setup, facts) if processes.group.first else None
        run = processes.run(run, cfg)
        if watch is None:  # a search says it once for all its trials
            if size := run.facts.get("size"):
                console.print(size_line(size), highlight=False)
            energy.carbon.warn_of_default()
        setup.corpus.show(console)
        tell_repeats(setup, console)
        for words in tensor_parallel.notes(
            setup.abstract_state.params, build(cfg.mesh), setup.mesh
        ):
            console.print(words, highlight=False)
        if not cfg.resume:
            kept.move(run.folder / "energy.jsonl")
    except BaseException as error:
        end = kept.discard if isinstance(cause(error), UserError) else kept.close
        end(meter)
        raise
    left = "stopped before it could save; resume continues from the newest checkpoint"
    signals.deadline.leave["run"] = lambda name: run.finish("interrupted", f"{name}: {left}")
    try:
        if processes.group.first:
            keep_grid(energy, run)
        last = cfg.trainer.steps
        more = [watch(run, energy.carbon.kwh, last, processes.group)] if watch else []
        trainer = Trainer(setup, run, meter, kept, energy, console, check, processes, more)
        ended = trainer.train()
    except BaseException as error:
        processes.judge(error)
        kept.close(meter)
        full = isinstance(error, OSError) and error.errno in FULL
        again = full or is_communication(error) or isinstance(error, KeyboardInterrupt)
        run.finish("interrupted" if again else "failed", f"{type(error).__name__}: {error}")
        raise
    assert ended.status is not None  # the loop ends only with one
    run.finish(ended.status, ended.reason)
    processes.leave()
    if ended.code:
        raise SystemExit(ended.code)


def begin_ledger(cfg: DictConfig, energy: TDPEnergy, facts: Mapping[str, Any]) -> Ledger:
    """The attempt's account: in the folder of a run that is resumed, else among the starts.

    facts: of the search that the run is a trial of
    """
    every, carbon = energy.ledger_every_seconds, energy.carbon
    if cfg.resume:
        return Ledger(Path(cfg.resume, "energy.jsonl"), every=every)
    price = {"pue": carbon.pue, "gco2e_per_kwh": carbon.grid.gco2e_per_kwh}
    try:
        return Ledger.for_new_run(cfg.runs, every=every, start=dict(facts) | price)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise UserError(f"runs={cfg.runs}: no run can be written there ({error})") from error


def keep_grid(energy: TDPEnergy, run: Run) -> None:
    """Put the hourly file into the run's folder, for who reads it when the file has moved."""
    hourly, kept = energy.carbon.hourly, run.folder / GRID_FILE
    if hourly is not None and Path(hourly.file).resolve() != kept.resolve():
        shutil.copyfile(hourly.file, kept)


def goes_on(cfg: DictConfig, console: Console) -> bool:
    """Whether a resumed run has steps to make; says so where it has not, or has more than it had.

    The schedule stretches over trainer.steps: with more of them it is drawn anew.
    """
    stored, steps = StoredRun(cfg.resume), cfg.trainer.steps
    before = stored.config["trainer"]["steps"]
    made = max((line["step"] for line in stored.lines), default=0)
    newest = max(steps_in(stored.folder / "checkpoints"), default=None)
    if stored.status == "done" and newest is None:
        raise UserError(
            f"resume: {stored.id} is done, but its checkpoints were deleted: it cannot be "
            "continued; start a new run"
        )
    if stored.status == "done" and newest is not None and newest < made:
        console.print(
            f"the newest checkpoint is that of step {newest} of {made}: training continues there",
            highlight=False,
        )
    elif stored.status == "done" and made >= steps:
        more = f"fxformer train resume={stored.id} trainer.steps={2 * made}"
        console.print(
            f"{stored.id} is done after {made} steps. To continue: {more}", highlight=False
        )
        return False
    if steps != before:
        how = f"follows its schedule over {steps} steps from here; trainer.extend=hold keeps it"
        if cfg.trainer.get("extend") == "hold":
            how = f"stays as it was at step {before} and decays at the end"
        words = f"trainer.steps was {before} and is {steps}: the learning rate {how}"
        console.print(words, highlight=False)
    return True


def open_run(cfg: DictConfig, setup: Setup, more: Mapping[str, Any]) -> Run:
    """The folder of a new run, or of the one that is resumed if its data are still the same.

    more: facts for run.json
    """
    facts: dict[str, Any] = {**setup.facts(), **words(), **more}
    if not cfg.resume:
        facts["size"] = size_facts(cfg)
        run = Run.create(cfg.runs, cfg.name or title(cfg), config=cfg, facts=facts)
        setup.data.tokenizer.save(run.folder / "tokenizer")
        return run
    run = Run.reopen(cfg.resume, config=cfg)
    for name in HASHES:
        before, now = run.facts["data"][name], facts["data"][name]
        if before != now:
            reason = f"its {name} was {before}, it is now {now}: the data have changed"
            run.finish("interrupted", reason)
            raise UserError(f"resume: {run.folder} cannot be continued: {reason}; start a new run")
    return run


def words() -> dict[str, list[str]]:
    """The overrides that make this run alone, also where its command made many."""
    known = HydraConfig.initialized()
    return {"overrides": list(HydraConfig.get().overrides.task)} if known else {}


def size_facts(cfg: DictConfig) -> dict[str, str | None] | None:
    """Which size options set the shape of the model, for run.json.

    `published` is None where the family has no published shape of this size, and the generic one
    of conf/size applies. None where the shape is that of a checkpoint, or Hydra has not started.
    """
    if not HydraConfig.initialized() or checkpoint_names(cfg):
        return None
    chosen = HydraConfig.get().runtime.choices
    published, known = chosen.get("size/published"), folders.option_files("size/published")
    return {
        "model": chosen["model"],
        "option": chosen["size"],
        "published": published if published in {file.stem for file in known} else None,
    }


def size_line(size: Mapping[str, str | None]) -> str:
    """The facts of `size_facts` as a line for the terminal."""
    model, option = size["model"], size["option"]
    if size["published"]:
        return f"size={option}: the published {option} of {model} (size/published)"
    return f"size={option}: the generic shape; there is no size/published={model}_{option}"


def checkpoint_names(cfg: DictConfig) -> list[str]:
    """Names of the checkpoints whose architecture the model has; [] where model= is given."""
    warm_start = cfg.get("warm_start") or {}
    given = any(word.partition("=")[0] == "model" for word in HydraConfig.get().overrides.task)
    sources = [str(warm_start[k]) for k in ("from", "encoder", "decoder") if warm_start.get(k)]
    return [] if given else [name_of(Path(source).name) for source in sources]


def title(cfg: DictConfig) -> str:
    """The choices in a few words; with warm_start=, its source in place of an unchosen model."""
    if not HydraConfig.initialized():
        return "run"
    chosen, sources = HydraConfig.get().runtime.choices, checkpoint_names(cfg)
    first = ["from", *sources] if sources else [str(chosen[group]) for group in ("model", "size")]
    last = [chosen["task"]] if chosen.get("task") else [chosen["objective"], chosen["data"]]
    return "-".join([*first, *map(str, last)])
