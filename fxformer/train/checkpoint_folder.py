"""Folder of the checkpoints of a run: which there are, which is the best, what may be deleted."""

import math
import shutil
import warnings
from collections.abc import Collection
from pathlib import Path

import numpy as np

from fxformer.train import checkpoint_files
from fxformer.train.checkpoint_files import DamagedCheckpoint
from fxformer.train.checkpoint_pieces import StoredPieces


def steps_in(folder: Path) -> list[int]:
    """Steps with a complete checkpoint in `folder`, ascending; none where the folder is absent."""
    there = folder.iterdir() if folder.is_dir() else ()
    return sorted(int(p.name) for p in there if p.name.isdigit() and p.is_dir())


class CheckpointFolder:
    """The checkpoints in `folder`; deletion starts with a rename to `.trash/`.

    keep_checkpoints, milestones: as in Checkpoints
    """

    def __init__(self, folder: Path, keep_checkpoints: int, milestones: Collection[int]) -> None:
        self.folder, self.keep_checkpoints = Path(folder), keep_checkpoints
        self.milestones = frozenset(milestones)
        self._clean = False

    def steps(self) -> list[int]:
        """Steps with a complete checkpoint, ascending."""
        return steps_in(self.folder)

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
        body = self._body(step)
        return StoredPieces(self._path(step), body).whole(), body["host"]

    def _body(self, step: int) -> dict:
        body = checkpoint_files.read_host(self._path(step))
        if body["step"] != step:
            raise DamagedCheckpoint(f"{self._path(step)} says it is of step {body['step']}")
        return body

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
