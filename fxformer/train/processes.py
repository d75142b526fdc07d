"""What changes in a run where several processes train together: who writes, who waits for whom.

Every process does the same: it reads the corpus, makes its rows of each batch, takes each step,
evaluates. Process 0 alone writes: the folder of the run, its logs, mirrors, samples. The others say
nothing unless they fail.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import logging
import os
import socket
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from fxformer import jsonl
from fxformer.config.build import build, cause
from fxformer.config.folders import PACKAGE
from fxformer.config.resume import flat
from fxformer.distributed.agreement import ALONE, Agreement, GroupAgreement
from fxformer.distributed.config import Joined
from fxformer.distributed.group import ProcessGroup
from fxformer.distributed.monitor import RESUMABLE
from fxformer.energy.ledger import Ledger
from fxformer.energy.ledger_relay import FollowerLedger, LineReceiver
from fxformer.energy.meter import Meter
from fxformer.energy.sensor import Unreadable
from fxformer.errors import UserError
from fxformer.track.provenance import packages
from fxformer.track.run import Run
from fxformer.track.run_follower import RunFollower
from fxformer.track.tracker import NoTrackers, Trackers
from fxformer.train import signals
from fxformer.train.checkpoint import FULL, Checkpoints
from fxformer.train.checkpoint_group import GroupCheckpoints

OWN = ("distributed", "name", "resume", "runs")  # keys in which processes may differ
BAD, BUG = 2, 1


@dataclasses.dataclass(frozen=True)
class Processes:
    """The processes of a run; of one, nothing changes.

    joined: the group and its monitor
    """

    joined: Joined = Joined()

    @property
    def group(self) -> ProcessGroup:
        """The processes that train together."""
        return self.joined.group

    @functools.cached_property
    def receiver(self) -> LineReceiver:
        """Ledger lines of the other processes, in process 0."""
        return LineReceiver(self.group)

    @property
    def unreadable(self) -> Sequence[Unreadable]:
        """Sensors of other processes that could not be read."""
        return self.receiver.unreadable if self.group.first else ()

    def console(self) -> Console:
        """The terminal of process 0; the others print nothing."""
        return Console(quiet=not self.group.first)

    def trackers(self, node: DictConfig) -> Trackers:
        """The trackers of process 0; the others log nothing."""
        return build(node) if self.group.first else NoTrackers()

    def checkpoints(self, folder: Path, **options: Any) -> Checkpoints:
        """The checkpoints of a run."""
        if self.group.alone:
            return Checkpoints(folder, **options)
        return GroupCheckpoints(folder, self.group, **options)

    @contextlib.contextmanager
    def agreement(self) -> Iterator[Agreement]:
        """How the processes agree on when to stop, while the loop runs."""
        monitor = self.joined.monitor
        if monitor is None:
            yield ALONE
            return
        try:
            yield GroupAgreement(self.group, "loop", monitor.moved)
        finally:
            monitor.rest()

    def ledger(self, own: "functools.partial[Ledger]", every: float) -> Ledger:
        """The ledger of this process: `own` in process 0, which writes the lines of all."""
        if not self.group.first:
            return FollowerLedger(self.group, every=every)
        ledger = own()
        ledger.received = self.receiver.lines
        return ledger

    def count_all(self, meter: Meter) -> None:
        """Let the meter of process 0 count what the others have sent."""
        if self.group.first:
            meter.others = self.receiver.latest

    def close_ledger(self, ledger: Ledger, meter: Meter, *, whole: bool) -> None:
        """Close the ledger; where the run ended `whole`, that of process 0 after the others."""
        if not whole or self.group.alone:
            ledger.close(meter)
            return
        if not self.group.first:
            ledger.close(meter)
        self.group.barrier("ledger")
        if self.group.first:
            ledger.close(meter)

    def run(self, run: Run | None, cfg: DictConfig) -> Run:
        """The run that process 0 has opened, as this process sees it."""
        if self.group.alone:
            assert run is not None
            return run
        found = self.group.share(
            "run", run and {"folder": str(run.folder), "facts": jsonl.encode(run.facts)}
        )
        folder = Path(found["folder"]).resolve()
        lacking = self.group.exchange("folder", folder.is_dir())
        if False in lacking:
            raise UserError(
                f"runs={cfg.runs}: process {lacking.index(False)} does not see {folder}, which "
                "process 0 has made; the folder of runs must be on a file system that all share"
            )
        assert self.joined.monitor is not None
        self.joined.monitor.folder = folder
        return run or RunFollower(folder, cfg, found["facts"])

    def facts(self) -> dict[str, Any]:
        """Facts for run.json: host, process id and devices of each process."""
        if self.group.alone:
            return {}
        devices = [d.device_kind for d in jax.local_devices()]
        own = {"host": socket.gethostname(), "pid": os.getpid(), "devices": len(devices)}
        return {"processes": self.group.exchange("facts", own | {"kind": devices[0]})}

    def require_same(self, what: str, facts_of: Callable[[], Mapping[str, Any]]) -> None:
        """Raise UserError in all processes where facts (JSON) differ between them, which names the
        first that do."""
        if self.group.alone:
            return
        facts = facts_of()
        every = self.group.exchange("same", {"host": socket.gethostname(), "facts": dict(facts)})
        first = every[0]
        for process, one in enumerate(every):
            for name in first["facts"] | one["facts"]:
                values = (first["facts"].get(name), one["facts"].get(name))
                if values[0] != values[1]:
                    raise UserError(
                        f"distributed: processes differ in {what} {name}: {values[0]} in process 0 "
                        f"on {first['host']}, {values[1]} in process {process} on {one['host']}; "
                        "start all with the same command, code and data"
                    )

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Context that ends the other processes where this one fails, and leaves with them."""
        monitor = self.joined.monitor
        if monitor is None:
            yield
            return
        signals.deadline.abrupt = True
        monitor.leave = signals.deadline.leave_now
        if not self.group.first:
            warnings.simplefilter("ignore")
            logging.getLogger("fxformer").setLevel(logging.ERROR)
        try:
            yield
        except BaseException as error:
            if self.group.closed.is_set():  # all have ended, as agreed
                raise
            self.judge(error)
            self._write_failure(error)
            monitor.failed(code_of(error), f"{type(error).__name__}: {cause(error)}")
            if is_communication(error):
                raise ConnectionLost(error) from error
            raise
        self.leave()

    def judge(self, error: BaseException) -> None:
        """Where an operation of the devices failed: wait whether another process is lost, which
        ends this one."""
        monitor = self.joined.monitor
        if monitor is not None and isinstance(error, jax.errors.JaxRuntimeError):
            monitor.judge()

    def leave(self) -> None:
        """All processes are done: end the connection."""
        if self.group.alone or self.group.closed.is_set():
            return
        self.group.barrier("end")
        self.group.closed.set()
        if self.group.first:
            time.sleep(0.2)  # the others have read that all are there
        with contextlib.suppress(Exception):
            jax.distributed.shutdown()

    def _write_failure(self, error: BaseException) -> None:
        """A follower's traceback, beside the run: it has no log."""
        monitor = self.joined.monitor
        if self.group.first or monitor is None or monitor.folder is None:
            return
        with contextlib.suppress(OSError):
            words = "".join(traceback.format_exception(error))
            (monitor.folder / f"process-{self.group.index}.log").write_text(words, "utf-8")


