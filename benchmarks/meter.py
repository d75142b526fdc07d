"""`python -m benchmarks meter`: what the meter costs a step; `make bench` tells it too.

In processor seconds, which what else the machine does can hardly blur.
"""

import contextlib
import datetime
import json
import statistics
import sys
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
STEPS, TURNS = 1000, 5


class Silent:
    """A meter that counts nothing, and a tracker that keeps nothing."""

    def read(self) -> float:
        return 0.0

    def phase(self, name: str) -> contextlib.AbstractContextManager:
        return contextlib.nullcontext()

    def log(self, step: int, split: str, metrics: dict[str, float]) -> None: ...


def metering() -> float:
    """Processor seconds a step takes more in the loop with the configured meter than without one:
    the median of some turns, each beside one without."""
    from benchmarks.ours import config
    from benchmarks.work import Shape
    from fxformer.config.build import build

    energy = build(config("decoder", Shape()).energy)
    more = []
    for _ in range(TURNS):
        bare = looped(Silent(), clock=time.process_time)
        with contextlib.closing(energy.open(accelerators=[])) as meter:
            more.append(looped(meter, clock=time.process_time) - bare)
    return statistics.median(more)


def looped(meter, tracker=None, steps: int = STEPS, clock=time.perf_counter) -> float:
    """Seconds of a step that does nothing, in the real loop."""
    import jax.numpy as jnp

    from fxformer.train.loop import fit
    from fxformer.train.state import State

    zero, one = jnp.int32(0), jnp.float32(1)
    state = State(zero, {}, (), None, jnp.zeros(2, jnp.uint32), zero, zero)
    sums = {name: (one, one) for name in ("loss", "nll", "accuracy", "gradient_norm", "tokens")}
    began = clock()
    ended = fit(lambda state, _: (state, sums), state, ((n, n) for n in range(steps)),
        until=steps, tracker=tracker or Silent(), meter=meter)  # fmt: skip
    assert ended.step == steps, ended.reason
    return (clock() - began) / steps


def main() -> int:
    """Measure beside the steps that `make bench` times, show, save."""
    from rich.console import Console

    from benchmarks.machine import facts
    from benchmarks.ours import Side
    from benchmarks.work import FAMILIES, Shape

    machine, seconds, steps = facts(), metering(), {}
    for family in FAMILIES:
        side = Side(family, Shape())
        side.run(1)
        began = time.process_time()
        side.run(3)
        steps[family] = (time.process_time() - began) / 3 / machine["cores"]  # all cores at work
    share = seconds / min(steps.values())
    now = datetime.datetime.now(datetime.UTC)
    body = {"date": f"{now:%Y-%m-%d}", "machine": machine, "meter_processor_seconds": seconds,
            "step_processor_seconds_a_core": steps, "share": share}  # fmt: skip
    path = RESULTS / f"meter-{now:%Y-%m-%d}.json"
    path.write_text(json.dumps(body, indent=1) + "\n")
    Console().print(f"{seconds * 1e6:.1f} µs a step, {share:.4%} of the quickest; kept in {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
