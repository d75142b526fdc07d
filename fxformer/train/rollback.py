"""Roll-back callback: restore the last checkpoint after consecutive skipped updates."""

import math
from typing import Any

import jax.numpy as jnp

from fxformer.train.callbacks import Callback, Note, discard
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.loop_state import LoopState


class RollBack(Callback):
    """Restores the last checkpoint after `max_skipped` consecutive skipped updates.

    Parameters, optimizer state and moving average are restored. The step continues, and with it the
    data and random keys, so the batches that made the run diverge are not repeated.

    max_rollbacks: roll-backs before the run stops as diverged
    abstract_state: as in Checkpoints.restore
    note: called for each roll-back and for divergence, (kind, **facts)
    """

    def __init__(
        self,
        max_skipped: int,
        max_rollbacks: int,
        checkpoints: Checkpoints,
        abstract_state: Any,
        *,
        note: Note = discard,
    ) -> None:
        super().__init__(1)
        self.note = note
        self.max_skipped, self.max_rollbacks = max_skipped, max_rollbacks
        self.checkpoints, self.abstract_state = checkpoints, abstract_state

    def due(self, loop: LoopState) -> bool:
        if loop.status is not None:
            return False
        broken = not math.isfinite(loop.train.get("parameter_norm", 0))
        return broken or loop.train.get("streak", 0) >= self.max_skipped

    def __call__(self, loop: LoopState) -> None:
        loop.catch_up()
        what = f"{loop.train['streak']:.0f} consecutive updates were not finite by step {loop.step}"
        if loop.totals.rollbacks >= self.max_rollbacks:
            return self._diverge(loop, f"{what}, after {loop.totals.rollbacks} roll-backs")
        self.checkpoints.wait()
        found = self.checkpoints.restore(self.abstract_state)
        if found is None:
            return self._diverge(loop, f"{what}, and there is no checkpoint to go back to")
        loop.totals.rollbacks += 1
        now = loop.state
        loop.state = found.state.replace(
            step=now.step,
            skipped=now.skipped,
            streak=jnp.zeros_like(now.streak),
            memory=now.memory and now.memory.cleared(),  # that of the checkpoint is of other rows
        )
        loop.train |= {"streak": 0.0, "parameter_norm": 0.0}
        times = loop.totals.rollbacks
        self.note("rollback", step=loop.step, to=found.step, why=what, rollbacks=times)

    def _diverge(self, loop: LoopState, why: str) -> None:
        self.note("diverged", step=loop.step, why=why)
        loop.stop("diverged", why)
