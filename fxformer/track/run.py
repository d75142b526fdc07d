"""Run folder: config, record, metrics, events and energy of a run, written by one process.

config.yaml        resolved, without secrets        metrics.jsonl      metrics by step
run.json           status, command, versions …      metrics_all.jsonl  every attempt's lines
energy.jsonl       the ledger                       events.jsonl       events
"""

import contextlib
import datetime
import json
import logging
import re
import shlex
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from omegaconf import OmegaConf

from fxformer import jsonl
from fxformer.config.stored import plain_config
from fxformer.errors import UserError
from fxformer.track import provenance
from fxformer.track.log_checksums import LogChecksums, damage
from fxformer.track.redact import Redactor
from fxformer.track.run_lock import RunLock, this_process, utc_now

_log = logging.getLogger(__name__)
RESERVE, _RESERVED = ".reserve", 1 << 16  # a file deleted to make room for run.json on a full disk

Status = Literal["running", "done", "pruned", "interrupted", "failed", "diverged"]


class Run:
    """An open run folder, owned by this process. Made by `create` or `reopen`.

    folder: where it lies
    config: the config as stored: resolved, without secrets
    facts: what run.json holds
    rewound: the step the metrics were cut back to, None unless this attempt resumes
    """

    def __init__(self, folder: Path, config: dict[str, Any], redactor: Redactor, lock: RunLock):
        self.folder, self.config, self.redactor, self._lock = folder, config, redactor, lock
        self.facts: dict[str, Any] = {}
        self._writing = threading.RLock()  # mirrors log events from their own threads
        self.rewound: int | None = None
        self._marks, self._unwritten = LogChecksums(folder), list[dict[str, Any]]()
        self._open_logs()

    @classmethod
    def create(
        cls,
        root: str | Path,
        name: str,
        *,
        config: Any,
        facts: Mapping[str, Any] | None = None,
        argv: Sequence[str] | None = None,
    ) -> "Run":
        """A new folder <root>/<UTC time>-<name>; two at once never get the same one.

        config: an OmegaConf or a dict
        facts: more for run.json: devices, hashes of the corpus and the tokenizer, parameters …
        argv: the command line, else this process's
        """
        folder = _claim(Path(root), name)
        lock, redactor = RunLock(folder), Redactor(config)
        plain = redactor.config(config)
        jsonl.replace(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(_literal(plain))))
        run = cls(folder, plain, redactor, lock)
        run.facts = {"id": folder.name, "name": name, "attempts": []}
        run._begin(facts, argv)
        return run

    @classmethod
    def reopen(
        cls,
        folder: str | Path,
        *,
        config: Any = None,
        facts: Mapping[str, Any] | None = None,
        argv: Sequence[str] | None = None,
    ) -> "Run":
        """Take over a run that has ended or died; RunBusyError while its owner is alive.

        config: the one in use, where it differs from the stored one; it is stored instead
        """
        folder = Path(folder)
        if not (folder / "run.json").exists():
            raise UserError(f"{folder} is not a run: it has no run.json")
        lock = RunLock(folder)
        jsonl.sweep(folder)
        try:
            facts_before = jsonl.load(folder / "run.json")
            stored = plain_config(folder)
        except (OSError, ValueError) as error:
            lock.release()
            raise UserError(f"{folder} cannot be taken up again: {error}") from error
        run = cls(folder, stored, Redactor(config), lock)
        run.facts = facts_before
        run._begin(facts, argv)
        if config is not None:
            run._keep_changes(config)
        return run

    def _keep_changes(self, config: Any) -> None:
        """Store this attempt's config as the run's, or the next attempt would use the old one."""
        plain = _literal(self.redactor.config(config))
        plain |= {key: self.config.get(key) for key in ("resume", "runs")}
        if plain == self.config:
            return
        jsonl.replace(self.folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(plain)))
        self.event("config", before=self.config)
        self.config = plain

    def _begin(self, facts: Mapping[str, Any] | None, argv: Sequence[str] | None) -> None:
        command = shlex.join(self.redactor.arguments(sys.argv if argv is None else argv))
        for earlier in self.facts["attempts"]:
            if earlier["status"] == "running":
                earlier["status"] = "dead"  # it was killed
        attempt = {"started": utc_now(), "ended": None, "status": "running", "command": command}
        self.facts["attempts"].append(attempt)
        self.facts |= {
            "status": "running",
            "reason": None,
            "command": command,
            "ended": None,
            "started": self.facts.get("started", utc_now()),
            "owner": this_process(),
            **provenance.gather(self.config.get("packages") or ()),
            **(facts or {}),
        }
        with contextlib.suppress(OSError):
            (self.folder / RESERVE).write_bytes(bytes(_RESERVED))
        self._store()
        self.event("start" if self.attempt == 1 else "resume", command=command)

    @property
    def attempt(self) -> int:
        """1 for a new run, one more each time it is taken up again."""
        return len(self.facts["attempts"])

    def log(self, step: int, split: str, metrics: Mapping[str, Any]) -> None:
        """Append one line of metrics; readable by others when this returns. OSError: disk full."""
        self.verify()
        line = {"step": int(step), "split": split, **metrics}
        self._metrics.write(line)
        self._all.write({**line, "attempt": self.attempt, "time": time.time()})

    def event(self, kind: str, **facts: Any) -> None:
        """Append what happened: a checkpoint, an early stop, a signal …

        A disk that refuses is warned of; the lines are kept and written with a later one.
        """
        self.verify()
        line = {"event": kind, "time": utc_now(), "attempt": self.attempt, **facts}
        with self._writing:
            self._unwritten.append(self.redactor.value(line))
            try:
                while self._unwritten:
                    self._events.write(self._unwritten[0])
                    del self._unwritten[0]
            except OSError as error:
                _log.warning("%s cannot be written (%s)", self._events.path, error.strerror)

    def verify(self) -> None:
        """Raise RunLost or RunGoneError where the folder is no longer this process's."""
        self._lock.verify()

    def marks(self) -> dict[str, list[int]]:
        """Checksums of the logs, stored with a checkpoint: see `log_checksums`."""
        return self._marks.take()

    def damage(self, marks: Mapping[str, list[int]] | None) -> list[str]:
        """Damage of the logs since a checkpoint stored these checksums; logged as an event."""
        said = damage(self.folder, marks or {})
        if said:
            self.event("damage", logs=said)
        return said

    def update(self, **facts: Any) -> None:
        """Merge facts into run.json, atomically."""
        with self._writing:
            self.facts |= facts
            self._store()

    def rewind(self, step: int) -> int:
        """Cut metrics back to what was logged up to `step`, the step that was restored; returns how
        many lines went. metrics_all.jsonl keeps them."""
        self._metrics.close()
        gone = jsonl.keep(self._metrics.path, lambda line: line.get("step", 0) <= step)
        self._metrics, self._marks = jsonl.Writer(self._metrics.path), LogChecksums(self.folder)
        self.rewound = step
        self.event("rewind", step=step, lines=gone)
        return gone

    def finish(
        self, status: Status, reason: str | None = None, summary: Mapping[str, Any] | None = None
    ) -> None:
        """Write how the run ended, close the files, release the lock. Later calls do nothing.

        Raises RunLost or RunGoneError, having written nothing, where the folder is not ours."""
        with self._writing:
            if self.facts["status"] != "running":
                return
            self._lock.verify(now=True)
            with contextlib.suppress(OSError):
                (self.folder / RESERVE).unlink()  # room for run.json on a full disk
            self.event("end", status=status, reason=reason)
            ended: dict[str, Any] = {"status": status, "ended": utc_now()}
            self.facts["attempts"][-1] |= ended
            if summary is not None:
                ended["summary"] = dict(summary)
            try:
                self.update(**ended, reason=reason)
            except OSError as error:
                _log.error("run.json cannot say that the run is %s (%s)", status, error)
            for log in (self._metrics, self._all, self._events):
                log.close()
            self._lock.release()

    def _store(self) -> None:
        self.verify()
        text = json.dumps(jsonl.encode(self.redactor.value(jsonl.encode(self.facts))), indent=2)
        try:
            jsonl.replace(self.folder / "run.json", text + "\n")
        except OSError:
            if not (self.folder / RESERVE).exists():
                raise
            (self.folder / RESERVE).unlink()  # makes room on a full disk
            jsonl.replace(self.folder / "run.json", text + "\n")

    def _open_logs(self) -> None:
        self._metrics = jsonl.Writer(self.folder / "metrics.jsonl")
        self._all = jsonl.Writer(self.folder / "metrics_all.jsonl")
        self._events = jsonl.Writer(self.folder / "events.jsonl")


def _claim(root: Path, name: str) -> Path:
    """Create the folder; mkdir is atomic, so of two runs of one name the second gets the next."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        return _new(root, name)
    except OSError as error:
        raise UserError(f"runs={root}: no run can be written there ({error})") from error


def _new(root: Path, name: str) -> Path:
    plain = re.sub(r"[^A-Za-z0-9._=,+-]+", "-", name).strip("-.")[:80] or "run"
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    for n in range(1, 10_000):
        folder = root / (f"{stamp}-{plain}" if n == 1 else f"{stamp}-{plain}-{n}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            continue
    raise UserError(f"no free name for {stamp}-{plain} in {root}")


def _literal(value: Any) -> Any:
    """Values that OmegaConf accepts: paths and the like as text."""
    return jsonl.encode(value)
