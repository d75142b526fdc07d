"""A run of a few steps that is begun, or gone on with, in this process; for crash points.

python run.py ROOT NUMBER      dies of SIGKILL at that crash point
"""

import contextlib
import dataclasses
import os
import sys
from pathlib import Path

from omegaconf import DictConfig, open_dict

from fxformer.config.build import build
from fxformer.config.resume import resumed
from fxformer.distributed.group import ONE_PROCESS, ProcessGroup
from fxformer.track import provenance, run_reader
from fxformer.train import main, trainer
from fxformer.train.compile import compile_step
from fxformer.train.setup import Setup, set_up
from tests.faults.crashes import Points, kill_at, watched
from tests.physics.training import composed

STEPS = 12
CACHE = os.environ.get("JAX_COMPILATION_CACHE_DIR", "null")  # of the tests
WORDS = (
    "model=gpt2", "size=tiny", "objective=clm", "data=text", "tokenizer=char", "energy=tdp",
    "model.layers=1", "model.dim=8", "model.heads=2", "model.ffn.hidden=8", "data.length=8",
    "data.batch=4", "data.workers=0", f"trainer.steps={STEPS}", "trainer.save_every=1",
    "trainer.eval_every=4", f"trainer.compile_cache={CACHE}", "energy.ledger_every_seconds=0.001",
)  # fmt: skip


def text(folder: Path) -> str:
    """A corpus; the path for data.files."""
    words = ("a cat", "the dog", "my old hen", "no fox", "one owl")
    lines = [f"{words[n % 5]} sat by {words[n * n % 5]} {n % 7}" for n in range(60)]
    (folder / "text.txt").write_text("\n".join(lines))
    return f"data.files={folder}/text.txt"


class Runner:
    """Compiles once; `go` then begins a run in `root`, or goes on with the one that is there."""

    def __init__(self, root: Path, corpus: str):
        words = [*WORDS, corpus, "data.document_is=line", f"runs={root}/runs"]
        self.root, self.cfg = root, composed(*words, f"data.cache_dir={root}/cache")
        with open_dict(self.cfg):
            self.cfg.pop("search", None)
        self.setup, self.program = None, None
        self.gathered = provenance.gather()

    def set_up(self, cfg: DictConfig, group: ProcessGroup = ONE_PROCESS) -> Setup:
        """The corpus read and kept anew, as for any run; all else as it was the first time."""
        if self.setup is None:
            self.setup = set_up(cfg, group)
            return self.setup
        first, corpus = self.setup, build(cfg.data)(tokenizer=build(cfg.tokenizer))
        data = corpus.prepare(first.objective.row_length(corpus.length))
        again = dataclasses.replace(first, cfg=cfg, corpus=corpus, data=data)
        again.__dict__["flops_per_token"] = first.flops_per_token
        return again

    def compiled(self, *args, **knobs):
        """The step, compiled the first time only."""
        if self.program is None:
            setup, jitted = self.setup, compile_step(*args, **knobs)
            self.program = jitted.lower(
                setup.abstract_state, setup.put(setup.example_batch)
            ).compile()
        return Once(self.program)

    def go(self) -> Path:
        """The run's folder, at its end. RuntimeError where it does not end as done."""
        cfg, there = self.cfg, run_reader.runs(self.root / "runs") if self.root.exists() else []
        if there:
            cfg = resumed(self.cfg, [], there[-1].folder)
        with contextlib.ExitStack() as stack, open(os.devnull, "w") as quiet:
            stack.enter_context(contextlib.redirect_stdout(quiet))
            for module, name, value in (
                (main, "set_up", self.set_up),
                (trainer, "compile_step", self.compiled),
                (trainer, "generate_samples", lambda *args, **knobs: []),
                (provenance, "gather", lambda *_: self.gathered),
            ):
                stack.callback(setattr, module, name, getattr(module, name))
                setattr(module, name, value)
            main.main(cfg)
        return run_reader.runs(self.root / "runs")[-1].folder


class Once:
    """Stands for a step that was compiled before."""

    def __init__(self, program):
        self.program = program

    def lower(self, *args):
        return self

    def compile(self):
        return self.program


if __name__ == "__main__":
    place, number = Path(sys.argv[1]), int(sys.argv[2])
    runner = Runner(place / "root", text(place))
    with watched(Points(place / "root", kill_at(number))):
        runner.go()
