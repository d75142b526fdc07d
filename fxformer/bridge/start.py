"""Training that begins with weights that exist: those of a run, or of a published model.

    fxformer train init.from=RUN objective=mlm data=text

Arrays are matched by path; heads may be new, the body must be whole. adopt.py says how the config
follows.
"""

import dataclasses
from pathlib import Path

import jax
import numpy as np

from fxformer.bridge.bill import Line
from fxformer.bridge.convert import Arrays, WeightMismatch
from fxformer.bridge.hub import folder_of
from fxformer.bridge.reading import read
from fxformer.bridge.stored import model_weights
from fxformer.config.fit import nearest
from fxformer.rules import named, named_map
from fxformer.track.store import StoredRun, find

HEADS = ("head/", "classifiers/")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """The knob `init`: where a run's first weights come from.

    from_: a run's folder or name, or a folder of a published model; null: drawn by model.init
    """

    from_: str | None = None

    def apply(self, params: dict, *, runs: str) -> tuple[dict, list[Line]]:
        """`params` of an objective with the model's arrays replaced, and what became of each.

        Raises WeightMismatch where a shape differs or the body is not whole.
        """
        if self.from_ is None:
            return params, []
        leaves = named(params)
        shapes = {p.removeprefix("model/"): leaf.shape for p, leaf in leaves.items()
                  if p.startswith("model/")}
        arrays, lines = weights(self.from_, shapes, runs=runs)
        lines += [Line("fresh", "", p, leaf.shape) for p, leaf in leaves.items()
                  if not p.startswith("model/")]

        def put(path: str, leaf: jax.Array) -> jax.Array:
            found = arrays.get(path.removeprefix("model/")) if path.startswith("model/") else None
            if found is None:
                return leaf
            return jax.device_put(np.array(found, leaf.dtype), leaf.sharding)

        return named_map(put, params), lines


def weights(which: str, shapes: dict, *, runs: str) -> tuple[Arrays, list[Line]]:
    """Arrays by path in the model, for a model of these shapes, from a run or a published model."""
    heads = [path for path in shapes if path.startswith(HEADS)]
    run = run_of(which, runs)
    if run is None:
        return read(folder_of(which)).load(shapes, heads, spare=HEADS)
    found = model_weights(run)
    lost = [p for p in shapes if p not in found and p not in heads]
    wrong = [f"{p} is {list(found[p].shape)} in {run.id} and {list(s)} here"
             for p, s in shapes.items() if p in found and found[p].shape != tuple(s)]
    wrong += [f"{run.id} has no {path}{nearest(path, found)}" for path in lost]
    wrong += [f"{run.id} has {path}, this model has not{nearest(path, shapes)}"
              for path in found if path not in shapes and not path.startswith(HEADS)]
    if wrong:
        raise WeightMismatch("init.from: " + "\n".join(wrong[:12]))
    lines = [Line("loaded", p, p, found[p].shape) for p in shapes if p in found]
    lines += [Line("ignored", p, "", found[p].shape) for p in found if p not in shapes]
    lines += [Line("fresh", "", p, shapes[p]) for p in shapes if p not in found]
    return {p: found[p] for p in shapes if p in found}, lines


def run_of(which: str, runs: str) -> StoredRun | None:
    """The run of this name; None for a folder of a published model, or a hub id."""
    if (Path(which) / "run.json").is_file():
        return StoredRun(which)
    if (Path(which) / "config.json").is_file() or "/" in which:
        return None
    return find(runs, which)
