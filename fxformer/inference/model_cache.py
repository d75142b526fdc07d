"""Opened runs, kept for the next question: one model a run, the weights of some checkpoints."""

import dataclasses
import threading
from collections import OrderedDict
from pathlib import Path

import jax
import numpy as np

from fxformer.batch import Batch
from fxformer.errors import UserError
from fxformer.inference.decoding.samples import one_piece
from fxformer.inference.loaded_run import Opened, open_at
from fxformer.track.run_reader import StoredRun
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.compile import use_compile_cache
from fxformer.train.config import Trainer

ROOM = 1 << 30  # bytes of weights that are kept
RUNS = 8  # whose models are
HELD_OUT = 32  # texts of a run to choose from

Place = tuple[Path, int, int]  # folder, step, when it was saved


def steps_of(run: StoredRun) -> list[int]:
    """The steps of a run's checkpoints, ascending. Nothing is opened."""
    folder = run.folder / "checkpoints"
    return Checkpoints(folder).steps() if folder.is_dir() else []


def chosen_step(run: StoredRun, step: int | None) -> int:
    """`step`, or the last there is. UserError, with the nearest, where there is no such."""
    steps = steps_of(run)
    if not steps:
        raise UserError(f"{run.id} has no checkpoint to look into: train it on, resume={run.id}")
    if step is None:
        return steps[-1]
    if step not in steps:
        near = min(steps, key=lambda one: abs(one - step))
        raise UserError(
            f"{run.id} kept no checkpoint of step {step}; the nearest is {near}, and there are "
            f"{', '.join(map(str, steps))} (trainer.keep=… keeps more)"
        )
    return step


class Kept:
    """Opens runs; thread-safe.

    room: bytes of weights to keep beside those just asked for
    """

    def __init__(self, room: int = ROOM):
        self.room = room
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._models: OrderedDict[tuple[Path, int], Opened] = OrderedDict()
        self._weights: OrderedDict[Place, dict] = OrderedDict()
        self._texts: dict[tuple[Path, int], Batch] = {}

    def open(self, run: StoredRun, step: int | None = None) -> Opened:
        """The run's model as of a checkpoint; None: the last. UserError as of `open_at`."""
        step = chosen_step(run, step)
        with self._lock:
            model = self._model(run, step)
            folder = model.run.folder
            saved = (folder / "checkpoints" / f"{step:08d}" / "host.json").stat().st_mtime_ns
            place = (folder, step, saved)
            if place not in self._weights:
                self._weights[place] = model.at(step).params
            self._weights.move_to_end(place)
            self._make_room()
            return dataclasses.replace(model, params=self._weights[place], step=step)

    def held_out(self, run: StoredRun) -> Batch:
        """The first text of each of the first held-out rows, as the objective spoils them. Rows
        [N, T]. UserError, saying so, where the text is gone or has changed."""
        with self._lock:
            model = self._model(run, chosen_step(run, None))
        mark = (model.run.folder, _stamp(run))
        with self._reading:  # a long text does not keep others from being asked about
            if mark not in self._texts:
                self._texts[mark] = _first_texts(model)
            return self._texts[mark]

    def _model(self, run: StoredRun, step: int) -> Opened:
        """The run's model with whichever weights; the one that is kept, if its run is the same."""
        mark = (run.folder.resolve(), _stamp(run))
        if mark not in self._models:
            # never the folder that the run's config names: it may hold another's programs
            use_compile_cache(Trainer.compile_cache)
            self._models[mark] = dataclasses.replace(open_at(run, step, looped=True), params={})
        self._models.move_to_end(mark)
        while len(self._models) > RUNS:
            folder = self._models.popitem(last=False)[1].run.folder
            self._weights = OrderedDict(
                (place, kept) for place, kept in self._weights.items() if place[0] != folder
            )
        return self._models[mark]

    def _make_room(self) -> None:
        sizes = {
            place: sum(leaf.nbytes for leaf in jax.tree.leaves(kept))
            for place, kept in self._weights.items()
        }
        while len(sizes) > 1 and sum(sizes.values()) > self.room:
            oldest = next(iter(sizes))
            del sizes[oldest], self._weights[oldest]


def _stamp(run: StoredRun) -> int:
    return (run.folder / "config.yaml").stat().st_mtime_ns


def _first_texts(model: Opened) -> Batch:
    try:
        corpus = model.corpus
        width = model.objective.row_length(corpus.length)
        packed = corpus.pack("valid", width, model.objective.limits(width))
        rows = packed.rows(np.arange(min(len(packed), HELD_OUT)))
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"the text of {model.run.id} cannot be read: {error}") from error
    batch = model.objective.corrupt(rows)
    return one_piece(batch, len(batch.tokens))
