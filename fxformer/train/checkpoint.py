"""Checkpoints of a run: atomic, asynchronous, with checksums; one that is intact always remains.

A checkpoint is a folder `checkpoints/00000120/` of two files: `state.safetensors` (every leaf of
the state by its path) and `host.json` (totals, hashes and data position of the host; the checksum
of every leaf and of itself). It is written under a name with a dot, synced, and renamed, so a
folder with a number is complete unless the disk failed. Then a checksum differs, the folder is
moved to `.bad/`, and the checkpoint before it is used. Deletion starts with a rename to `.trash/`.

Why not Orbax: measured, it does not detect a flipped bit, reports a failed asynchronous save only
at the next one (which it then drops), prevents the process from exiting after such a failure,
deletes the newest checkpoint or the best one under `best_fn` (worse results, one NaN), does not
sync its JSON items, and takes a second to import. It supports states that no single process can
address; `save` refuses those by name.
"""

import errno
import math
import shutil
import threading
import warnings
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from fxformer.errors import UserError
from fxformer.metrics.direction import Direction
from fxformer.rules import named
from fxformer.train import checkpoint_files
from fxformer.train.checkpoint_files import CheckpointError, DamagedCheckpoint, fill_tree

FULL = (errno.ENOSPC, errno.EDQUOT)


class Restored(NamedTuple):
    """A restored checkpoint: its step, state and host part."""

    step: int
    state: Any
    host: dict


def steps_in(folder: Path) -> list[int]:
    """Steps with a complete checkpoint in `folder`, ascending; none where the folder is absent."""
    there = folder.iterdir() if folder.is_dir() else ()
    return sorted(int(p.name) for p in there if p.name.isdigit() and p.is_dir())


