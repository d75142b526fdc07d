"""One side in a process of its own: a line on stdin asks for steps, a JSON line answers."""

import json
import resource
import sys
import time


def main(name: str, family: str, shape: str, cache: str, began: str) -> None:
    """Says {ready …} after its first step; then for each line `n` {seconds: [n numbers] …}."""
    side = make(name, family, shape, cache)
    first = side.once()
    say(
        ready_seconds=time.time() - float(began),
        first_step_seconds=first,
        first_loss=side.loss,
        versions=side.versions,
        compile_seconds=side.compile_seconds,
        parameters=side.parameters,
    )
    for line in sys.stdin:
        cpu = time.process_time()
        seconds = side.run(int(line))
        cpu = time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        say(seconds=seconds, cpu_seconds=cpu, loss=side.loss, peak_bytes=peak)


def make(name: str, family: str, shape: str, cache: str):
    """The side, with imports only of what it needs: they are part of its time to start."""
    from benchmarks.work import Shape

    wanted = Shape(**json.loads(shape))
    if name == "fxformer":
        from benchmarks import ours

        return ours.Side(family, wanted, cache or None)
    from benchmarks import peers

    return peers.Side(name, family, wanted)


def say(**facts) -> None:
    """One JSON line to the parent."""
    print(json.dumps(facts), file=ANSWERS, flush=True)


if __name__ == "__main__":
    ANSWERS, sys.stdout = sys.stdout, sys.stderr  # a library that prints must not be taken for us
    main(*sys.argv[1:])
