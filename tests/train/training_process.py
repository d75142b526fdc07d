"""A process of its own that trains the toy in a folder, so that tests can kill it.

python training_process.py FOLDER UNTIL HOLD: appends "step loss" lines to FOLDER/trace; after
step HOLD it waits for a signal, so that it is still at work when one comes.
"""

import os
import sys
import time
from pathlib import Path

import jax
from tiny_training import Meter, Parts, batches

from fxformer.track.run_lock import RunLock
from fxformer.train import signals
from fxformer.train.callbacks import SaveCheckpoint
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.compile import use_compile_cache
from fxformer.train.evaluation import Evaluate
from fxformer.train.loop import fit
from fxformer.train.loop_state import RunTotals


class Trace:
    """A tracker that writes each training loss through to a file, bit for bit."""

    def __init__(self, path):
        self.file = path.open("a", buffering=1)

    def log(self, step, split, metrics):
        if split == "train":
            self.file.write(f"{step} {metrics['loss'].hex()}\n")


def train(folder, until, hold=None):
    toy = Parts(dropout=0.2, ema=0.9)
    checkpoints = Checkpoints(folder / "checkpoints")
    found = checkpoints.restore(jax.eval_shape(lambda: toy.state))
    state, totals = (found.state, RunTotals(**found.host["totals"])) if found else (toy.state, None)
    valid = [jax.tree.map(jax.numpy.asarray, next(batches(10**6))[1])]
    callbacks = [Evaluate(10, toy.evaluate, valid), SaveCheckpoint(5, checkpoints)]

    def held():
        for n, each in batches(int(state.step)):
            while n == hold and not signals.deadline.signalled:
                time.sleep(0.01)
            yield n, each

    return fit(
        toy.step,
        state,
        held(),
        until=until,
        callbacks=callbacks,
        totals=totals,
        tracker=Trace(folder / "trace"),
        meter=Meter(),
    )


if __name__ == "__main__":
    use_compile_cache(os.environ.get("FXFORMER_TEST_CACHE"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    where = Path(sys.argv[1])
    where.mkdir(parents=True, exist_ok=True)
    lock = RunLock(where)
    run = train(where, int(sys.argv[2]), int(sys.argv[3]))
    lock.release()
    print(run.status, run.reason, run.totals.tokens)
    sys.exit(run.code)
