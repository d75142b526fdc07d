"""A text as the one row that a model reads: typed, or chosen from what a run held out."""

import dataclasses
from functools import partial

import jax
import numpy as np
from flax import nnx

from fxformer.batch import Batch, Rows
from fxformer.errors import UserError
from fxformer.inference.decoding.greedy import rewrite
from fxformer.inference.loaded_run import Opened
from fxformer.inference.row_padding import MOST, STEP, Text, cut, one_row, padded
from fxformer.inference.token_text import ids_of
from fxformer.model.ngram import NgramDecoder
from fxformer.objective.infilling import shifted
from fxformer.objective.prefix import PrefixLM
from fxformer.train.state import bind

WRITES = 64  # tokens that a model may write where nobody says how many


def limit(opened: Opened) -> int:
    """Tokens of a text that can be looked at: what the model was trained to read at once."""
    return min(MOST, int(opened.cfg.data.length), *_tables(opened.objective.model))


def _tables(model: nnx.Module) -> list[int]:
    """Tokens that each of a model's position tables has room for."""
    two = model.architecture == "seq2seq"
    found = []
    for stack in (model.encoder, model.decoder) if two else (model.transformer,):
        ahead = isinstance(stack, NgramDecoder)  # it tells apart what comes after the last, too
        length = (stack.transformer if ahead else stack).position.length
        found += [] if length is None else [length - ahead]
    return found


def chosen(texts: Batch, number: int) -> Text:
    """A held-out text as the objective spoils it, cut where it is longer than can be shown."""
    if not 0 <= number < len(texts.tokens):
        raise UserError(f"there is no held-out text {number}: choose 0 … {len(texts.tokens) - 1}")
    row = jax.tree.map(lambda x: np.asarray(x)[number : number + 1], texts)
    return cut(row, known=True)


def spoilt(opened: Opened, text: str, seed: int = 0) -> Text:
    """A typed text as the objective spoils it: what it hides or changes is known."""
    rows = rows_of(opened, framed(opened, text, "the text"), seed)
    if opened.tokenizer.source is not None:  # each side in its own tokens
        source = framed(opened, text, "the text", source=True)[None]
        rows = dataclasses.replace(rows, source=source, source_segments=np.ones_like(source))
    batch = opened.objective.corrupt(rows)
    return cut(batch, known=not opened.objective.reads_pairs)


def typed(opened: Opened, text: str, target: str = "") -> Text:
    """A typed text, read as it is. A seq2seq model's decoder reads `target`, or without one what
    the model itself writes."""
    if opened.objective.model.architecture == "seq2seq":
        return _beside(opened, to_rewrite(opened, text), target)
    whole = opened.objective.model.architecture == "encoder"
    tokens = framed(opened, text, "the text", closed=whole)
    batch, note = one_row(tokens), ""
    if isinstance(opened.objective, PrefixLM):
        half = (len(tokens) + 1) // 2
        batch = batch.replace(prefix=np.arange(len(tokens))[None] < half)
        note = f"The first {half} tokens are its prefix, read in both directions."
    return Text(batch, known=False, note=note)


