"""Saves runs without training: config, tokenizer and checkpoints with random weights."""

from pathlib import Path

import jax
import numpy as np
from flax import nnx

from fxformer.config.build import build
from fxformer.track.run import Run
from fxformer.track.run_reader import StoredRun
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.experiment import objective_factory
from fxformer.train.state import init
from tests.physics.training import composed

WORDS = "the cat sat on a mat and the dog ran to its small red house by old oak trees".split()
MARKUP = "<img src=x onerror=window.harm=1> the cat <script>window.harm=1</script> sat " * 3
SMALL = (
    "size=tiny",
    "model.dim=16",
    "model.layers=2",
    "model.heads=2",
    "model.ffn.hidden=16",
    "energy=tdp",
    "data.length=32",
    "data.batch=8",
)
KINDS = {
    "bert": ("model=bert", "objective=mlm"),
    "gpt": ("model=gpt2", "objective=clm"),
    "bart": ("model=bart", "objective=denoise"),
    "prefix": ("model=gpt2", "objective=prefix"),
    "electra": ("model=electra", "objective=electra"),
    "t5": ("model=t5", "objective=t5", "tokenizer.specials.sentinels=20"),
}


def text(folder: Path) -> Path:
    """A small text file with a small vocabulary."""
    file = folder / "text.txt"
    if not file.exists():
        rng = np.random.default_rng(0)
        texts = [" ".join(rng.choice(WORDS, 60)) for _ in range(39)] + [MARKUP]
        file.write_text("\n\n".join(texts))
    return file


def untrained_run(folder: Path, kind: str, *more: str, steps=(10, 20, 30)) -> StoredRun:
    """A run of this kind on the folder's text, with different random weights at each of `steps`."""
    data = (
        "data=text",
        f"data.files={text(folder)}",
        "data.document_is=paragraph",
        "data.valid_share=0.3",
        f"data.cache_dir={folder / 'cache'}",
        "tokenizer=word",
    )
    return save_untrained_run(
        folder / "runs", kind, *KINDS[kind], *SMALL, *data, *more, steps=steps
    )


def save_untrained_run(root: Path, name: str, *overrides: str, steps=(10, 20, 30)) -> StoredRun:
    """A run of any config, with different random weights at each of `steps`."""
    cfg = composed(*overrides, f"runs={root}", "trainer.compile_cache=null")
    corpus = build(cfg.data)(tokenizer=build(cfg.tokenizer))
    make, tokenizer = objective_factory(cfg, corpus.vocabulary), corpus.source.tokenizer
    shapes = jax.eval_shape(lambda key: init(make, key), jax.random.key(0))
    built = nnx.eval_shape(lambda: make(jax.random.key(0))).model
    facts = {"data": {"tokenizer_hash": tokenizer.hash}, "architecture": built.architecture}
    run = Run.create(root, name, config=cfg, facts=facts)
    tokenizer.save(run.folder / "tokenizer")
    leaves, tree = jax.tree.flatten(shapes)
    checkpoints = Checkpoints(run.folder / "checkpoints", keep_checkpoints=max(len(steps), 2))
    for step in steps:
        rng = np.random.default_rng(step)
        drawn = [rng.normal(0, 0.4, leaf.shape).astype(np.float32) for leaf in leaves]
        params = jax.tree.unflatten(tree, drawn)
        totals = {"tokens": 10.0 * step, "joules": 1.0 * step, "seconds": 0.1 * step}
        checkpoints.save(step, {"params": params}, {"totals": totals})
        assert checkpoints.wait()
    run.finish("done")
    return StoredRun(run.folder)
