"""`fxformer.load`: a Model of a run, a Hugging Face folder or a hub id."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike

from fxformer.batch import Vocabulary
from fxformer.data.special_tokens import SpecialIds
from fxformer.errors import UserError
from fxformer.hf.published_model import PublishedModel, load_model
from fxformer.inference.generation_defaults import published_settings
from fxformer.inference.loaded_run import load_run
from fxformer.inference.model import Model
from fxformer.inference.model_cache import resolve_step
from fxformer.warmstart.checkpoint_source import PublishedSource, RunSource, open_source


def load(
    what: str | Path,
    step: int | None = None,
    *,
    dtype: DTypeLike | None = None,
    runs: str | Path = "runs",
    ignore: Sequence[str] = (),
) -> Model:
    """The model of a run, of a Hugging Face folder, or of the hub, ready to use.

    what: a run's folder, its id (or the first letters of it, or last) in the folder `runs`, a
        folder with config.json and model.safetensors, or a hub id owner/name
    step: of the run's checkpoint; None: the last
    dtype: of the weights, e.g. "bfloat16"; None: as stored (float32)
    ignore: fields of a config.json that are known to affect nothing
    Raises UserError if there is no such model or it cannot be read exactly; a config that names
    foreign code is refused before anything runs.
    """
    if not isinstance(what, str | Path) or not str(what):
        raise UserError(f"load: expected a run, a folder or a hub id, got {what!r}")
    check_dtype(dtype)
    place = str(Path(what).expanduser()) if str(what).startswith("~") else str(what)
    source = open_source(place, str(runs), ignore, option="ignore=[{}]")
    if isinstance(source, PublishedSource):
        if step is not None:
            raise UserError(f"step={step}: {what} is a published model, which has no steps")
        model = published_model(source)
    else:
        run = cast(RunSource, source).run
        model = load_run(run, resolve_step(run, step)).model
    return placed(model, dtype)


def check_dtype(dtype: DTypeLike | None) -> None:
    """Raise UserError unless weights can be of this type: a floating-point type, or None."""
    try:
        floating = dtype is None or jnp.issubdtype(jnp.dtype(dtype), jnp.floating)
    except TypeError:
        floating = False
    if not floating:
        raise UserError(f"dtype={dtype!r}: weights are float32, bfloat16 or float16")


def placed(model: Model, dtype: DTypeLike | None = None) -> Model:
    """The model with its weights on the default device, in `dtype`; None: as they are."""

    def place(array: np.ndarray) -> jax.Array:
        floating = jnp.issubdtype(array.dtype, jnp.floating)
        return jnp.array(array, dtype if dtype is not None and floating else array.dtype)

    generator = None if model.generator is None else placed(model.generator, dtype)
    return model.replace(params=jax.tree.map(place, model.params), generator=generator)


def published_model(source: PublishedSource) -> Model:
    """The Model of a published checkpoint; all its heads that the files have."""
    published, tokenizer = source.published, source.tokenizer()
    graphdef, state = nnx.split(load_model(published)[0])
    return Model(
        name=published.folder.resolve().name,
        tokenizer=tokenizer,
        vocabulary=_vocabulary(published) if tokenizer is None else tokenizer.vocabulary,
        graphdef=graphdef,
        params=nnx.to_pure_dict(state),
        config={"model": source.resolved_model},
        start=start_of(published.config),
        generation_settings=published_settings(published.folder, published.config),
        published=published.folder,
    )


def start_of(config: dict[str, Any]) -> int | None:
    """First decoder token by a config.json: decoder_start_token_id, else bos or pad."""
    names = ("decoder_start_token_id", "bos_token_id", "pad_token_id")
    return next((config[name] for name in names if isinstance(config.get(name), int)), None)


def _vocabulary(published: PublishedModel) -> Vocabulary:
    """Special ids by config.json, where no tokenizer can be read."""
    rows = range(published.vocab)

    def given(slot: str) -> int | None:
        value = published.config.get(f"{slot}_token_id")
        return value if isinstance(value, int) and value in rows else None

    ids = SpecialIds(given("pad") or 0, bos=given("bos"), eos=given("eos"), mask=given("mask"))
    return ids.vocabulary([None] * len(rows))