class ConnectionLost(SystemExit):
    """A collective operation failed, although every process is alive. Exit code 75."""

    def __init__(self, error: BaseException):
        super().__init__(RESUMABLE)
        first = str(error).splitlines()[0][:300]
        self.words = f"the devices of the processes lost their connection ({first}); resume the run"


def is_communication(error: BaseException) -> bool:
    """Whether an error is one of the network between the devices of several processes."""
    words = str(error)
    known = isinstance(error, jax.errors.JaxRuntimeError)
    return known and any(name in words for name in ("Gloo", "NCCL", "UNAVAILABLE"))


def code_of(error: BaseException) -> int:
    """The exit code that an error will have."""
    error = cause(error)
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else BUG
    if isinstance(error, KeyboardInterrupt) or is_communication(error):
        return RESUMABLE
    if isinstance(error, OSError) and error.errno in FULL:
        return RESUMABLE
    return BAD if isinstance(error, UserError) else BUG


def code_facts(cfg: DictConfig) -> dict[str, Any]:
    """What must be the same in all processes before any data is read: code, versions, config."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + path.read_bytes())
    given = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(given, dict)
    keys = flat({key: value for key, value in given.items() if key not in OWN})
    config = {f"config {key}": _hashed(value) for key, value in keys.items()}
    versions = {f"version of {name}": text for name, text in packages().items()}
    return {"sources of fxformer": digest.hexdigest(), **versions, **config}


def _hashed(value: Any) -> str:
    """A value that may be a secret, as a hash, where it is text from outside."""
    text = json.dumps(value, default=str)
    return (
        text
        if "$" not in text and len(text) < 40
        else hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    )
