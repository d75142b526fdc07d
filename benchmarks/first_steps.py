"""`python -m benchmarks first_steps [PRESET …]`: does every objective learn, and what is it worth?

Trains each preset for 200 steps on the text of Python's own library, says how far its held-out loss
came below that of a guess that knows only frequencies, shows a batch as text, then asks all of them
for the same words (`fxformer compare`) at equal tokens and at equal joules. Writes
docs/first_steps.md.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf
from rich.console import Console

from benchmarks.machine import facts
from fxformer.config import folders
from fxformer.evaluate.audit.texts import examples
from fxformer.evaluate.compare import compare, compare_parser
from fxformer.evaluate.scores import RatioEstimate
from fxformer.track.run_reader import StoredRun, find, name_of
from fxformer.train.experiment import Experiment, open_experiment

PAGE = folders.PACKAGE.parent / "docs" / "first_steps.md"
STEPS = 200
SHARED = (
    *("data=stdlib_docs", "tokenizer.vocab_size=2048", "data.length=128", "data.batch=32"),
    *("size=tiny", "model.dropout=0", "optimizer.lr=3e-3", f"trainer.steps={STEPS}"),
    *(f"trainer.eval_every={STEPS}", "trainer.save_every=25", "trainer.keep_checkpoints=9"),
)
SENTINELS = "tokenizer.specials.sentinels=40"
TYPED = ("model=encoder", "model/input=typed", "data/packing=sentence_pairs")
CASES = {
    "clm": ("model=decoder",),
    "prefix": ("model=decoder",),
    "fim": ("model=decoder", SENTINELS),
    "mlm": ("model=encoder",),
    "electra": ("model=encoder", "model/input=typed"),
    "nsp": TYPED,
    "sop": TYPED,
    "denoise": ("model=seq2seq",),
    "t5": ("model=seq2seq", SENTINELS),
    "ul2": ("model=seq2seq", SENTINELS),
}
GUESSED = 48  # training batches whose targets' frequencies are the guess


def guess(task: Experiment) -> float:
    """Nats a target on held-out text, told by the frequencies of the objective's own targets."""
    train = task.data.train(task.corpus.batch, 1)
    valid = task.data.valid(task.corpus.batch)
    counts = np.ones(task.corpus.vocabulary.size)
    for n in range(GUESSED):
        batch = task.objective.corrupt(train[n % train.steps_per_epoch])
        np.add.at(counts, batch.targets[batch.weights > 0], 1)
    scores = -np.log(counts / counts.sum())
    nats, number = 0.0, 0
    for n in range(len(valid)):
        batch = task.objective.corrupt(valid[n])
        nats += float(scores[batch.targets[batch.weights > 0]].sum())
        number += int((batch.weights > 0).sum())
    return nats / number


def share(valid: dict[str, float]) -> float:
    """Nats a token of knowing only the share of replaced ones."""
    replaced = valid["replaced"]
    return -replaced * math.log(replaced) - (1 - replaced) * math.log(1 - replaced)


# what is learned beside the words: (metric, what knows nothing gets)
BESIDES: dict[str, tuple[str, Callable[[dict], float]]] = {
    "electra": ("discriminator_loss", share),
    "nsp": ("sentence_nll", lambda _: math.log(2)),
    "sop": ("sentence_nll", lambda _: math.log(2)),
}


def trained(name: str, root: Path) -> StoredRun:
    """The run of a preset, made by the command a user would write."""
    words = [f"objective={name}", f"name={name}", f"runs={root}", *CASES[name], *SHARED]
    command = [sys.executable, "-m", "fxformer", "train", *words]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        said = f"{' '.join(command)} ended with {done.returncode}:"
        raise SystemExit(f"{said}\n{done.stderr[-3000:]}")
    return find(root, name)


def told(run: StoredRun) -> dict:
    """What a run learned, what a guess would have got, and a piece of its batch as text."""
    name = name_of(run.id)
    task = open_experiment(OmegaConf.load(run.folder / "config.yaml"))
    valid = {k: float(v[-1]) for k, v in run.metrics("valid").items()}
    rows = task.data.train(task.corpus.batch, 0)[0]
    shown = examples(rows, task.objective.corrupt(rows), task.data.tokenizer, 1)
    lines = [("words", guess(task), valid["nll"])]
    if name in BESIDES:
        metric, nothing = BESIDES[name]
        lines.append((metric, nothing(valid), valid[metric]))
    return {"name": name, "lines": lines, "example": shown[0].plain(), "valid": valid}