def masks(opened: Opened, text: str) -> Text:
    """A typed text whose masks are to be filled in."""
    made = typed(opened, text)
    at = np.flatnonzero(made.batch.tokens[0] == opened.objective.vocabulary.mask)
    room = -(-len(at) // STEP) * STEP
    picked = np.zeros((1, room), np.int32)
    picked[0, : len(at)] = at
    weights = (np.arange(room)[None] < len(at)).astype(np.float32)
    batch = made.batch.replace(picked=picked, targets=np.zeros_like(picked), weights=weights)
    return dataclasses.replace(made, batch=batch)


def asked(opened: Opened, text: str, seed: int = 0) -> Text:
    """A typed text as what it is an occasion for: masks to be filled in, a source to be rewritten,
    a beginning to be continued; without any mark the objective spoils it first."""
    kind, vocabulary = opened.objective.model.architecture, opened.objective.vocabulary
    ids = ids_of(text, opened.tokenizer)
    if kind == "decoder":
        return typed(opened, text)
    if kind == "encoder" and (ids == vocabulary.mask).any():
        return masks(opened, text)
    marks = (vocabulary.mask, *vocabulary.sentinels)
    if kind == "seq2seq" and (opened.objective.reads_pairs or np.isin(ids, marks).any()):
        return to_rewrite(opened, text)
    return spoilt(opened, text, seed)


def framed(
    opened: Opened, text: str, what: str, *, closed: bool = True, source: bool = False
) -> np.ndarray:
    """[n] ids with what the template puts around; UserError where there are none or too many.

    source: of what the encoder of a seq2seq model reads
    """
    tokenizer = opened.tokenizer.of_source if source else opened.tokenizer
    ids = ids_of(text, tokenizer)
    after = tokenizer.suffix if closed else tokenizer.suffix[:0]
    ids = np.concatenate([tokenizer.prefix, ids, after]).astype(np.int32)
    most = limit(opened)
    if not len(ids):
        raise UserError(f"{what} is empty: write some words")
    if len(ids) > most:
        raise UserError(
            f"{what} is {len(ids)} tokens long, and {most} can be looked at in {opened.run.id}: "
            f"leave out {len(ids) - most} or so"
        )
    return ids


def rows_of(opened: Opened, ids: np.ndarray, seed: int = 0) -> Rows:
    """A row as the packer makes them; where an objective wants pairs, the text is both sides."""
    segments = np.ones((1, len(ids)), np.int32)
    rows = Rows(ids[None], segments, np.zeros((1, len(ids)), np.int64), seed=seed)
    if opened.objective.reads_pairs:
        rows = dataclasses.replace(rows, source=ids[None], source_segments=segments)
    return rows


def to_rewrite(opened: Opened, text: str) -> Text:
    """A typed source, and of the decoder's side the start token alone."""
    source = framed(opened, text, "the text", source=True)
    other = opened.tokenizer.source is not None  # then no target can be made of the source's ids
    ids = np.full(1, opened.objective.vocabulary.pad, np.int32) if other else source
    start = opened.objective.corrupt(rows_of(opened, ids)).tokens[0, :1]
    there = {"source": source[None], "source_segments": np.ones_like(source)[None]}
    return Text(one_row(start).replace(**there), known=False)


def _beside(opened: Opened, made: Text, target: str) -> Text:
    """A source with what the decoder reads: the target, or what the model writes."""
    source, start = made.batch.source[0], int(made.batch.tokens[0, 0])
    wrote = framed(opened, target, "the target") if target else written(opened, source, start)
    note = "" if target else "The target is what the model writes itself at this checkpoint."
    read = one_row(shifted(wrote, start))
    batch = made.batch.replace(tokens=read.tokens, segments=read.segments, targets=wrote[None])
    return Text(batch.replace(weights=read.weights), known=bool(target), note=note)


def written(opened: Opened, source: np.ndarray, start: int, longest: int = 0) -> np.ndarray:
    """What a seq2seq model makes of a source, up to its eos. [n] int32.

    longest: tokens that the answer has room for, if more than the source has
    """
    vocabulary, most = opened.objective.vocabulary, limit(opened)
    wide = padded(one_row(source), vocabulary.of_source, max(most, len(source)))
    room = [table - 1 for table in _tables(opened.objective.model)]  # beside the start
    length = min(-(-max(longest, len(source)) // STEP) * STEP + STEP, most, *room)
    knobs = (length, vocabulary.eos, vocabulary.pad)
    rows = _rewrite(opened.shape, knobs, opened.params, wide.tokens, wide.segments, start)
    return until(np.asarray(rows)[0], vocabulary.eos)


@partial(jax.jit, static_argnums=(0, 1))
def _rewrite(shape, knobs, params, source, segments, start):
    length, eos, pad = knobs
    model = bind(shape, params).model
    return rewrite(model, source, segments, start=start, length=length, eos=eos, pad=pad)


def until(ids: np.ndarray, eos: int | None) -> np.ndarray:
    """The ids up to the first eos, which is among them."""
    ends = np.flatnonzero(ids == eos) if eos is not None else []
    return ids[: ends[0] + 1] if len(ends) else ids
