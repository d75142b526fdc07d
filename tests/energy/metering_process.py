"""A process that meters a fake RAPL beside others.

python -m tests.energy.metering_process ROOT SHARED FILE BUSY SECONDS END: keeps its core busy for
the share BUSY of the time, and writes the joules it has counted and the processor seconds it has
used to FILE; END is "leaves", "stays" or "dies" (of SIGKILL).
"""

import os
import signal
import sys
import time
from pathlib import Path

from fxformer.energy.rapl import RAPL
from fxformer.energy.shared_counter import SharedCounter


def main(
    root: Path, shared_folder: Path, file: Path, busy: float, seconds: float, end: str
) -> None:
    """Meter for so many seconds."""
    shared = SharedCounter(RAPL(sigma=0.05, every=0.0, root=root), {}, folder=shared_folder)
    print("joined", flush=True)
    sys.stdin.readline()
    began = time.process_time()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        used = time.process_time() + 0.1 * busy
        while time.process_time() < used:
            pass
        time.sleep(0.4 * (1 - busy))
        joules = sum(reading.joules for reading in shared.read())
        file.write_text(f"{joules} {time.process_time() - began}")
    if end == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if end == "leaves":
        shared.close()


if __name__ == "__main__":
    paths, (how, span), last = sys.argv[1:4], sys.argv[4:6], sys.argv[6]
    main(*map(Path, paths), float(how), float(span), last)
