"""Top-k probabilities of a teacher on disk (`distillation.top_k`), computed once before training.

For each row of the training split and each of its targets: the k most probable tokens, their log
probabilities at the temperature of the soft term, and the log of the mass of all other tokens. The
numbers are a function of row and position, so shuffling and resuming read the same ones. Where an
objective corrupts a row anew in every epoch its input changes, and each epoch is cached by itself
(`distillation.per_epoch`).
"""

import dataclasses
import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from omegaconf import OmegaConf

from fxformer.batch import Batch, Rows, TeacherTopK
from fxformer.data import disk_cache
from fxformer.data.corpus import Prepared
from fxformer.distillation.teacher import Teacher
from fxformer.distillation.view import view
from fxformer.energy.meter import Meter
from fxformer.errors import UserError
from fxformer.objective.base import Objective
from fxformer.ops.distillation import log_top_k
from fxformer.track.formatting import plural
from fxformer.track.run import Run
from fxformer.train.frozen_body import FACTS, delete_oldest, digest, fill_before_training, whole
from fxformer.train.weights_hash import weights_hash

FOLDER = ".teacher"  # in the folder of the runs
PARTS = ("ids", "log_probs", "rest")
INPUTS = ("tokens", "segments", "targets", "weights", "picked", "source", "source_segments")


class TeacherRows:
    """The packed rows of a split with the teacher's numbers, which are zeros until they are read.

    epochs: how many are cached; 1: all epochs have the same
    shape: (targets of a row, k)
    """

    def __init__(self, packed: Any, epochs: int, shape: tuple[int, int]):
        self.packed, self.epochs, self.shape = packed, epochs, shape
        self.arrays: dict[str, np.ndarray] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.packed, name)

    def __len__(self) -> int:
        return len(self.packed)

    def rows(self, which: np.ndarray, seed: int = 0, epoch: int = 0) -> Rows:
        """As of the packed rows."""
        made = self.packed.rows(which, seed, epoch)
        return dataclasses.replace(made, teacher=self.taught(which, epoch))

    def taught(self, which: np.ndarray, epoch: int) -> TeacherTopK:
        """The teacher's numbers of some rows."""
        if not self.arrays:
            ids = np.zeros((len(which), *self.shape), np.int32)
            return TeacherTopK(ids, ids.astype(np.float32), ids[..., 0].astype(np.float32))
        at = np.asarray(which) + len(self) * (epoch if self.epochs > 1 else 0)
        ids, log_probs, rest = (np.asarray(self.arrays[name][at]) for name in PARTS)
        return TeacherTopK(ids.astype(np.int32), log_probs, rest)


