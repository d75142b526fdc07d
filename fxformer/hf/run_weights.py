"""Model weights of a run's newest checkpoint, independent of objective and optimizer."""

import numpy as np

from fxformer.config.stored import opened_config
from fxformer.errors import UserError
from fxformer.rules import ADAPTER
from fxformer.track.run_reader import StoredRun
from fxformer.train.adapter import adapter_of
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.checkpoint_files import DamagedCheckpoint


def model_weights(run: StoredRun, *, averaged: bool = True) -> dict[str, np.ndarray]:
    """{path in the model: float32 array} of the newest checkpoint that can be read.

    The change of an adapter is merged into the weights.

    averaged: the moving average of the weights, if the run kept one
    Raises UserError if no checkpoint can be read.
    """
    state = newest(run)
    for kind in ("ema/", "params/") if averaged else ("params/",):
        leaves = {p.removeprefix(kind): a for p, a in state.items() if p.startswith(kind)}
        if any(path.startswith(f"{ADAPTER}/") for path in leaves):
            leaves = adapter_of(opened_config(run.folder)).merged_leaves(leaves)
        found = {
            path.removeprefix("model/"): np.asarray(leaf)
            for path, leaf in leaves.items()
            if path.startswith("model/")
        }
        if found:
            return found
    raise UserError(f"{run.folder}: its checkpoint contains no model")


def newest(run: StoredRun) -> dict[str, np.ndarray]:
    """{path: array} of the newest undamaged checkpoint; nothing is moved or repaired."""
    folder = run.folder / "checkpoints"
    if not folder.is_dir():
        raise UserError(f"{run.folder} has no checkpoints")
    checkpoints = Checkpoints(folder)
    for step in reversed(checkpoints.steps()):
        try:
            return checkpoints.read(step)[0]
        except DamagedCheckpoint:
            continue
    raise UserError(f"{run.folder} has no undamaged checkpoint")
