"""Model weights of a run's newest checkpoint, independent of objective and optimizer."""

import numpy as np

from fxformer.errors import UserError
from fxformer.track.run_reader import StoredRun
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.checkpoint_files import DamagedCheckpoint


def model_weights(run: StoredRun, *, averaged: bool = True) -> dict[str, np.ndarray]:
    """{path in the model: float32 array} of the newest checkpoint that can be read.

    averaged: the moving average of the weights, if the run kept one
    Raises UserError if no checkpoint can be read.
    """
    state = newest(run)
    kinds = ("ema/model/", "params/model/") if averaged else ("params/model/",)
    for start in kinds:
        found = {p.removeprefix(start): a for p, a in state.items() if p.startswith(start)}
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
