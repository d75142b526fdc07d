"""Checkpoints of a state that is spread over several processes: each writes its pieces.

Process 0 makes the folder, every process writes its own file into it (checkpoint_pieces.py), and
process 0, which has gathered the checksums of all, writes host.json and renames the folder: what a
reader sees is complete, or not there. The processes talk through the coordination service, so the
save runs in a thread beside the training steps. What fails in one process fails the save in all.
"""

import errno
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fxformer.distributed.group import ProcessGroup
from fxformer.rules import named
from fxformer.train import checkpoint_files
from fxformer.train.checkpoint import FULL, Checkpoints, Restored
from fxformer.train.checkpoint_files import DamagedCheckpoint, check_tree
from fxformer.train.checkpoint_pieces import StoredPieces, file_of, held_pieces, own_pieces

AGAIN = "again"  # room was made on a full disk


class SaveFailedError(OSError):
    """A save failed in one of the processes; the text names it."""


class GroupCheckpoints(Checkpoints):
    """Checkpoints of a group of processes, which all make the same calls in the same order.

    The folder is on a file system that all of them share. Options: as of Checkpoints
    """

    def __init__(self, folder: Path, group: ProcessGroup, **options: Any) -> None:
        super().__init__(folder, **options)
        self.group = group
        self._shapes: dict[str, list[int]] = {}

    def agreed_steps(self) -> list[int]:
        return self.group.share("checkpoints/steps", self.steps())

    def agreed_best(self) -> int | None:
        return self.group.share("checkpoints/best", self.best())

    def wait(self) -> bool:
        """As of Checkpoints. Failures are counted here, so that all processes count the same."""
        if self._thread is not None:
            self._thread.join()
            error = self._error
            self.failures = 0 if error is None else self.failures + 1
            self.why = "" if error is None else getattr(error, "strerror", None) or repr(error)
        return super().wait()

    def restore(self, abstract_state: Any, step: int | None = None) -> Restored | None:
        for candidate in reversed(self.agreed_steps() if step is None else [step]):
            state, host, damage = None, {}, None
            try:
                body = self._body(candidate)
                state, host = self._filled(abstract_state, candidate, body), body["host"]
            except DamagedCheckpoint as error:
                damage = str(error)
            damages = [one for one in self.group.exchange("checkpoints/damage", damage) if one]
            if not damages:
                return Restored(candidate, state, host)
            if self.group.first:
                self._quarantine(candidate, damages[0])
            self.group.barrier("checkpoints/quarantine")
        return None

    def weights(self, abstract_params: dict, step: int) -> dict:
        body = self._body(step)
        names = [name for sums in (body["sums"], *body.get("parts", {}).values()) for name in sums]
        kind = "ema/" if any(name.startswith("ema/") for name in names) else "params/"
        return self._filled(abstract_params, step, body, kind)

    def _filled(self, abstract: Any, step: int, body: dict, kind: str = "") -> Any:
        """The tree filled with the arrays of a checkpoint below `kind`, of which each process reads
        the parts that its devices hold."""
        leaves = {kind + path: leaf for path, leaf in named(abstract).items()}
        stored = StoredPieces(self._path(step), body, held_pieces(leaves))
        there = {path: one for path, one in stored.abstract().items() if path.startswith(kind)}
        check_tree(leaves, there, self._path(step))

        def array(path: str, leaf: Any) -> jax.Array:
            def part(index: Any) -> np.ndarray:
                return np.array(stored.take(path, index))  # a copy, as in fill_tree

            return jax.make_array_from_callback(leaf.shape, leaf.sharding, part)

        made = [array(path, leaf) for path, leaf in leaves.items()]
        return jax.tree.unflatten(jax.tree.structure(abstract), made)

    def _leaves(self, state: Any) -> dict[str, Any]:
        leaves = named(state)
        self._shapes = {path: list(np.shape(leaf)) for path, leaf in leaves.items()}
        pieces = own_pieces(leaves, first=self.group.first)
        return {n: np.array(p) for n, p in pieces.items()} if self.copy_state else pieces

    def _save(self, step: int, leaves: dict, host: dict, score: dict | None) -> None:
        try:
            while (word := self._write_together(step, leaves, host, score)) == AGAIN:
                pass
            if word is not None:
                raise SaveFailedError(errno.EIO, word)
        except BaseException as error:  # wait() reports it, whatever it was
            self._error = error

    def _write_together(
        self, step: int, leaves: dict, host: dict, score: dict | None
    ) -> str | None:
        """One attempt of all processes: None: it is saved, AGAIN, or why it could not be."""
        making, group = self.folder / f".{step:08d}.making", self.group
        problem = self._caught(lambda: self._begin(making)) if group.first else None
        problem = group.share("save/begin", problem)
        sums: dict[str, int] = {}
        if problem is None:
            arrays = {name: np.asarray(leaf) for name, leaf in leaves.items()}

            def write() -> None:
                path = making / file_of(group.index)
                sums.update(checkpoint_files.write_tensors(path, arrays))

            problem = self._caught(write)
        every = group.gather("save/pieces", {"sums": sums, "problem": problem})
        word = None
        if every is not None:
            word = self._committed(step, making, every, {"host": host, "metric": score})
        return group.share("save/end", word)

    def _begin(self, making: Path) -> None:
        """Make the folder that all processes write into."""
        self.check_owner()
        self.folder.mkdir(exist_ok=True)  # not its parents: a deleted run stays deleted
        self._clear()
        making.mkdir()

    def _committed(self, step: int, making: Path, every: list[dict], body: dict) -> str | None:
        """In process 0, which knows what became of all pieces; as `_write_together`."""
        problems = [one["problem"] for one in every if one["problem"]]
        sums = {file_of(process): one["sums"] for process, one in enumerate(every)}
        body |= {"step": step, "sums": sums.pop(file_of(0)), "parts": sums, "shapes": self._shapes}

        try:
            if not problems and (problem := self._caught(lambda: self._commit(step, making, body))):
                problems = [problem]
        finally:
            shutil.rmtree(making, ignore_errors=True)  # leftovers would keep a full disk full
        if any(code in FULL for code, _ in problems) and self._free_space():
            return AGAIN
        return problems[0][1] if problems else None

    def _caught(self, act: Any) -> list | None:
        """None, or [errno, what happened] where it raises."""
        try:
            act()
        except BaseException as error:  # all processes hear of it, whatever it was
            words = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            where = "" if self.group.first else f"process {self.group.index}: "
            return [getattr(error, "errno", None) or 0, where + words]
        return None