def teacher_rows(
    data: Prepared, objective: Objective, teacher: Teacher, batch: int, seed: int, steps: int
) -> Prepared:
    """The data whose training rows carry the teacher's numbers.

    batch: rows of a step; steps: of the run
    Raises UserError where a row's input changes between the epochs of the run, unless each is
    cached.
    """
    packed, k = data.packed["train"], cast(int, teacher.top_k)
    epochs = -(-steps // max(len(packed) // batch, 1))
    first = np.arange(min(batch, len(packed)))
    made = [objective.corrupt(packed.rows(first, seed, epoch)) for epoch in (0, 1)]
    changes = any(not _equal(getattr(made[0], n), getattr(made[1], n)) for n in INPUTS)
    if changes and epochs > 1 and not teacher.per_epoch:
        raise UserError(
            f"distillation.top_k: {type(objective).__name__} draws the input of a row anew in each "
            f"of {epochs} epochs, so that one row has {epochs} inputs; write "
            "distillation.per_epoch=true, which caches each of them, or distillation.top_k=null"
        )
    shape = (int(np.asarray(made[0].targets).shape[1]), k)
    rows = TeacherRows(packed, epochs if changes else 1, shape)
    return dataclasses.replace(data, packed={**data.packed, "train": rows})


def _equal(one: Any, other: Any) -> bool:
    return (one is None) == (other is None) and (one is None or np.array_equal(one, other))


def fill_caches(
    setup: Any, params: dict, meter: Meter, run: Run, tell: Callable[[str], object]
) -> None:
    """Compute what is cached before the first step: hidden states of a frozen body, and the
    teacher's numbers. tell: for the person"""
    fill_before_training(setup, params, meter, run, tell)
    if setup.teacher is None or setup.teacher.top_k is None:
        return
    began = time.perf_counter()
    with meter.phase("teacher"):
        found = fill(setup)
    run.event("teacher_cache", **found)
    took = "read from the cache" if found["cached"] else f"{time.perf_counter() - began:.1f} s"
    tell(
        f"top {found['k']} of {found['vocabulary']} teacher probabilities of "
        f"{plural(found['targets'], 'target')}: {found['bytes'] / 1e6:,.1f} MB on disk, {took}; "
        f"mass outside {found['outside']:.2%} (at most {found['outside_max']:.2%}), "
        f"{found['unresolved']:.4f} nats of the teacher's entropy {found['entropy']:.4f} lie in it"
    )


def fill(setup: Any) -> dict[str, Any]:
    """Compute the numbers of all training rows, or read them; facts for the record of the run.

    setup: see train/setup.py, with rows of `teacher_rows`
    """
    rows, teacher, runs = setup.data.packed["train"], setup.teacher, str(setup.cfg.runs)
    count, size = len(rows) * rows.epochs, setup.objective.vocabulary.size
    folder = Path(runs) / FOLDER / key_of(setup)
    known = folder.is_dir() and whole(folder)
    needed, free = bytes_of(rows, size), shutil.disk_usage(_existing(folder)).free
    if not known and needed > free // 2:
        raise UserError(
            f"distillation.top_k={teacher.top_k}: the cache takes {needed / 1e9:.1f} GB, more than "
            f"half of what is free in {runs}; write a smaller one, or distillation.top_k=null"
        )
    disk_cache.once(folder, lambda draft: write(setup, draft, count), whole)
    folder.touch()
    for name in PARTS:
        rows.arrays[name] = np.load(folder / f"{name}.npy", mmap_mode="r")
    delete_oldest(folder)
    facts = json.loads((folder / "accuracy.json").read_text("utf-8"))
    taken = sum((folder / f"{name}.npy").stat().st_size for name in PARTS)
    return facts | {"k": teacher.top_k, "vocabulary": size, "bytes": taken, "cached": known}


def bytes_of(rows: TeacherRows, vocabulary: int) -> int:
    """Bytes on disk of the numbers of all rows and epochs."""
    targets, k = rows.shape
    each = k * (4 + (2 if vocabulary <= 1 << 16 else 4)) + 4
    return len(rows) * rows.epochs * targets * each


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(one for one in (folder, *folder.absolute().parents) if one.exists())


def key_of(setup: Any) -> str:
    """Hex digest of all that the numbers depend on."""
    cfg, rows, teacher = setup.cfg, setup.data.packed["train"], setup.teacher
    parts = {
        "weights": weights_hash(teacher.params),
        "model": repr(teacher.graphdef),
        "objective": OmegaConf.to_container(cfg.objective, resolve=True),
        "precision": repr(teacher.precision),
        "data": [setup.data.facts["corpus_hash"], setup.data.facts["tokenizer_hash"]],
        "rows": [len(rows), rows.epochs, rows.shape, cfg.seed, temperature_of(teacher)],
        "inputs": inputs_hash(setup),
        "computed": [jax.default_backend(), jax.__version__],
    }
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def inputs_hash(setup: Any) -> str:
    """Hex digest of the token ids of all packed rows."""
    made, packed = hashlib.blake2b(digest_size=16), setup.data.packed["train"].packed
    for start in range(0, len(packed), 1024):
        rows = packed.rows(np.arange(start, min(start + 1024, len(packed))))
        for array in (rows.tokens, rows.segments, rows.source):
            made.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
    return made.hexdigest()


def temperature_of(teacher: Teacher) -> float:
    """Temperature of its only term."""
    ((_, term),) = teacher.loss.terms
    return float(cast(Any, term).temperature)


def write(setup: Any, folder: Path, count: int) -> None:
    """Compute the numbers of all rows and epochs into a folder, a batch at a time."""
    rows, teacher, size = setup.data.packed["train"], setup.teacher, setup.corpus.batch
    small = np.uint16 if setup.objective.vocabulary.size <= 1 << 16 else np.int32
    targets, k = rows.shape
    shapes = {"ids": (small, (targets, k)), "log_probs": (np.float32, (targets, k))}
    shapes["rest"] = (np.float32, (targets,))
    arrays = {
        name: np.lib.format.open_memmap(
            folder / f"{name}.npy", mode="w+", dtype=kind, shape=(count, *shape)
        )
        for name, (kind, shape) in shapes.items()
    }
    compute = jax.jit(top_k_of(teacher, k))
    total = np.zeros(4)
    largest = 0.0
    for start in range(0, count, size):
        numbers = np.arange(start, min(start + size, count))
        *found, scored = _computed(setup, compute, numbers, size)
        for name, array in zip(PARTS, found[:3], strict=True):
            arrays[name][numbers] = array
        outside = np.exp(found[2].astype(np.float64))[scored]
        largest = max(largest, float(outside.max(initial=0.0)))
        total += [scored.sum(), outside.sum(), found[3][scored].sum(), found[4][scored].sum()]
    for array in arrays.values():
        array.flush()
    means = total / max(total[0], 1)
    accuracy = {
        "targets": int(total[0]),
        "outside": means[1],
        "outside_max": largest,
        "entropy": means[2],
        "unresolved": means[2] - means[3],
    }
    (folder / "accuracy.json").write_text(json.dumps(accuracy), "utf-8")
    facts = {name: digest(folder / f"{name}.npy") for name in PARTS}
    (folder / FACTS).write_text(json.dumps(facts), "utf-8")


def _computed(
    setup: Any, compute: Callable[[dict, Batch], Any], numbers: np.ndarray, size: int
) -> list[np.ndarray]:
    """The arrays of `top_k_of`, and whether each target counts, for rows that are numbered through
    all epochs. size: rows of a batch"""
    packed, made = setup.data.packed["train"].packed, []
    for epoch in np.unique(numbers // len(packed)):
        which = numbers[numbers // len(packed) == epoch] % len(packed)
        padded = np.concatenate([which, np.full(size - len(which), -1)])
        batch = setup.objective.corrupt(packed.rows(padded, setup.cfg.seed, int(epoch)))
        found = [*compute(setup.teacher.params, setup.put(batch)), batch.weights > 0]
        made.append([np.asarray(x)[: len(which)] for x in found])
    return [np.concatenate(parts) for parts in zip(*made, strict=True)]


def top_k_of(teacher: Teacher, k: int) -> Callable[[dict, Batch], Any]:
    """(params, batch) -> (ids [B M k], log p [B M k], log of the other mass [B M], entropy [B M],
    entropy of the k and the rest as one [B M]), at the temperature of the soft term."""
    temperature = temperature_of(teacher)

    def compute(params: dict, batch: Batch):
        with teacher.precision.matmul_context():
            objective = teacher.bound(params)
            projection, _ = view(objective, batch, None, inner=False).projection()
            found = log_top_k(projection, k, temperature, chunk=objective.loss.chunk)
        return jax.tree.map(
            lambda x: x.reshape(*batch.targets.shape, *x.shape[1:]).astype(
                x.dtype if jnp.issubdtype(x.dtype, jnp.integer) else jnp.float32
            ),
            found,
        )

    return compute
