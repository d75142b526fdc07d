"""`fxformer launch`: several processes of this machine that train one model together.

Each is a `fxformer train` that finds the others through its environment (fxformer/distributed). On
processors without accelerators each simulates devices. The first process that ends badly ends all.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn

from fxformer.arguments import Parser
from fxformer.distributed.config import COORDINATOR, PROCESS, PROCESSES, free_port
from fxformer.errors import UserError

GRACE = 60.0  # seconds that the others are given to end after the first one has
RESUMABLE = 75
WORST_FIRST = (1, 2, 4, 3, RESUMABLE, 0)  # exit codes, as in cli/app.py


def launch_parser() -> Parser:
    """The options before the verb that is launched."""
    parser = Parser(
        "launch",
        "Start several processes of this machine that train one model together, and wait for them. "
        "The words from `train` on are those of each process. Output of process 1 and above is "
        "marked with its number. The exit code is 75 where the run can be resumed.",
        examples=(
            ("--processes 2 --devices 4 train mesh=data", "8 simulated devices on a CPU"),
            ("--processes 8 train mesh=data", "a process for each of 8 GPUs"),
            ("--processes 2 train mesh=fsdp resume=RUN", "resume a run, also with another mesh"),
        ),
    )
    parser.add_argument("--processes", type=int, default=2, metavar="N", help="number (default: 2)")
    parser.add_argument(
        "--devices",
        type=int,
        default=1,
        metavar="M",
        help="devices of each process: GPUs, or simulated ones on a machine without (default: 1)",
    )
    parser.add_argument("--port", type=int, metavar="PORT", help="of process 0 (default: any)")
    return parser


def launch(argv: list[str]) -> NoReturn:
    """Run the processes; SystemExit with the exit code of the run."""
    verb = next((n for n, word in enumerate(argv) if word == "train"), len(argv))
    given = launch_parser().parse(argv[:verb])
    words = argv[verb + 1 :]
    if verb == len(argv):
        raise UserError("fxformer launch: the verb is missing; write fxformer launch … train …")
    if any(word in ("-m", "--multirun") for word in words):
        raise UserError("fxformer launch trains one run; a search (-m) starts each trial by itself")
    for name in ("processes", "devices"):
        if getattr(given, name) < 1:
            raise UserError(f"--{name} {getattr(given, name)}: write 1 or more")
    if not any(word.startswith("distributed=") for word in words):
        words = ["distributed=auto", *words]
    port = given.port or free_port()
    environments = [
        environment(os.environ, process, given.processes, given.devices, port)
        for process in range(given.processes)
    ]
    raise SystemExit(wait_for([started(words, one) for one in environments]))


def environment(
    before: Mapping[str, str], process: int, processes: int, devices: int, port: int
) -> dict[str, str]:
    """Environment of one process: where the others are, and which devices it has."""
    made = dict(before) | {
        COORDINATOR: f"127.0.0.1:{port}",
        PROCESSES: str(processes),
        PROCESS: str(process),
    }
    if has_gpus(before):
        first = process * devices
        made["JAX_LOCAL_DEVICE_IDS"] = ",".join(str(first + n) for n in range(devices))
        return made
    simulated = f"--xla_force_host_platform_device_count={devices}"
    made["XLA_FLAGS"] = f"{before.get('XLA_FLAGS', '')} {simulated}".strip()
    made["JAX_PLATFORMS"] = "cpu"
    return made


def has_gpus(environ: Mapping[str, str]) -> bool:
    """Whether the processes will use GPUs."""
    wanted = environ.get("JAX_PLATFORMS", "")
    return wanted != "cpu" and any(Path("/dev").glob("nvidia[0-9]*"))


def started(words: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen:
    """A process in a session of its own: signals of the terminal reach it through us alone."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fxformer", "train", *words],
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=_end_with_parent,
    )
    mark = "" if environ[PROCESS] == "0" else f"[{environ[PROCESS]}] "
    for source, target in ((process.stdout, sys.stdout), (process.stderr, sys.stderr)):
        assert source is not None
        threading.Thread(target=forward, args=(source, target, mark), daemon=True).start()
    return process


def forward(source: IO[bytes], target: IO[str], mark: str) -> None:
    """Copy lines, each with a mark before it."""
    for line in source:
        if mark and not line.strip():
            continue
        target.write(mark + line.decode(errors="replace"))
        target.flush()


def wait_for(processes: Sequence[subprocess.Popen]) -> int:
    """Wait until all have ended; once one has, the others get GRACE seconds. The exit code."""

    def pass_on(number: int, frame: object) -> None:
        for one in processes:
            if one.poll() is None:
                one.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    ended: float | None = None
    while any(one.poll() is None for one in processes):
        time.sleep(0.05)
        if ended is None and any(one.poll() is not None for one in processes):
            ended = time.monotonic()
        if ended is not None and time.monotonic() - ended > GRACE:
            for one in processes:
                one.kill()
    time.sleep(0.1)  # the last lines are forwarded
    return exit_code([one.wait() for one in processes])


def exit_code(codes: Sequence[int]) -> int:
    """The exit code of all: of those that ended by themselves the worst; a killed one can be
    resumed."""
    own = [RESUMABLE if code < 0 or code >= 128 else code for code in codes]
    return next((code for code in WORST_FIRST if code in own), 1)


def _end_with_parent() -> None:
    """Ask Linux for SIGTERM to this process when the one that started it dies."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
