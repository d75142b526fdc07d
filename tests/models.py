"""Tiny models for tests, composed from conf/ the way the command line does it."""

from functools import lru_cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from hydra.utils import instantiate
from omegaconf import DictConfig

from fxformer.batch import Batch
from fxformer.config import options

CONF = Path(__file__).parents[1] / "conf"
VOCAB = 40
SMALL = ("+size=tiny", "model.dim=24", "model.layers=2", "model.heads=4", "model.ffn.hidden=32")

# heads whose quarter is a whole number of pairs
OWN = {"gpt_neox": ("model.heads=3",), "gptj": ("model.heads=3",)}


def choices(group: str) -> list[str]:
    """The yaml files of a config group."""
    return sorted(p.stem for p in (CONF / group).glob("*.yaml"))


def network(model: str, *overrides: str):
    """The partial that a model's yaml describes."""
    return instantiate(composed(model, *overrides).model.network)


@lru_cache(None)
def composed(model: str, *overrides: str) -> DictConfig:
    """The config of a model. Not to be changed: it is composed once."""
    return options.composed(None, [f"+model={model}", *overrides])


def tiny(model: str, *overrides: str, vocab: int = VOCAB, seed: int = 0):
    """A real model of a few thousand weights, drawn wide enough that every part matters."""
    made = network(model, *SMALL, *OWN.get(model, ()), *overrides)
    built = made(vocab=vocab, rngs=nnx.Rngs(seed))
    shape, state = nnx.split(built)
    leaves, tree = jax.tree.flatten(state)
    wide = [x + noise for x, noise in zip(leaves, normal_like(leaves, 0.3, seed), strict=True)]
    return nnx.merge(shape, jax.tree.unflatten(tree, wide))


def abstract(model: str, *overrides: str, vocab: int = VOCAB):
    """The model of `tiny` with shapes in place of weights: nothing is computed."""
    made = network(model, *SMALL, *OWN.get(model, ()), *overrides)
    return nnx.eval_shape(lambda: made(vocab=vocab, rngs=nnx.Rngs(0)))


def normal_like(leaves, scale: float, seed: int = 0) -> list[jax.Array]:
    """Random arrays of the shapes of `leaves`; jax.random would compile a program for each."""
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.normal(0, scale, leaf.shape), jnp.float32) for leaf in leaves]


def ids(batch: int = 2, length: int = 8, seed: int = 1) -> np.ndarray:
    """Random ids, none of them 0. int32 [B, T]."""
    drawn = np.random.default_rng(seed).integers(1, VOCAB, (batch, length))
    return drawn.astype(np.int32)


def a_batch(model, tokens: np.ndarray, segments: np.ndarray | None = None) -> Batch:
    """`tokens` as what the model reads; a seq2seq model reads them reversed as its source."""
    segments = np.ones_like(tokens) if segments is None else segments
    if model.architecture == "seq2seq":
        source = np.where(segments > 0, (tokens * 7) % VOCAB, 0).astype(np.int32)
        return Batch(tokens, segments, source=source, source_segments=segments)
    return Batch(tokens, segments)


def logits(model, batch: Batch, key=None):
    """What the model says at every position. float32 [B, T, V]."""
    return _logits(*nnx.split(model), batch, key)


@partial(jax.jit, static_argnums=0)
def _logits(shape, state, batch, key):
    model = nnx.merge(shape, state)
    return model.logits(model(batch, key=key))


def close(a, b, tolerance: float = 1e-5):
    """Whether two arrays are equal up to rounding, relative to the larger of them."""
    scale = max(1.0, float(jnp.abs(a).max()))
    np.testing.assert_allclose(np.asarray(a) / scale, np.asarray(b) / scale, rtol=0, atol=tolerance)
