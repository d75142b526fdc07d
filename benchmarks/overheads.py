"""What a step costs besides the step: corrupting its rows, and the loop around it."""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing

from benchmarks.work import Shape


def corrupting(shape: Shape) -> dict[str, dict]:
    """{preset: architecture, rows, length, and seconds that `corrupt` takes for one batch}; the
    loader does it in threads beside the step."""
    from fxformer.launch.page import architecture, presets, timed, words

    found = {}
    for name in presets():
        (rows, length), ms = timed(words(name), (shape.batch, shape.length))
        kind = architecture(name)
        found[name] = {"family": kind, "rows": rows, "length": length, "seconds": ms / 1e3}
    return found


def looping(steps: int = 300) -> float:
    """Seconds a step takes in the loop, with meter and run folder, when the step does nothing."""
    import jax.numpy as jnp

    from benchmarks.ours import config
    from fxformer.config.build import build
    from fxformer.track.run import Run
    from fxformer.train.loop import fit
    from fxformer.train.state import State

    cfg, zero = config("decoder", Shape()), jnp.int32(0)
    state = State(zero, {}, (), None, jnp.zeros(2, jnp.uint32), zero, zero)
    one = jnp.float32(1)
    sums = {name: (one, one) for name in ("loss", "nll", "accuracy", "gradient_norm", "tokens")}
    with tempfile.TemporaryDirectory() as folder, closing(build(cfg.energy).open()) as meter:
        run, trackers = Run.create(folder, "loop", config=cfg), build(cfg.tracker)
        trackers.start(run)
        began = time.perf_counter()
        ended = fit(lambda state, _: (state, sums), state, ((n, n) for n in range(steps)),
            until=steps, tracker=trackers, meter=meter)  # fmt: skip
        seconds = (time.perf_counter() - began) / steps
        assert ended.step == steps, ended.reason
        trackers.finish({})
        run.finish("done", "measured")
    return seconds


def overheads(shape: Shape) -> dict:
    """{"loop": seconds a step, "corrupt": see `corrupting`}, measured in a process of its own."""
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
    print(json.dumps({"corrupt": corrupting(wanted), "loop": looping()}))
