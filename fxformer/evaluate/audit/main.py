"""Run one audit, from a checked config to its verdict."""

from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fxformer.config.build import build
from fxformer.errors import UserError
from fxformer.evaluate.audit.cost import milliseconds, step_milliseconds
from fxformer.evaluate.audit.draw import Drawn, draw
from fxformer.evaluate.audit.knobs import Audit
from fxformer.evaluate.audit.report import Report, machine
from fxformer.evaluate.audit.table import show
from fxformer.evaluate.audit.texts import examples
from fxformer.train.experiment import Experiment, open_experiment


def main(cfg: DictConfig) -> bool:
    """Draw, judge, print, and write JSON if asked; returns whether every rule holds."""
    if cfg.resume is not None:
        raise UserError("resume: an audit goes on with no run; leave it out")
    console, knobs = Console(), build(cfg.audit)
    with console.status("reading the corpus, building the objective …"):
        task = open_experiment(cfg)
    report = examine(cfg, task, knobs, console)
    show(report, console)
    if knobs.json is not None:
        report.save(knobs.json)
    return report.holds


def examine(cfg: DictConfig, task: Experiment, knobs: Audit, console: Console) -> Report:
    """Everything the report says, measured."""
    corpus, data = task.corpus, task.data
    batches = data.train(corpus.batch, cfg.seed)
    rows = batches[0]
    shown = examples(rows, task.objective.corrupt(rows), data.tokenizer, knobs.examples)
    facts = {
        "seed": cfg.seed,
        "settings": plainly(cfg.objective),
        "data": {name: data.facts[name] for name in ("corpus_hash", "tokenizer_hash", "length")},
        "machine": machine(),
    }
    return Report(
        name=chosen(cfg),
        drawn=watched(task, knobs, cfg.seed, console),
        alpha=knobs.alpha,
        shape=(corpus.batch, corpus.length),
        corrupt_ms=milliseconds(task.objective, batches),
        step_ms=step_milliseconds(cfg, knobs.steps) if knobs.steps else None,
        examples=shown,
        facts=facts,
    )


def watched(task: Experiment, knobs: Audit, seed: int, console: Console) -> Drawn:
    """The draws, with a bar on a terminal."""
    rows = min(knobs.rows, len(task.data.packed["train"]))
    columns = (
        TextColumn("drawing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("examples"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        line = bar.add_task("", total=knobs.draws)
        return draw(
            task.objective,
            task.data.train(rows, seed),
            knobs.draws,
            alpha=knobs.alpha,
            watch=lambda seen: bar.update(line, completed=seen),
        )


def chosen(cfg: DictConfig) -> str:
    """The objective as the command line names it, or its class."""
    if HydraConfig.initialized():
        return str(HydraConfig.get().runtime.choices["objective"])
    return cfg.objective._target_.rpartition(".")[2]


def plainly(node: DictConfig) -> dict[str, Any]:
    """A part of the config as plain values."""
    from omegaconf import OmegaConf

    return cast(dict[str, Any], OmegaConf.to_container(node, resolve=True))
