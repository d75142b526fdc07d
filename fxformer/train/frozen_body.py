"""task.frozen: the vectors of a frozen body, computed once for all splits and kept beside the runs.

They lie in RUNS/.features/KEY, where KEY is of the weights of the body, the rows, and whatever else
they depend on, so that runs with other seeds or learning rates share them. What is damaged is
computed again; beyond CACHE_BYTES the oldest are deleted.
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
import numpy as np
from flax import nnx
from omegaconf import DictConfig, OmegaConf, open_dict

from fxformer.batch import Batch
from fxformer.config import folders
from fxformer.data import disk_cache
from fxformer.data.corpus import Prepared
from fxformer.data.loader import InOrder
from fxformer.energy.meter import Meter
from fxformer.errors import UserError
from fxformer.files import read_bytes
from fxformer.rules import named
from fxformer.task.corpus import TaskSplit
from fxformer.task.frozen import FrozenSplit
from fxformer.task.objective import TaskObjective
from fxformer.track.run import Run
from fxformer.train.adapter import HEADS
from fxformer.train.state import Make
from fxformer.train.weights_hash import weights_hash

CACHE_BYTES = 8 << 30  # of all vectors beside the runs of a folder
FACTS = "facts.json"


def is_frozen(cfg: DictConfig) -> bool:
    """Whether a run computes its body once (task.frozen)."""
    return bool((cfg.get("task") or {}).get("frozen"))


def with_frozen_body(cfg: DictConfig) -> DictConfig:
    """The config with adapter=head_only where it says task.frozen=true, else as it is.

    Raises UserError where another adapter is named.
    """
    if not is_frozen(cfg):
        return cfg
    none, head_only = (
        OmegaConf.load(folders.conf_folder() / f"adapter/{name}.yaml")
        for name in ("none", "head_only")
    )
    if cfg.get("adapter") not in (None, none, head_only):
        raise UserError(
            "task.frozen=true trains the head alone, and adapter= says otherwise: leave one out"
        )
    made = cfg.copy()
    with open_dict(made):
        made.adapter = head_only
    return made


def frozen_splits(data: Prepared, objective: Any, abstract: Callable[[Batch], Any]) -> Prepared:
    """The data with rows that carry the vectors of the frozen body, which are zeros as yet.

    abstract: batch -> shape of `TaskObjective.frozen_vectors`
    """
    if not isinstance(objective, TaskObjective):
        raise UserError("task.frozen=true needs a task that a head of its own answers")
    rows = InOrder(data.packed["train"], 1)[0]
    width = abstract(objective.corrupt(rows)).shape[-1]
    packed = {}
    for split, one in data.packed.items():
        assert isinstance(one, TaskSplit)
        per_token = objective.head.pooling is None
        packed[split] = FrozenSplit(one.packed, one.features, one.read, width, per_token)
    return dataclasses.replace(data, packed=packed)


def shape_of_vectors(make: Make) -> Callable[[Batch], Any]:
    """Function batch -> shape and dtype of the vectors of a frozen body."""

    def shape(batch: Batch) -> Any:
        return nnx.eval_shape(lambda b: cast(Any, make(jax.random.key(0))).frozen_vectors(b), batch)

    return shape


def fill(setup: Any, params: dict, runs: str) -> dict[str, Any]:
    """Compute the vectors of all splits, or read them; facts for the record of the run.

    params: of the state; setup: see train/setup.py, with splits of `frozen_splits`
    """
    merged = setup.adapter.merged(params)
    name = key_of(setup, merged)
    folder, size = Path(runs) / ".features" / name, size_of(setup)
    folder.parent.mkdir(parents=True, exist_ok=True)
    known = folder.is_dir() and whole(folder)
    if not known and size > shutil.disk_usage(folder.parent).free // 2:
        raise UserError(
            f"task.frozen=true: the hidden states take {size / 1e9:.1f} GB, more than half of what "
            f"is free in {runs}; write adapter=head_only, which stores none"
        )
    disk_cache.once(folder, lambda draft: write(setup, merged, draft), whole)
    folder.touch()
    for split, one in setup.data.packed.items():
        one.vectors["vectors"] = np.load(folder / f"{split}.npy", mmap_mode="r")
    delete_oldest(folder)
    return {"folder": name, "bytes": size, "cached": known}


def fill_before_training(
    setup: Any, params: dict, meter: Meter, run: Run, tell: Callable[[str], object]
) -> None:
    """`fill` where a body is frozen, charged to the phase "features". tell: for the person"""
    if not is_frozen(setup.cfg):
        return
    began = time.perf_counter()
    with meter.phase("features"):
        found = fill(setup, params, setup.cfg.runs)
    run.event("frozen_features", **found)
    took = f"computed in {time.perf_counter() - began:.1f} s"
    how = "read from the cache" if found["cached"] else took
    tell(f"hidden states of the frozen body: {how}, {found['bytes'] / 1e6:,.1f} MB")


def size_of(setup: Any) -> int:
    """Bytes of the vectors of all splits."""
    return sum(4 * one.count * one.width for one in setup.data.packed.values())


def key_of(setup: Any, merged: dict) -> str:
    """Hex digest of all that the vectors depend on."""
    cfg, facts = setup.cfg, setup.data.facts
    body = {path: leaf for path, leaf in named(merged).items() if not path.startswith(HEADS)}
    parts = {
        "weights": weights_hash(body),
        "model": OmegaConf.to_container(cfg.model, resolve=True),
        "objective": OmegaConf.to_container(cfg.objective, resolve=True),
        "precision": OmegaConf.to_container(cfg.precision, resolve=True),
        "data": [facts["corpus_hash"], facts["tokenizer_hash"]],
        "rows": {
            split: [len(one), one.length, one.count, one.width, inputs_hash(one)]
            for split, one in setup.data.packed.items()
        },
        "batch": cfg.data.batch,
        "computed": [jax.default_backend(), jax.__version__],
    }
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def inputs_hash(split: FrozenSplit) -> str:
    """Hex digest of the token ids and types of all inputs: they depend on options of the task."""
    made = hashlib.blake2b(digest_size=16)
    for one in split.features:
        made.update(one.tokens.tobytes() + one.types.tobytes() + repr(one.parts).encode())
    return made.hexdigest()


def write(setup: Any, merged: dict, folder: Path) -> None:
    """Compute the vectors of all splits into a folder, a batch at a time."""
    precision = setup.precision

    def compute(params: dict, batch: Batch) -> jax.Array:
        with precision.matmul_context():
            objective = setup.bound(precision.cast(params))
            return objective.frozen_vectors(batch).astype(np.float32)

    run, facts = jax.jit(compute), {}
    for split, one in setup.data.packed.items():
        path = folder / f"{split}.npy"
        vectors = np.lib.format.open_memmap(
            path, mode="w+", dtype=np.float32, shape=(one.count, one.width)
        )
        batches = InOrder(one.plain, setup.corpus.batch)
        for number in range(len(batches)):
            rows = batches[number]
            found = np.asarray(run(merged, setup.put(setup.objective.corrupt(rows))))
            mask, places = one.places(rows)
            vectors[places] = found[mask]
        vectors.flush()
        del vectors
        facts[split] = digest(path)
    (folder / FACTS).write_text(json.dumps(facts), "utf-8")


def digest(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def whole(folder: Path) -> bool:
    """Whether all vectors of a folder are as they were written."""
    try:
        facts = json.loads(read_bytes(folder / FACTS))
        return bool(facts) and all(digest(folder / f"{n}.npy") == d for n, d in facts.items())
    except (OSError, ValueError, AttributeError):
        return False


def delete_oldest(kept: Path) -> None:
    """Delete what was not used for longest, until CACHE_BYTES are kept; never `kept`."""
    known = [one for one in kept.parent.iterdir() if one.is_dir() and not one.name.startswith(".")]
    used = {one: sum(file.stat().st_size for file in one.iterdir()) for one in known}
    for one in sorted(known, key=lambda one: one.stat().st_mtime):
        if sum(used.values()) <= CACHE_BYTES:
            break
        if one != kept:
            shutil.rmtree(one, ignore_errors=True)
            del used[one]
