"""Example predictions on held-out text, shown during training beside the targets."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from fxformer.batch import Batch, Vocabulary
from fxformer.data.tokenizer import Tokenizer
from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.decoding.generate import generate
from fxformer.inference.decoding.prompts import continued_prompts
from fxformer.objective.base import Objective
from fxformer.track.summary import Sample

MAX_CODES = 16  # of which generate_samples are shown


def first_segment(batch: Batch, rows: int) -> Batch:
    """The first `rows` rows with only their first text; all other tokens become padding."""

    def only(ids, segments):
        return np.where(segments == 1, ids, 0), (segments == 1).astype(np.int32)

    batch = jax.tree.map(lambda x: np.asarray(x)[:rows], batch)
    tokens, segments = only(batch.tokens, batch.segments)
    kept = segments if batch.picked is None else np.take_along_axis(segments, batch.picked, 1)
    cut = batch.replace(tokens=tokens, segments=segments, weights=batch.weights * kept)
    if batch.source is not None:
        source, source_segments = only(batch.source, batch.source_segments)
        cut = cut.replace(source=source, source_segments=source_segments)
    return cut if batch.prefix is None else cut.replace(prefix=batch.prefix & (segments > 0))


def predict_masked(objective: Objective, batch: Batch) -> tuple[Array, Array, Array]:
    """Encoder: (input, input with the most probable token at each scored position, target)."""
    best = jnp.argmax(objective.model.logits(objective.model(batch)), -1).astype(jnp.int32)
    rows = jnp.arange(best.shape[0])[:, None]
    if batch.picked is None:
        at = jnp.broadcast_to(jnp.arange(best.shape[1]), best.shape)
    else:
        at = batch.picked
    scored = batch.weights > 0

    def put(values):
        here = jnp.where(scored, values, batch.tokens[rows, at])
        there = jnp.where(scored, at, batch.tokens.shape[1])  # out of range, so dropped
        return batch.tokens.at[rows, there].set(here, mode="drop")

    return batch.tokens, put(best[rows, at]), put(batch.targets)


def continue_prompt(objective: Objective, batch: Batch) -> tuple[Any, Any, Any]:
    """Decoder: (prompt, its continuation, text); the prompt is the prefix or the first third."""
    vocabulary, length = objective.vocabulary, batch.tokens.shape[1]
    given = np.maximum((np.asarray(batch.segments) > 0).sum(1) // 3, 1)
    own = None if batch.prefix is None else np.sum(batch.prefix, 1)
    given = given if own is None else np.where(own > 0, own, given)
    shown = np.arange(length) < given[:, None]
    prompt = np.where(shown, batch.tokens, vocabulary.pad)
    prefix = None if batch.prefix is None else np.asarray(batch.prefix) & shown
    found = generate(
        objective.model,
        greedy_settings(vocabulary, max_length=length),
        prompt=prompt,
        prompt_mask=shown,
        prefix=prefix,
        vocab_size=vocabulary.size,
    )
    return prompt, continued_prompts(prompt, shown, found.rows(), vocabulary.pad), batch.tokens


def reconstruct(objective: Objective, batch: Batch) -> tuple[Any, Any, Any]:
    """Encoder-decoder: (source, greedy output, target)."""
    vocabulary = objective.vocabulary
    found = generate(
        objective.model,
        greedy_settings(vocabulary, max_new_tokens=batch.targets.shape[1]),
        prompt=batch.tokens[:, :1],
        source=batch.source,
        source_segments=batch.source_segments,
        vocab_size=vocabulary.size,
    )
    return batch.source, found.sequences, batch.targets * (batch.segments > 0)


def greedy_settings(vocabulary: Vocabulary, **limits: Any) -> GenerationConfig:
    """Greedy decoding with a vocabulary's end of sequence and padding."""
    return GenerationConfig(eos_token_id=vocabulary.eos, pad_token_id=vocabulary.pad, **limits)


GENERATORS: dict[str, Callable] = {"decoder": continue_prompt, "seq2seq": reconstruct}


def generate_samples(
    objective: Objective,
    bind: Callable,
    params: dict,
    batch: Batch,
    tokenizer: Tokenizer,
    rows: int,
) -> list[Sample]:
    """Predictions of the model with parameters `params` on the first rows of a batch.

    objective: its vocabulary and methods are used; its arrays may be abstract
    bind: params -> objective with these parameters
    """
    shown_rows, generator = first_segment(batch, rows), GENERATORS.get(objective.model.architecture)
    if generator is None or type(objective).answer is not None:
        answer = type(objective).answer or predict_masked
        ids = jax.jit(lambda p, b: answer(bind(p), b))(params, shown_rows)
    else:
        ids = generator(bind(params), shown_rows)
    read = tokenizer if batch.source is None else tokenizer.of_source
    texts = (
        [readable_text(row, one) for row in np.asarray(part)]
        for part, one in zip(ids, (read, tokenizer, tokenizer), strict=True)
    )
    shown = [Sample(*three) for three in zip(*texts, strict=True)]
    if getattr(objective, "shows_codes", False):
        shown += samples_by_code(bind, params, batch.tokens.shape[1], tokenizer)
    return shown


def samples_by_code(
    bind: Callable, params: dict, length: int, tokenizer: Tokenizer
) -> list[Sample]:
    """Greedy continuation of each control code alone, for at most MAX_CODES codes."""
    codes = dict(list(tokenizer.ids.codes.items())[:MAX_CODES])
    vocabulary = tokenizer.vocabulary
    prompt = np.array(list(codes.values()), np.int32)[:, None]
    settings = greedy_settings(vocabulary, max_length=length)
    found = generate(bind(params).model, settings, prompt=prompt, vocab_size=vocabulary.size)
    rows = np.concatenate([prompt, found.sequences], axis=1)
    return [
        Sample(f"<code {name}>", readable_text(row, tokenizer), "")
        for name, row in zip(codes, rows, strict=True)
    ]


def readable_text(ids: Int[np.ndarray, "T"], tokenizer: Tokenizer) -> str:
    """Decoded text with masks printed as <mask> and other special tokens left out."""
    mask, parts, run = tokenizer.vocabulary.mask, [], []
    for token in [*ids.tolist(), None]:
        if token is not None and token != mask:
            run.append(token)
            continue
        if run:
            parts.append(tokenizer.decode(np.array(run, np.int32)).strip())
        parts += ["<mask>"] if token is not None else []
        run = []
    return " ".join(part for part in parts if part)
