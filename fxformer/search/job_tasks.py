"""Tasks of one cluster job whose processes train each trial of a search together.

Task 0 runs the worker of the study; the process of its trial is process 0. For each trial it writes
a call into a folder that all tasks share. The other tasks start their process of the trial with it,
wait until that ends, and look for the next call. Only files are exchanged, no messages of a
particular cluster, so SLURM, Ray and one machine work alike.
"""

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from fxformer import jsonl
from fxformer.distributed.config import COORDINATOR, PROCESS, PROCESSES, free_port
from fxformer.errors import UserError
from fxformer.search.trial_env import RESUMABLE, TrialEnv

VARIABLE = "FXFORMER_JOB_TASK"
CALL = "call.json"
POLL = 0.2  # seconds between looks into the folder
SIGN = 5.0  # seconds between signs of life of task 0 and of the others
LOST = 120.0  # seconds without one after which a task counts as lost
START = 600.0  # seconds that the tasks of a job wait for each other at the start


@dataclasses.dataclass(frozen=True)
class JobTask:
    """A task of a job.

    folder: that all tasks of the job share, of this job alone
    rank, count: number of this task, from 0, and how many there are
    host: name or address of its machine, where the other tasks reach it
    devices: numbers of the accelerators of its machine that it uses; None: all
    """

    folder: str
    rank: int
    count: int
    host: str = dataclasses.field(default_factory=socket.gethostname)
    devices: tuple[int, ...] | None = None

    def environment(self) -> dict[str, str]:
        """The environment variables of a worker in task 0."""
        return {VARIABLE: json.dumps(dataclasses.asdict(self))}

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self | None:
        """The task of this process; None: it is in no job of several tasks."""
        return cls(**json.loads(environ[VARIABLE])) if VARIABLE in environ else None

    def place(self, coordinator: str) -> dict[str, str]:
        """The environment variables of the process of a trial in this task."""
        found = {COORDINATOR: coordinator, PROCESSES: str(self.count), PROCESS: str(self.rank)}
        if self.devices is not None:
            found["JAX_LOCAL_DEVICE_IDS"] = ",".join(map(str, self.devices))
        return found


class Leader:
    """Task 0: calls the other tasks to each trial of its worker."""

    def __init__(self, task: JobTask):
        self.task, self.folder = task, Path(task.folder)
        self.token, self.number = uuid.uuid4().hex, 0
        self.folder.mkdir(parents=True, exist_ok=True)
        self._seen: dict[int, tuple[int, float]] = {}  # last sign of life, and when it was noticed
        self._ended = threading.Event()
        self._write({})

    def called(self, command: Sequence[str], env: TrialEnv) -> tuple[list[str], dict[str, str]]:
        """Call the others to a trial: the command and the environment of its process 0.

        Waits until all tasks of the job have been started. Raises UserError where they are not.
        """
        self._require_all()
        host = self.task.host if self._others_elsewhere() else "127.0.0.1"
        words = [word for word in command if not word.startswith("distributed=")]
        given = [word for word in command if word.startswith("distributed=")]
        words += given or ["distributed=auto"]
        coordinator = f"{host}:{free_port()}"
        self.number += 1
        call = {"command": words[1:], "coordinator": coordinator}
        self._write(call | {"trial": dataclasses.asdict(env)})
        return words, self.task.place(coordinator) | env.environment()

    def _write(self, call: dict[str, Any]) -> None:
        body = {"leader": self.token, "number": self.number, **call}
        jsonl.replace(self.folder / CALL, json.dumps(body))

    def _require_all(self) -> None:
        since = time.monotonic()
        while lacking := self._lacking():
            waited = time.monotonic() - since
            if self.number or waited > START:
                raise UserError(
                    f"task {lacking[0]} of {self.task.count} of this job "
                    + (f"gives no sign of life for {LOST:g} s" if self.number else "did not start")
                    + f" (they meet in {self.folder}, which all must share)"
                )
            time.sleep(POLL)

    def _lacking(self) -> list[int]:
        """The tasks that have not answered this leader, or no longer do."""
        return [rank for rank in range(1, self.task.count) if not self._is_there(rank)]

    def _is_there(self, rank: int) -> bool:
        found, now = _read(_answer(self.folder, rank)), time.monotonic()
        if found.get("leader") != self.token:
            return False
        before, noticed = self._seen.get(rank, (-1, now))
        if found["sign"] != before:
            self._seen[rank] = (found["sign"], now)
            return True
        return now - noticed < LOST

    def _others_elsewhere(self) -> bool:
        answers = [_read(_answer(self.folder, rank)) for rank in range(1, self.task.count)]
        return any(one.get("host") != self.task.host for one in answers)

    def __enter__(self) -> Self:
        threading.Thread(target=self._give_signs, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        self.number += 1
        self._write({"end": True})

    def _give_signs(self) -> None:
        while not self._ended.wait(SIGN):
            with contextlib.suppress(OSError):
                os.utime(self.folder / CALL)
            self._lacking()


class Follower:
    """Another task: starts its process of each trial to which the leader calls."""

    def __init__(self, task: JobTask):
        self.task, self.folder = task, Path(task.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.leader, self.number = "", 0
        self._signed: tuple[str, int] | None = None  # the last answer

    def run(self) -> int:
        """Follow until the leader ends: 0, or RESUMABLE where it is lost."""
        for call in self._calls():
            if call.get("end"):
                return 0
            process = self._started(call)
            while process.poll() is None:
                self._answer()
                time.sleep(POLL)
        return RESUMABLE

    def _calls(self) -> Iterator[dict[str, Any]]:
        """The calls of the leader, until it is lost. A job that is started again finds the last
        call of its earlier start in the folder: calls count from the answer to their leader on."""
        sign, since = None, time.monotonic()
        while time.monotonic() - since < (LOST if sign else START):
            path = self.folder / CALL
            with contextlib.suppress(OSError):
                if (now := path.stat().st_mtime_ns) != sign:
                    sign, since = now, time.monotonic()
            call = _read(path)
            if call and call["leader"] != self.leader:
                self.leader, self.number = call["leader"], call["number"]
            elif call and call["number"] > self.number:
                self.number = call["number"]
                yield call
                since = time.monotonic()
            self._answer()
            time.sleep(POLL)

    def _answer(self) -> None:
        sign = int(time.monotonic() / SIGN)
        if self.leader and (self.leader, sign) != self._signed:
            self._signed = (self.leader, sign)
            body = {"leader": self.leader, "sign": sign, "host": self.task.host}
            jsonl.replace(_answer(self.folder, self.task.rank), json.dumps(body))

    def _started(self, call: Mapping[str, Any]) -> subprocess.Popen:
        env = TrialEnv(**call["trial"] | {"parent": os.getpid()})
        environ = os.environ | self.task.place(call["coordinator"]) | env.environment()
        command = [sys.executable, *call["command"]]
        return subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL)


def _answer(folder: Path, rank: int) -> Path:
    return folder / f"task-{rank}.json"


def _read(path: Path) -> dict[str, Any]:
    """A file that is replaced as a whole; {}: there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
