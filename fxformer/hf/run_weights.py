"""The weights of a run, whichever objective and optimizer it was trained with."""

import numpy as np

from fxformer.errors import UserError
from fxformer.track.run_reader import StoredRun
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.checkpoint_files import DamagedCheckpoint


def model_weights(run: StoredRun, *, averaged: bool = True) -> dict[str, np.ndarray]:
    """{path in the model: float32} of the newest sound checkpoint.

    averaged: the moving average of the weights, where the run kept one
    Raises UserError where no checkpoint can be read.
    """
    state = newest(run)
    kinds = ("ema/model/", "params/model/") if averaged else ("params/model/",)
    for start in kinds:
        found = {p.removeprefix(start): a for p, a in state.items() if p.startswith(start)}
        if found:
            return found
    raise UserError(f"{run.folder}: its checkpoint holds no model")


def newest(run: StoredRun) -> dict[str, np.ndarray]:
    """{path: array} of the newest checkpoint that is whole; nothing is moved or repaired."""
    folder = run.folder / "checkpoints"
    if not folder.is_dir():
        raise UserError(f"{run.folder} has no checkpoints")
    checkpoints = Checkpoints(folder)
    for step in reversed(checkpoints.steps()):
        try:
            return checkpoints.read(step)[0]
        except DamagedCheckpoint:
            continue
    raise UserError(f"{run.folder} has no whole checkpoint")
