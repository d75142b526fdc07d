"""Checkpoints of a run: atomic, asynchronous, with checksums; one that is intact always remains.

A checkpoint is a folder `checkpoints/00000120/` of two files: `state.safetensors` (every leaf of
the state by its path) and `host.json` (totals, hashes and data position of the host; the checksum
of every leaf and of itself). It is written under a name with a dot, synced, and renamed, so a
folder with a number is complete unless the disk failed. Then a checksum differs, the folder is
moved to `.bad/`, and the checkpoint before it is used. Deletion starts with a rename to `.trash/`.

Why not Orbax: measured, it does not detect a flipped bit, reports a failed asynchronous save only
at the next one (which it then drops), prevents the process from exiting after such a failure,
deletes the newest checkpoint or the best one under `best_fn` (worse results, one NaN), does not
sync its JSON items, and takes a second to import. States that no single process can address are
saved and restored by `GroupCheckpoints` (checkpoint_group.py).
"""

import errno
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
from fxformer.train.checkpoint_folder import CheckpointFolder

FULL = (errno.ENOSPC, errno.EDQUOT)


class Restored(NamedTuple):
    """A restored checkpoint: its step, state and host part."""

    step: int
    state: Any
    host: dict


class Checkpoints(CheckpointFolder):
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
        super().__init__(folder, keep_checkpoints, milestones)
        self.copy_state = copy_state
        self.failures, self.why = 0, ""  # consecutive failed saves, and the reason of the last one
        self.check_owner = check_owner
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def saving(self) -> bool:
        """Whether a checkpoint is being written."""
        return self._thread is not None and self._thread.is_alive()

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
        leaves = self._leaves(state)
        score = None if metric is None else {"value": metric, "direction": direction}
        args = (step, leaves, host, score)
        self._thread = threading.Thread(target=self._save, args=args, name="save")
        self._thread.start()

    def _leaves(self, state: Any) -> dict[str, Any]:
        """What is to be written, by path."""
        leaves = named(state)
        for path, leaf in leaves.items():
            if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
                raise CheckpointError(f"{path} lies on devices of several processes")
        if self.copy_state:
            leaves = {path: np.array(leaf) for path, leaf in leaves.items()}
        return leaves

    def agreed_steps(self) -> list[int]:
        """`steps`, the same in all processes that train together."""
        return self.steps()

    def agreed_best(self) -> int | None:
        """`best`, the same in all processes that train together."""
        return self.best()

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

    def _commit(self, step: int, making: Path, body: dict[str, Any]) -> None:
        """Name a folder whose tensors are written; only then is it a checkpoint."""
        checkpoint_files.write_host(making, body)
        self.check_owner()
        self._trash(step)  # the same step again, after a rollback
        making.rename(self._path(step))
        checkpoint_files.sync_folder(self.folder)
        self._prune()

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
            self._commit(step, making, body)
        finally:
            shutil.rmtree(making, ignore_errors=True)  # leftovers would keep a full disk full
