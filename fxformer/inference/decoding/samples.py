"""A few examples of what a model makes of held-out text, as pairs a person can compare."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from fxformer.batch import Batch
from fxformer.data.tokenizer import Tokenizer
from fxformer.inference.decoding.greedy import continue_prefix, continue_text, rewrite
from fxformer.objective.base import Objective
from fxformer.track.summary import Sample

MOST_CODES = 16  # of which samples are shown


def one_piece(batch: Batch, rows: int) -> Batch:
    """The first text of each of the first rows, everything else turned into padding."""

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


def fill_in(objective: Objective, batch: Batch) -> tuple[Array, Array, Array]:
    """An encoder's answer: the likeliest token at each scored position."""
    best = jnp.argmax(objective.model.logits(objective.model(batch)), -1).astype(jnp.int32)
    rows = jnp.arange(best.shape[0])[:, None]
    if batch.picked is None:
        at = jnp.broadcast_to(jnp.arange(best.shape[1]), best.shape)
    else:
        at = batch.picked
    scored = batch.weights > 0

    def put(values):
        here = jnp.where(scored, values, batch.tokens[rows, at])
        there = jnp.where(scored, at, batch.tokens.shape[1])  # out of range: dropped
        return batch.tokens.at[rows, there].set(here, mode="drop")

    return batch.tokens, put(best[rows, at]), put(batch.targets)


def go_on(objective: Objective, batch: Batch) -> tuple[Array, Array, Array]:
    """A decoder's answer: the first third of each text, or the prefix it has, continued."""
    vocabulary, length = objective.vocabulary, batch.tokens.shape[1]
    given = jnp.maximum((batch.segments > 0).sum(1) // 3, 1)
    own = None if batch.prefix is None else jnp.sum(batch.prefix, 1)
    given = given if own is None else jnp.where(own > 0, own, given)
    shown = jnp.arange(length) < given[:, None]
    prompt = jnp.where(shown, batch.tokens, vocabulary.pad)
    knobs = {"length": length, "eos": vocabulary.eos, "pad": vocabulary.pad}
    if batch.prefix is None:
        whole = continue_text(objective.model, prompt, given, **knobs)
    else:
        whole = continue_prefix(objective.model, prompt, given, batch.prefix, **knobs)
    return prompt, whole, batch.tokens


def restore(objective: Objective, batch: Batch) -> tuple[Array, Array, Array]:
    """A seq2seq model's answer: what it writes after reading the source."""
    vocabulary = objective.vocabulary
    answer = rewrite(
        objective.model,
        batch.source,
        batch.source_segments,
        start=batch.tokens[:, :1],
        length=batch.targets.shape[1],
        eos=vocabulary.eos,
        pad=vocabulary.pad,
    )
    return batch.source, answer, batch.targets * (batch.segments > 0)


ANSWERS: dict[str, Callable] = {"encoder": fill_in, "decoder": go_on, "seq2seq": restore}


def samples(
    objective: Objective,
    bind: Callable,
    params: dict,
    batch: Batch,
    tokenizer: Tokenizer,
    rows: int,
) -> list[Sample]:
    """What the model with these parameters makes of the first rows of a batch.

    objective: for its vocabulary; its arrays may be abstract
    bind: params -> objective with these parameters
    """
    answer = type(objective).answer or ANSWERS[objective.model.architecture]
    ids = jax.jit(lambda p, b: answer(bind(p), b))(params, one_piece(batch, rows))
    read = tokenizer if batch.source is None else tokenizer.of_source
    texts = (
        [spelt(row, one) for row in np.asarray(part)]
        for part, one in zip(ids, (read, tokenizer, tokenizer), strict=True)
    )
    shown = [Sample(*three) for three in zip(*texts, strict=True)]
    if getattr(objective, "shows_codes", False):
        shown += by_code(bind, params, batch.tokens.shape[1], tokenizer)
    return shown


def by_code(bind: Callable, params: dict, length: int, tokenizer: Tokenizer) -> list[Sample]:
    """What a decoder writes behind each control code alone; of sixteen codes at most."""
    codes = dict(list(tokenizer.ids.codes.items())[:MOST_CODES])
    words = tokenizer.vocabulary
    prompt = np.array(list(codes.values()), np.int32)[:, None]

    def write(params: dict, prompt: Array) -> Array:
        given = jnp.ones(len(codes), jnp.int32)
        model = bind(params).model
        return continue_text(model, prompt, given, length=length, eos=words.eos, pad=words.pad)

    rows = np.asarray(jax.jit(write)(params, prompt))
    return [
        Sample(f"<code {name}>", spelt(row, tokenizer), "")
        for name, row in zip(codes, rows, strict=True)
    ]


def spelt(ids: Int[np.ndarray, "T"], tokenizer: Tokenizer) -> str:
    """Ids as text in which a mask shows as <mask>; other special tokens are left out."""
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
