"""Checkpoints of a run: atomic, asynchronous, checked, and never left with none that is good.

A checkpoint is a folder `checkpoints/00000120/` of two files: `state.safetensors` (every leaf of
the state by its path) and `host.json` (what the host knows: totals, hashes, data position; and the
checksum of every leaf and of itself). It is made under a name with a dot, synced, and renamed, so
a folder with a number is whole, unless the disk lied; then its sums say so, it is put aside under
`.bad/` and the one before it is used. Deletion is a rename into `.trash/` first.

Why not Orbax: measured, it does not notice a flipped bit, reports a failed asynchronous save only
at the next one (which it then drops), keeps the process from exiting after such a failure, deletes
the newest checkpoint or the best one under `best_fn` (worse results, one NaN), does not sync its
JSON items, and costs a second of import. What it has beyond this file is states that no single
process can address; `save` refuses those by name.
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
from fxformer.rules import named
from fxformer.train import checkpoint_files
from fxformer.train.checkpoint_files import DamagedCheckpoint

FULL = (errno.ENOSPC, errno.EDQUOT)


class CheckpointError(UserError):
    """A checkpoint that does not fit what is to be restored."""


class Restored(NamedTuple):
    """What `restore` found."""

    step: int
    state: Any
    host: dict


def steps_in(folder: Path) -> list[int]:
    """Steps with a whole checkpoint in `folder`, ascending; none where there is no such folder."""
    there = folder.iterdir() if folder.is_dir() else ()
    return sorted(int(p.name) for p in there if p.name.isdigit() and p.is_dir())


class Checkpoints:
    """The checkpoints of one folder; one process at a time (see track/owner.py).

    keep: how many of the latest stay (at least 2: a power cut may take the newest); the best one
        by metric, smallest first, stays besides them
    milestones: steps whose checkpoints stay as well
    copy: take a copy of the state before `save` returns; needed when the step donates its input
    guard: called before the folder is written; raises where another process has taken it over

    On a full disk a save gives up what older checkpoints hold, all but the newest good one and the
    best, and is made again. A folder that was deleted meanwhile is made anew.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keep: int = 2,
        milestones: Collection[int] = (),
        copy: bool = False,
        guard: Callable[[], object] = lambda: None,
    ) -> None:
        if keep < 2:
            raise UserError(f"trainer.keep={keep}: at least 2, a power cut may take the newest")
        self.folder, self.keep, self.copy = Path(folder), keep, copy
        self.failures, self.why = 0, ""  # saves in a row that failed, and why the last one did
        self.guard, self.milestones = guard, frozenset(milestones)
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._clean = False
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def saving(self) -> bool:
        """Whether a checkpoint is being written."""
        return self._thread is not None and self._thread.is_alive()

    def steps(self) -> list[int]:
        """Steps with a whole checkpoint, ascending."""
        return steps_in(self.folder)

    def save(self, step: int, state: Any, host: dict, *, metric: float | None = None) -> None:
        """Begins to save `state` (a pytree of arrays) and `host` (JSON) as of `step`.

        metric: the smaller the better; NaN counts as the worst. A failure is warned about by the
        next call of `save` or `wait`, and training goes on; that next save is the retry.
        """
        self.wait()
        leaves = named(state)
        for path, leaf in leaves.items():
            if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
                raise CheckpointError(f"{path} lies on devices of several processes")
        if self.copy:
            leaves = {path: np.array(leaf) for path, leaf in leaves.items()}
        metric = None if metric is None else metric if math.isfinite(metric) else math.inf
        args = (step, leaves, host, metric)
        self._thread = threading.Thread(target=self._save, args=args, name="save")
        self._thread.start()

    def wait(self) -> bool:
        """Until the save under way is on the disk. Warns and returns False if it failed."""
        if self._thread is not None:
            self._thread.join()
        self._thread, error, self._error = None, self._error, None
        if error is not None:
            warnings.warn(
                f"checkpoint not saved in {self.folder}: {error!r}; training goes on and the next "
                f"one is tried ({self.failures} failed in a row)",
                stacklevel=2,
            )
        return error is None

    def restore(self, like: Any, step: int | None = None) -> Restored | None:
        """The newest good checkpoint (or that of `step`), or None if there is none.

        like: the state as arrays or ShapeDtypeStructs; where these carry shardings the leaves are
            placed so, whatever devices they were saved from.
        A damaged one is moved to `.bad/` with a warning and the one before it tried. One that is
        whole but of another structure raises CheckpointError naming the first path that differs.
        """
        for candidate in reversed(self.steps() if step is None else [step]):
            try:
                arrays, host = self.read(candidate)
            except DamagedCheckpoint as error:
                self._put_aside(candidate, str(error))
                continue
            return Restored(candidate, _fill(like, arrays, self._path(candidate)), host)
        return None

    def weights(self, like: dict, step: int) -> dict:
        """The parameters of a checkpoint, their moving average where it has one; nothing else.

        like: the parameters as arrays or ShapeDtypeStructs
        Raises DamagedCheckpoint, and CheckpointError where they are others.
        """
        arrays, _ = self.read(step)
        kinds = {path.partition("/")[0] for path in arrays}
        kind = "ema/" if "ema" in kinds else "params/"
        found = {p.removeprefix(kind): a for p, a in arrays.items() if p.startswith(kind)}
        return _fill(like, found, self._path(step))

    def host(self, step: int) -> dict:
        """The host part of a checkpoint, checked. Raises DamagedCheckpoint."""
        return checkpoint_files.read_host(self._path(step))["host"]

    def best(self) -> int | None:
        """The step with the smallest metric, the earliest of equals; None without metrics."""
        scores = {step: self._metric(step) for step in self.steps()}
        known = {step: score for step, score in scores.items() if score is not None}
        return min(known, key=lambda step: (known[step], step), default=None)

    def read(self, step: int) -> tuple[dict[str, np.ndarray], dict]:
        """The arrays of a checkpoint by path, and its host part, checked. Raises DamagedCheckpoint.

        The arrays are mapped files: copy what must outlive the checkpoint."""
        body = checkpoint_files.read_host(self._path(step))
        if body["step"] != step:
            raise DamagedCheckpoint(f"{self._path(step)} says it is of step {body['step']}")
        arrays = checkpoint_files.read_tensors(self._path(step) / "state.safetensors", body["sums"])
        return arrays, body["host"]

    def _path(self, step: int) -> Path:
        return self.folder / f"{step:08d}"

    def _metric(self, step: int) -> float | None:
        try:
            return checkpoint_files.read_host(self._path(step))["metric"]
        except DamagedCheckpoint:
            return None

    def _save(self, step: int, leaves: dict, host: dict, metric: float | None) -> None:
        arguments = (step, leaves, host, metric)
        try:
            while not self._fits(*arguments):
                pass
            self.failures, self.why = 0, ""
        except BaseException as error:  # whatever it was, it is told by wait()
            self._error, self.failures = error, self.failures + 1
            self.why = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"

    def _fits(self, *arguments: Any) -> bool:
        """Writes a checkpoint; False where the disk is full and there is now more room on it."""
        try:
            self._write(*arguments)
        except OSError as error:
            if error.errno not in FULL or not self._make_room():
                raise
            return False
        return True

    def _write(self, step: int, leaves: dict, host: dict, metric: float | None) -> None:
        making = self.folder / f".{step:08d}.making"
        try:
            self.guard()
            self.folder.mkdir(exist_ok=True)  # not its parents: a run that was deleted stays so
            self._clear()
            making.mkdir()
            arrays = {path: np.asarray(leaf) for path, leaf in leaves.items()}
            sums = checkpoint_files.write_tensors(making / "state.safetensors", arrays)
            body = {"step": step, "metric": metric, "host": host, "sums": sums}
            checkpoint_files.write_host(making, body)
            self.guard()
            self._trash(step)  # the same step again, after a rollback
            making.rename(self._path(step))
            checkpoint_files.sync_folder(self.folder)
            self._prune()
        finally:
            shutil.rmtree(making, ignore_errors=True)  # what is left would keep a full disk full

    def _make_room(self) -> bool:
        """Deletes what is not the newest good checkpoint, the best one or a milestone; milestones
        where there is nothing else. Whether there was anything."""
        spare = [self.folder / ".bad", self.folder / ".trash", *self.folder.glob(".*.making")]
        spare = [path for path in spare if path.exists()]
        best, newest = self.best(), next(filter(self._good, reversed(self.steps())), None)
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

    def _good(self, step: int) -> bool:
        try:
            self.read(step)
        except DamagedCheckpoint:
            return False
        return True

    def _clear(self) -> None:
        """Removes what a process left that was killed while saving or deleting. Only a process
        that saves may do so: others read the folder of a run that goes on."""
        if not self._clean:
            for left in (*self.folder.glob(".*.making"), self.folder / ".trash"):
                shutil.rmtree(left, ignore_errors=True)
        self._clean = True

    def _prune(self) -> None:
        stay = self.milestones | {self.best()}
        for step in self.steps()[: -self.keep]:
            if step not in stay:
                self._trash(step)

    def _trash(self, step: int) -> None:
        if self._path(step).exists():
            trash = self.folder / ".trash"
            trash.mkdir(exist_ok=True)
            self._path(step).rename(trash / f"{step:08d}")
            shutil.rmtree(trash, ignore_errors=True)

    def _put_aside(self, step: int, why: str) -> None:
        bad = self.folder / ".bad" / f"{step:08d}"
        shutil.rmtree(bad, ignore_errors=True)
        bad.parent.mkdir(exist_ok=True)
        if self._path(step).exists():
            self._path(step).rename(bad)
        warnings.warn(f"checkpoint {step} is damaged ({why}); moved to {bad}", stacklevel=3)


def _fill(like: Any, arrays: dict[str, np.ndarray], where: Path) -> Any:
    wanted = named(like)
    for path in [*wanted, *arrays]:
        if path not in arrays or path not in wanted:
            lack = "the checkpoint lacks" if path in wanted else "only the checkpoint has"
            raise CheckpointError(f"{where}: {lack} {path}; resume with the config it was made by")
        new, old = wanted[path], arrays[path]
        if tuple(new.shape) != old.shape or new.dtype != old.dtype:
            raise CheckpointError(
                f"{where}: {path} is {old.dtype}{list(old.shape)} in the checkpoint and "
                f"{new.dtype}{list(new.shape)} here; resume with the config it was made by"
            )
    # A copy: on CPU jax may borrow host memory, and this is a mapped file that may be deleted.
    leaves = [
        jax.device_put(np.array(arrays[path]), getattr(leaf, "sharding", None))
        for path, leaf in wanted.items()
    ]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)
