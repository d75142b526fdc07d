"""LoadedRun runs, kept for the next question: one model a run, the weights of some checkpoints."""

import dataclasses
import threading
from collections import OrderedDict
from pathlib import Path

import jax
import numpy as np

from fxformer.batch import Batch
from fxformer.errors import UserError
from fxformer.inference.decoding.samples import first_segment
from fxformer.inference.loaded_run import LoadedRun, load_run
from fxformer.track.run_reader import StoredRun
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.compile import use_compile_cache
from fxformer.train.config import TrainerConfig

MAX_BYTES = 1 << 30  # of cached weights
MAX_RUNS = 8  # with a cached model
HELD_OUT = 32  # held-out texts per run

CheckpointKey = tuple[Path, int, int]  # folder, step, modification time


def checkpoint_steps(run: StoredRun) -> list[int]:
    """Steps of a run's checkpoints, ascending; reads file names only."""
    folder = run.folder / "checkpoints"
    return Checkpoints(folder).steps() if folder.is_dir() else []


def resolve_step(run: StoredRun, step: int | None) -> int:
    """`step`, or the last one. UserError, naming the nearest, if the run has no such checkpoint."""
    steps = checkpoint_steps(run)
    if not steps:
        raise UserError(f"{run.id} has no checkpoint: continue it with resume={run.id}")
    if step is None:
        return steps[-1]
    if step not in steps:
        near = min(steps, key=lambda one: abs(one - step))
        raise UserError(
            f"{run.id} kept no checkpoint of step {step}; the nearest is {near}, it has "
            f"{', '.join(map(str, steps))} (trainer.keep_checkpoints=… keeps more)"
        )
    return step


class RunCache:
    """Loads runs and caches them, least recently used first out; thread-safe.

    max_bytes: max_tokens on cached weights; the ones just requested always stay
    """

    def __init__(self, max_bytes: int = MAX_BYTES):
        self.max_bytes = max_bytes
        self._lock, self._corpus_lock = threading.Lock(), threading.Lock()
        self._models: OrderedDict[tuple[Path, int], LoadedRun] = OrderedDict()
        self._weights: OrderedDict[CheckpointKey, dict] = OrderedDict()
        self._texts: dict[tuple[Path, int], Batch] = {}

    def open(self, run: StoredRun, step: int | None = None) -> LoadedRun:
        """The run with the weights of a checkpoint; None: the last. Raises as `load_run`."""
        step = resolve_step(run, step)
        with self._lock:
            model = self._model(run, step)
            folder = model.run.folder
            saved = (folder / "checkpoints" / f"{step:08d}" / "host.json").stat().st_mtime_ns
            key = (folder, step, saved)
            if key not in self._weights:
                self._weights[key] = model.at_step(step).params
            self._weights.move_to_end(key)
            self._evict()
            return dataclasses.replace(model, params=self._weights[key], step=step)

    def held_out(self, run: StoredRun) -> Batch:
        """The first text of each of the first held-out rows, corrupted as in training. Rows
        [N, T]. UserError if the training text is missing or has changed."""
        with self._lock:
            model = self._model(run, resolve_step(run, None))
        run_key = (model.run.folder, _config_mtime(run))
        with self._corpus_lock:  # reading a large corpus does not block open()
            if run_key not in self._texts:
                self._texts[run_key] = _first_texts(model)
            return self._texts[run_key]

    def _model(self, run: StoredRun, step: int) -> LoadedRun:
        """The run with unspecified weights, from the cache if the run is unchanged."""
        run_key = (run.folder.resolve(), _config_mtime(run))
        if run_key not in self._models:
            # not the cache folder in the run's config: a run from elsewhere may name any folder
            use_compile_cache(TrainerConfig.compile_cache)
            self._models[run_key] = dataclasses.replace(load_run(run, step, looped=True), params={})
        self._models.move_to_end(run_key)
        while len(self._models) > MAX_RUNS:
            folder = self._models.popitem(last=False)[1].run.folder
            self._weights = OrderedDict(
                (key, params) for key, params in self._weights.items() if key[0] != folder
            )
        return self._models[run_key]

    def _evict(self) -> None:
        sizes = {
            key: sum(leaf.nbytes for leaf in jax.tree.leaves(params))
            for key, params in self._weights.items()
        }
        while len(sizes) > 1 and sum(sizes.values()) > self.max_bytes:
            oldest = next(iter(sizes))
            del sizes[oldest], self._weights[oldest]


def _config_mtime(run: StoredRun) -> int:
    return (run.folder / "config.yaml").stat().st_mtime_ns


def _first_texts(model: LoadedRun) -> Batch:
    try:
        corpus = model.corpus
        width = model.objective.row_length(corpus.length)
        packed = corpus.pack("valid", width, model.objective.limits(width))
        rows = packed.rows(np.arange(min(len(packed), HELD_OUT)))
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"the training text of {model.run.id} cannot be read: {error}") from error
    batch = model.objective.corrupt(rows)
    return first_segment(batch, len(batch.tokens))
