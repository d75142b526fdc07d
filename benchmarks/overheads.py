"""What a step costs besides the step: corrupting its rows, and the loop around it."""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import closing

from benchmarks.meter import looped, metering
from benchmarks.work import Shape


def corrupting(shape: Shape) -> dict[str, dict]:
    """{preset: architecture, rows, length, and seconds that `corrupt` takes for one batch}; the
    loader does it in threads beside the step."""
    from fxformer.cli.objectives_doc import architecture, presets, timed, words

    found = {}
    for name in presets():
        (rows, length), ms = timed(words(name), (shape.batch, shape.length))
        kind = architecture(name)
        found[name] = {"family": kind, "rows": rows, "length": length, "seconds": ms / 1e3}
    return found


def looping() -> float:
    """Seconds a step takes in the loop, with meter and run folder, when the step does nothing."""
    from benchmarks.ours import config
    from fxformer.config.build import build
    from fxformer.track.run import Run

    cfg = config("decoder", Shape())
    with tempfile.TemporaryDirectory() as folder, closing(build(cfg.energy).open()) as meter:
        run, trackers = Run.create(folder, "loop", config=cfg), build(cfg.tracker)
        trackers.start(run)
        seconds = looped(meter, trackers, 300)
        trackers.finish({})
        run.finish("done", "measured")
    return seconds


def overheads(shape: Shape) -> dict:
    """{"loop", "meter": seconds a step, "corrupt": see `corrupting`}, in a process of its own."""
    from benchmarks.duel import environment

    text = json.dumps(shape.__dict__)
    command = [sys.executable, "-m", "benchmarks.overheads", text]
    quiet = subprocess.DEVNULL if os.environ.get("QUIET", "1") == "1" else None
    done = subprocess.run(
        command, env=environment(), stdout=subprocess.PIPE, stderr=quiet, check=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    wanted = Shape(**json.loads(sys.argv[1]))
    found = {"corrupt": corrupting(wanted), "loop": looping(), "meter": metering()}
    print(json.dumps(found))
