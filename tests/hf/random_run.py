"""A run with a tokenizer and weights drawn at random, without a training."""

from pathlib import Path

import jax
import numpy as np
from omegaconf import OmegaConf

from fxformer.config.check import check
from fxformer.config.options import composed
from fxformer.track.run import Run
from fxformer.track.run_reader import StoredRun
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.setup import set_up
from tests.first_state import first_state

TEXT = """The ship left the harbour before dawn. Nobody had slept that night.

She looked at him and said nothing. The wind had turned to the north; it was cold.

What would they find on the other side? He did not know, and he did not ask.

"""
SMALL = (
    "size=tiny",
    "data=text",
    "data.length=48",
    "data.batch=4",
    "data.workers=1",
    "energy=tdp",
    "trainer.steps=2",
)


def random_run(folder: Path, *words: str, contrast: float = 1.0) -> StoredRun:
    """A run under `folder` as the command line `words` would have made it.

    contrast: factor on every matrix, for answers that differ from token to token
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.txt").write_text(TEXT * 12)
    given = [
        *SMALL,
        f"data.files={folder / 'text.txt'}",
        f"data.cache_dir={folder / 'cache'}",
        *words,
    ]
    cfg = composed("train", given)
    check(cfg)
    setup = set_up(cfg)
    params = first_state(setup).params
    params = jax.tree.map(lambda x: np.asarray(x) * (contrast if x.ndim > 1 else 1), params)
    run = Run.create(str(folder / "runs"), "made", config=OmegaConf.create(cfg))
    setup.data.tokenizer.save(run.folder / "tokenizer")
    checkpoints = Checkpoints(run.folder / "checkpoints")
    checkpoints.save(0, {"params": params}, {})
    assert checkpoints.wait()
    run.finish("done", "made")
    return StoredRun(run.folder)
