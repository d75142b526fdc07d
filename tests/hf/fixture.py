"""Fixtures of the bridge's tests: those of this folder, and those that FXFORMER_PARITY names."""

import json
import os
import shutil
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from fxformer.hf.family import all_families
from fxformer.hf.forward import run
from fxformer.hf.published_model import PublishedModel, load_model, read_published

HERE = Path(__file__).parent / "fixtures"
TOLERANCE = 2e-5  # of the largest number, or of 1


def own() -> list[Path]:
    """The fixtures that make_fixtures.py has made."""
    return sorted(path.parent for path in HERE.glob("*/config.json"))


def others() -> list[Path]:
    """Third-party fixtures of the families there are, none where FXFORMER_PARITY is not set."""
    place = os.environ.get("FXFORMER_PARITY")
    known = {name for family in all_families() for name in family.types}
    found = sorted(Path(place).glob("*/config.json")) if place else []
    return [f.parent for f in found if json.loads(f.read_text())["model_type"] in known]


@cache
def published(folder: Path) -> PublishedModel:
    return read_published(folder)


@cache
def answers(folder: Path) -> dict[str, np.ndarray]:
    """What our model of a fixture answers to the fixture's inputs, under their names."""
    if "in.input_ids.0" in reference(folder):
        return remembering(folder)
    inputs = {k.removeprefix("in."): v for k, v in reference(folder).items() if k[:3] == "in."}
    one = published(folder)
    model, _ = load_model(one)
    return {name: np.asarray(value) for name, value in run(one, model, inputs).items()}


def remembering(folder: Path) -> dict[str, np.ndarray]:
    """What our model answers to one segment of a text after the other, in numbers as those are."""
    shape, state = nnx.split(load_model(published(folder))[0])

    @jax.jit
    def read_published(state, tokens, cache):
        model = nnx.merge(shape, state)
        body, ones = model.transformer, jnp.ones_like(tokens)
        context, at = body.self_context(ones, cache)
        x = body.input(model.token_embedding(tokens), at, body.position)
        last, cache, made = body.stack(x, context, cache=cache, capture=True)
        return body.all_hidden_states(x, made.hidden_states), model.logits(last), cache

    found, cache = (
        {},
        nnx.merge(shape, state).init_cache(len(reference(folder)["in.input_ids.0"]), 1),
    )
    for part in ("0", "1"):
        tokens = jnp.asarray(reference(folder)[f"in.input_ids.{part}"], jnp.int32)
        states, logs, cache = read_published(state, tokens, cache)
        found |= {f"hidden_states.{part}": states, f"logprobs.{part}": logs}
    return {name: np.asarray(array) for name, array in found.items()}


def reference_file(folder: Path) -> Path:
    """reference.npz; files in an old form share that of their parent."""
    file = folder / "reference.npz"
    if not file.is_file():
        file = folder.with_name(folder.name.removesuffix("__legacy")) / "reference.npz"
    return file


@cache
def reference(folder: Path) -> dict[str, np.ndarray]:
    """What a fixture holds besides the model."""
    return dict(np.load(reference_file(folder)))


def wanted(folder: Path) -> dict[str, np.ndarray]:
    """{output: its value} of a fixture."""
    arrays = reference(folder)
    fixed = {k.removeprefix("fixed."): v for k, v in arrays.items() if k.startswith("fixed.")}
    made = {k[4:]: v for k, v in arrays.items() if k.startswith(("out.", "cls."))}
    return made | fixed


def valid(folder: Path, name: str, array: np.ndarray) -> np.ndarray:
    """Where an output is defined: not at padding. Broadcast to `array`."""
    arrays = reference(folder)
    if "in.input_ids.0" in arrays:
        return np.ones(array.shape, bool)
    source = arrays.get("in.attention_mask", np.ones(arrays["in.input_ids"].shape))
    target = arrays.get("in.decoder_attention_mask", source)
    mask = (source if name.startswith("encoder") else target).astype(bool)
    mask = mask.reshape(-1, mask.shape[-1])  # of multiple choice [B, choices, T]
    if name.endswith("hidden_states"):
        mask = mask[None, ..., None]
    elif array.shape[:2] != mask.shape:
        mask = mask[:, :1]  # pooled: row by row, by its first place
        mask = mask.reshape(array.shape) if mask.size == array.size else mask
    elif array.ndim == 3:
        mask = mask[..., None]
    return np.broadcast_to(mask, array.shape)


def with_words(folder: Path, name: str, words: list[str], base: str = "bert") -> Path:
    """A copy of a fixture with a tokenizer of these words behind BERT's special tokens."""
    made = folder / name
    shutil.copytree(HERE / base, made)
    lines = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (made / "vocab.txt").write_text("\n".join(lines))
    return made