def page(found: list[dict], tables: list[dict], machine: dict) -> str:
    """The document."""
    lines = [
        "# The first 200 steps",
        "",
        "Written by `python -m benchmarks first_steps`; do not edit. Each objective trains a tiny",
        f"model (2 layers a stack, 128 wide) for {STEPS} steps of 32 × 128 tokens on",
        f"`stdlib_docs`, one seed, {machine['cpu']}. *Guess*: cross-entropy on held-out text of",
        "the frequencies of the objective's own targets (of the share of replaced tokens, of a",
        "coin), in nats; the loss is on the same text. So short a run shows that an objective",
        "learns, not what it is worth.",
        "",
        "| objective | learns | guess | held-out loss | below the guess | time | joules |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for one in found:
        for what, nothing, loss in one["lines"]:
            saved = f"{100 * (1 - loss / nothing):.1f} %"
            cost = f"{one['valid']['seconds']:.0f} s | {one['valid']['joules']:.0f}"
            what = what.replace("_", " ")
            lines.append(
                f"| `{one['name']}` | {what} | {nothing:.3f} | {loss:.3f} | {saved} | {cost} |"
            )
    for table in tables:
        lines += ["", f"## The same words, at equal {table['unit']}", "", *_compared(table)]
    lines += ["", "## What a batch looks like", ""]
    for one in found:
        lines += [f"`{one['name']}`", "", "```text"]
        lines += [f"{what:<7} {text}" for what, text in one["example"].items()] + ["```", ""]
    return "\n".join(lines).rstrip() + "\n"


def _compared(table: dict) -> list[str]:
    """The scores of `fxformer compare`."""
    lines = [
        f"Bits per byte ± one standard error of the same words in {table['passages']} passages of "
        f"held-out text, at no more than {table['budget']:,.0f} {table['unit']} each; see "
        "`fxformer compare --help`. *: reads the left side only. A masked LM is told how many "
        "tokens are missing. Probe: a linear probe on frozen features names the document of a "
        "passage.",
        "",
        "| objective | step | GFLOP | joules | infill | follow | pseudo | probe | untrained |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for run, spent, scores in table["runs"]:
        bits = [scores.infill, scores.follow, scores.pseudo]
        cells = [_bits(one) for one in bits]
        cells[0] += "*" if scores.blind else ""
        cells += [f"{100 * one.value:.1f} %" for one in (scores.probe, scores.untrained)]
        name = name_of(run.id)
        cost = f"{spent.step} | {spent.flops / 1e9:,.0f} | {spent.joules:.0f}"
        lines.append(f"| `{name}` | {cost} | " + " | ".join(cells) + " |")
    return lines


def _bits(one: RatioEstimate | None) -> str:
    return "–" if one is None else f"{one.value:.3f} ± {one.error:.3f}"


def main(argv: list[str]) -> int:
    """Train, compare, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks first_steps")
    parser.add_argument("presets", nargs="*", help=f"of {', '.join(CASES)}; none: all")
    parser.add_argument("--runs", type=Path, help="keep runs here, and use those that are there")
    given, console = parser.parse_args(argv), Console()
    if unknown := set(given.presets) - set(CASES):
        parser.error(f"{sorted(unknown)} are none of {', '.join(CASES)}")
    with tempfile.TemporaryDirectory() as folder:
        root = given.runs or Path(folder)
        names, found = given.presets or list(CASES), []
        for name in names:
            with console.status(f"{name}: {STEPS} steps"):
                there = list(root.glob(f"*-{name}/run.json"))
                run = StoredRun(there[-1].parent) if there else trained(name, root)
                found.append(told(run))
            console.print(name, json.dumps(found[-1]["lines"]))
        tables = []
        for unit in ("tokens", "joules"):
            compared = compare(
                compare_parser().parse([*names, f"runs={root}", "--at", unit]), console
            )
            tables.append(
                {name: getattr(compared, name) for name in ("unit", "budget", "passages", "runs")}
            )
        PAGE.write_text(page(found, tables, facts()), encoding="utf-8")
    console.print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