class Checkpoints:
    """Checkpoints of one folder, written by one process at a time (see track/run_lock.py).

    keep_checkpoints: number of latest checkpoints to keep (at least 2: a power cut may damage the
        newest), besides the best one, by its metric
    milestones: steps whose checkpoints are kept as well
    copy_state: copy the state before `save` returns; required if the step donates its input
    check_owner: called before the folder is written; raises where another process owns the run

    On a full disk a save deletes older checkpoints, except the newest intact one and the best, and
    is repeated. If the folder was deleted in the meantime, it is created again.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keep_checkpoints: int = 2,
        milestones: Collection[int] = (),
        copy_state: bool = False,
        check_owner: Callable[[], object] = lambda: None,
    ) -> None:
        if keep_checkpoints < 2:
            raise UserError(
                f"trainer.keep_checkpoints={keep_checkpoints}: write at least 2: a power cut may "
                "damage the newest checkpoint"
            )
        self.folder, self.copy_state = Path(folder), copy_state
        self.keep_checkpoints = keep_checkpoints
        self.failures, self.why = 0, ""  # consecutive failed saves, and the reason of the last one
        self.check_owner, self.milestones = check_owner, frozenset(milestones)
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._clean = False
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def saving(self) -> bool:
        """Whether a checkpoint is being written."""
        return self._thread is not None and self._thread.is_alive()

    def steps(self) -> list[int]:
        """Steps with a complete checkpoint, ascending."""
        return steps_in(self.folder)

    def save(
        self,
        step: int,
        state: Any,
        host: dict,
        *,
        metric: float | None = None,
        direction: Direction = "minimize",
    ) -> None:
        """Start to save `state` (a pytree of arrays) and `host` (JSON) of `step`.

        metric: NaN and infinities count as the worst value
        direction: whether the best metric is the smallest or the largest; stored beside it
        The next call of `save` or `wait` warns about a failure; the next save is the retry.
        Raises CheckpointError for leaves that this process cannot address.
        """
        self.wait()
        leaves = named(state)
        for path, leaf in leaves.items():
            if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
                raise CheckpointError(f"{path} lies on devices of several processes")
        if self.copy_state:
            leaves = {path: np.array(leaf) for path, leaf in leaves.items()}
        score = None if metric is None else {"value": metric, "direction": direction}
        args = (step, leaves, host, score)
        self._thread = threading.Thread(target=self._save, args=args, name="save")
        self._thread.start()

    def wait(self) -> bool:
        """Wait until the current save is on disk. Warns and returns False if it failed."""
        if self._thread is not None:
            self._thread.join()
        self._thread, error, self._error = None, self._error, None
        if error is not None:
            warnings.warn(
                f"checkpoint not saved in {self.folder}: {error!r}; training goes on and "
                f"retries at the next checkpoint ({self.failures} consecutive failures)",
                stacklevel=2,
            )
        return error is None

    def restore(self, abstract_state: Any, step: int | None = None) -> Restored | None:
        """Restore the newest intact checkpoint, or that of `step`; None if there is none.

        abstract_state: the state as arrays or ShapeDtypeStructs; where these carry shardings the
            leaves get them, whatever devices they were saved from
        A damaged checkpoint is moved to `.bad/` with a warning and the one before it is tried.
        Raises CheckpointError for an intact one of another structure, naming the first path that
        differs.
        """
        for candidate in reversed(self.steps() if step is None else [step]):
            try:
                arrays, host = self.read(candidate)
            except DamagedCheckpoint as error:
                self._quarantine(candidate, str(error))
                continue
            return Restored(
                candidate, fill_tree(abstract_state, arrays, self._path(candidate)), host
            )
        return None

    def weights(self, abstract_params: dict, step: int) -> dict:
        """Parameters of a checkpoint, or their moving average where it has one.

        abstract_params: the parameters as arrays or ShapeDtypeStructs
        Raises DamagedCheckpoint, and CheckpointError where paths, shapes or dtypes differ.
        """
        arrays, _ = self.read(step)
        kinds = {path.partition("/")[0] for path in arrays}
        kind = "ema/" if "ema" in kinds else "params/"
        found = {p.removeprefix(kind): a for p, a in arrays.items() if p.startswith(kind)}
        return fill_tree(abstract_params, found, self._path(step))

    def host(self, step: int) -> dict:
        """Host part of a checkpoint, verified. Raises DamagedCheckpoint."""
        return checkpoint_files.read_host(self._path(step))["host"]

    def best(self) -> int | None:
        """Step with the best metric, the earliest on ties; None without metrics."""
        costs = {step: self._cost(step) for step in self.steps()}
        known = {step: cost for step, cost in costs.items() if cost is not None}
        return min(known, key=lambda step: (known[step], step), default=None)

    def read(self, step: int) -> tuple[dict[str, np.ndarray], dict]:
        """Arrays of a checkpoint by path, and its host part, verified. Raises DamagedCheckpoint.

        The arrays are memory-mapped: copy what must outlive the checkpoint.
        """
        body = checkpoint_files.read_host(self._path(step))
        if body["step"] != step:
            raise DamagedCheckpoint(f"{self._path(step)} says it is of step {body['step']}")
        arrays = checkpoint_files.read_tensors(self._path(step) / "state.safetensors", body["sums"])
        return arrays, body["host"]

    def _path(self, step: int) -> Path:
        return self.folder / f"{step:08d}"

    def _cost(self, step: int) -> float | None:
        """The metric of a checkpoint as a number to be minimized; None without one."""
        try:
            score = checkpoint_files.read_host(self._path(step))["metric"]
        except DamagedCheckpoint:
            return None
        if score is None:
            return None
        value = score["value"] if score["direction"] == "minimize" else -score["value"]
        return value if math.isfinite(value) else math.inf

    def _save(self, step: int, leaves: dict, host: dict, score: dict | None) -> None:
        arguments = (step, leaves, host, score)
        try:
            while not self._try_write(*arguments):
                pass
            self.failures, self.why = 0, ""
        except BaseException as error:  # wait() reports it, whatever it was
            self._error, self.failures = error, self.failures + 1
            self.why = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"

    def _try_write(self, *arguments: Any) -> bool:
        """Write a checkpoint; False where the disk was full and space has been freed."""
        try:
            self._write(*arguments)
        except OSError as error:
            if error.errno not in FULL or not self._free_space():
                raise
            return False
        return True

    def _write(self, step: int, leaves: dict, host: dict, score: dict | None) -> None:
        making = self.folder / f".{step:08d}.making"
        try:
            self.check_owner()
            self.folder.mkdir(exist_ok=True)  # not its parents: a deleted run stays deleted
            self._clear()
            making.mkdir()
            arrays = {path: np.asarray(leaf) for path, leaf in leaves.items()}
            sums = checkpoint_files.write_tensors(making / "state.safetensors", arrays)
            body = {"step": step, "metric": score, "host": host, "sums": sums}
            checkpoint_files.write_host(making, body)
            self.check_owner()
            self._trash(step)  # the same step again, after a rollback
            making.rename(self._path(step))
            checkpoint_files.sync_folder(self.folder)
            self._prune()
        finally:
            shutil.rmtree(making, ignore_errors=True)  # leftovers would keep a full disk full

    def _free_space(self) -> bool:
        """Delete all but the newest intact checkpoint, the best one and the milestones.

        Deletes milestones if there is nothing else. Returns whether anything was deleted.
        """
        spare = [self.folder / ".bad", self.folder / ".trash", *self.folder.glob(".*.making")]
        spare = [path for path in spare if path.exists()]
        best, newest = self.best(), next(filter(self._is_intact, reversed(self.steps())), None)
        steps = [step for step in self.steps() if step not in (best, newest)]
        if others := [step for step in steps if step not in self.milestones]:
            steps = others
        elif spare:
            steps = []
        for step in steps:
            self._trash(step)
        for path in spare:
            shutil.rmtree(path, ignore_errors=True)
        return bool(steps or spare)

    def _is_intact(self, step: int) -> bool:
        try:
            self.read(step)
        except DamagedCheckpoint:
            return False
        return True

    def _clear(self) -> None:
        """Remove the leftovers of a process that was killed while saving or deleting.

        Called before the first save only: a process that only reads must not change the folder.
        """
        if not self._clean:
            for left in (*self.folder.glob(".*.making"), self.folder / ".trash"):
                shutil.rmtree(left, ignore_errors=True)
        self._clean = True

    def _prune(self) -> None:
        stay = self.milestones | {self.best()}
        for step in self.steps()[: -self.keep_checkpoints]:
            if step not in stay:
                self._trash(step)

    def _trash(self, step: int) -> None:
        if self._path(step).exists():
            trash = self.folder / ".trash"
            trash.mkdir(exist_ok=True)
            self._path(step).rename(trash / f"{step:08d}")
            shutil.rmtree(trash, ignore_errors=True)

    def _quarantine(self, step: int, why: str) -> None:
        bad = self.folder / ".bad" / f"{step:08d}"
        shutil.rmtree(bad, ignore_errors=True)
        bad.parent.mkdir(exist_ok=True)
        if self._path(step).exists():
            self._path(step).rename(bad)
        warnings.warn(f"checkpoint {step} is damaged ({why}); moved to {bad}", stacklevel=3)
