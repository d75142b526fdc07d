"""`fxformer` as a process: started, waited for, killed; in this process, where that is enough; and
what its folder then holds."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import jax

ROOT = Path(__file__).resolve().parents[2]
HELD = str(Path(__file__).with_name("paused_command.py"))
CACHE = os.environ["JAX_COMPILATION_CACHE_DIR"]  # of all tests: programs of one serve the others
SMALL = ("model.dim=16", "model.heads=2", "model.ffn.hidden=32", "data.length=16", "data.batch=8")
CHAIN = ("data=markov", "tokenizer=none", "data.symbols=8", "data.valid_examples=32", "energy=tdp")
DECODER = ("model=gpt2", "objective=clm", *CHAIN, *SMALL, f"trainer.compile_cache={CACHE}")


def start(
    *argv: str, folder: Path, hold: int | None = None, **environment: str
) -> subprocess.Popen:
    """The command, begun in `folder`; output in its out.txt and err.txt.

    hold: step after which it waits for a signal; see paused_command.py
    """
    env = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "COLUMNS": "100"}
    env |= {"FXFORMER_NO_TUNING": "1", "JAX_COMPILATION_CACHE_DIR": CACHE} | environment
    with (folder / "out.txt").open("w") as out, (folder / "err.txt").open("w") as err:
        module = ["-m", "fxformer"] if hold is None else [HELD, str(hold)]
        command = [sys.executable, *module, *argv]
        return subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=err)


def fxformer(*argv: str, folder: Path, **environment: str) -> tuple[int, str, str]:
    """The command, run in `folder` to its end: exit code, stdout, stderr."""
    code = start(*argv, folder=folder, **environment).wait(600)
    return code, (folder / "out.txt").read_text(), (folder / "err.txt").read_text()


def called(*argv: str, folder: Path) -> tuple[int, str, str]:
    """The command in this process, which saves the seconds that starting another takes: exit code,
    stdout, stderr."""
    from fxformer.__main__ import main

    out, err, cache = io.StringIO(), io.StringIO(), _cache_options()
    with contextlib.ExitStack() as until_done:
        until_done.callback(lambda: [jax.config.update(*option) for option in cache.items()])
        until_done.enter_context(contextlib.chdir(folder))
        until_done.enter_context(mock.patch.dict(os.environ, COLUMNS="100"))
        until_done.enter_context(contextlib.redirect_stdout(out))
        until_done.enter_context(contextlib.redirect_stderr(err))
        try:
            code = main(list(argv))
        except SystemExit as end:
            code = end.code
    return code, out.getvalue(), err.getvalue()


def _cache_options() -> dict[str, Any]:
    """What a command changes of jax in its process."""
    names = (
        "compilation_cache_dir",
        "enable_compilation_cache",
        "persistent_cache_min_compile_time_secs",
        "persistent_cache_min_entry_size_bytes",
    )
    return {f"jax_{name}": getattr(jax.config, f"jax_{name}") for name in names}


def trace(run: Path, split: str = "train", name: str = "metrics") -> dict[int, str]:
    """{step: loss, bit for bit} of a run."""
    return {line["step"]: line["loss"].hex() for line in lines(run, name) if line["split"] == split}


def lines(run: Path, name: str = "metrics") -> list[dict]:
    """The whole lines of a log of a run."""
    text = (run / f"{name}.jsonl").read_text() if (run / f"{name}.jsonl").exists() else ""
    return [json.loads(line) for line in text.splitlines(True) if line.endswith("\n")]


def facts(run: Path) -> dict:
    """run.json."""
    return json.loads((run / "run.json").read_text())


def only(folder: Path) -> Path:
    """The one run there is."""
    (run,) = (folder / "runs").glob("2*")
    return run


def until(step: int, process: subprocess.Popen, folder: Path, seconds: float = 600) -> Path | None:
    """Wait until a run has logged `step`, or its process has ended; the run."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        for run in (folder / "runs").glob("2*"):
            if any(line["step"] >= step for line in lines(run)):
                return run
        time.sleep(0.01)
    return None


def kill(process: subprocess.Popen) -> int:
    """As the out-of-memory killer does; returns the exit code."""
    process.send_signal(signal.SIGKILL)
    return process.wait()
