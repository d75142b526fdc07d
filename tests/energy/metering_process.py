"""A process that meters a fake RAPL beside others, in steps that its parent asks for.

python -m tests.energy.metering_process ROOT SHARED BUSY: says "joined", then does what each line of
stdin says. "work": uses BUSY · 0.1 processor seconds, answers "worked"; "read": takes its part of
the counter, answers with its joules and processor seconds so far; "leave": stops metering and ends;
"die": SIGKILL.
"""

import os
import signal
import sys
import time
from pathlib import Path

from fxformer.energy.rapl import RAPL
from fxformer.energy.shared_counter import SharedCounter


def main(root: Path, shared_folder: Path, busy: float) -> None:
    """Answer line after line."""
    shared = SharedCounter(RAPL(sigma=0.05, every=0.0, root=root), {}, folder=shared_folder)
    print("joined", flush=True)
    began = time.process_time()
    for word in map(str.strip, sys.stdin):
        if word == "work":
            until = time.process_time() + 0.1 * busy
            while time.process_time() < until:
                pass
            print("worked", flush=True)
        elif word == "read":
            joules = sum(reading.joules for reading in shared.read())
            print(joules, time.process_time() - began, flush=True)
        elif word == "leave":
            shared.close()
            return
        elif word == "die":
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
