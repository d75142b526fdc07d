"""Model inputs of one text: typed by the user, or taken from a run's held-out text."""

import dataclasses

import jax
import numpy as np

from fxformer.batch import Batch
from fxformer.errors import UserError
from fxformer.inference.decoding.generate import generate
from fxformer.inference.decoding.samples import greedy_settings
from fxformer.inference.loaded_run import LoadedRun
from fxformer.inference.row_padding import (
    BUCKET,
    MAX_TOKENS,
    TextInput,
    single_row,
    trimmed,
)
from fxformer.inference.structure import position_lengths
from fxformer.inference.text_encoding import with_template
from fxformer.inference.token_text import encode_text
from fxformer.objective.infilling import shifted
from fxformer.objective.prefix import PrefixLM
from fxformer.train.state import bind

NEW_TOKENS = 64  # generated after a typed prompt


def max_tokens(loaded: LoadedRun) -> int:
    """Most tokens of one text: limited by training length, position tables and MAX_TOKENS."""
    return min(MAX_TOKENS, int(loaded.cfg.data.length), *position_lengths(loaded.objective.model))


def held_out_input(texts: Batch, number: int) -> TextInput:
    """Held-out text `number`, corrupted as in training and cut to MAX_TOKENS."""
    if not 0 <= number < len(texts.tokens):
        raise UserError(f"there is no held-out text {number}: choose 0 … {len(texts.tokens) - 1}")
    row = jax.tree.map(lambda x: np.asarray(x)[number : number + 1], texts)
    return trimmed(row, has_targets=True)


def corrupted_input(loaded: LoadedRun, text: str, seed: int = 0) -> TextInput:
    """A typed text, corrupted as in training, so that its targets are known."""
    rows = loaded.packed_rows(encode_with_template(loaded, text, "the text"), seed)
    if loaded.tokenizer.source is not None:  # source and target tokenizers differ
        source = encode_with_template(loaded, text, "the text", source=True)[None]
        rows = dataclasses.replace(rows, source=source, source_segments=np.ones_like(source))
    batch = loaded.objective.corrupt(rows)
    return trimmed(batch, has_targets=not loaded.objective.reads_pairs)


def plain_input(loaded: LoadedRun, text: str, target: str = "") -> TextInput:
    """A typed text, uncorrupted.

    target: decoder input of an encoder-decoder; "": the model's own greedy output
    """
    if loaded.objective.model.architecture == "seq2seq":
        return _with_decoder_input(loaded, seq2seq_input(loaded, text), target)
    whole = loaded.objective.model.architecture == "encoder"
    tokens = encode_with_template(loaded, text, "the text", closed=whole)
    batch, note = single_row(tokens), ""
    if isinstance(loaded.objective, PrefixLM):
        half = (len(tokens) + 1) // 2
        batch = batch.replace(prefix=np.arange(len(tokens))[None] < half)
        note = f"The first {half} tokens are the prefix, with bidirectional attention."
    return TextInput(batch, has_targets=False, note=note)


def masked_input(loaded: LoadedRun, text: str) -> TextInput:
    """A typed text whose mask tokens are to be predicted."""
    made = plain_input(loaded, text)
    at = np.flatnonzero(made.batch.tokens[0] == loaded.objective.vocabulary.mask)
    room = -(-len(at) // BUCKET) * BUCKET
    picked = np.zeros((1, room), np.int32)
    picked[0, : len(at)] = at
    weights = (np.arange(room)[None] < len(at)).astype(np.float32)
    batch = made.batch.replace(picked=picked, targets=np.zeros_like(picked), weights=weights)
    return dataclasses.replace(made, batch=batch)


def prediction_input(loaded: LoadedRun, text: str, seed: int = 0) -> TextInput:
    """A typed text as the input of a prediction: masks to fill in, a source, or a prompt.

    A text without mask or sentinel tokens is corrupted as in training first, unless the model is a
    decoder or was trained on pairs.
    """
    kind, vocabulary = loaded.objective.model.architecture, loaded.objective.vocabulary
    ids = encode_text(text, loaded.tokenizer)
    if kind == "decoder":
        return plain_input(loaded, text)
    if kind == "encoder" and (ids == vocabulary.mask).any():
        return masked_input(loaded, text)
    marks = [i for i in (vocabulary.mask, *vocabulary.sentinels) if i is not None]
    if kind == "seq2seq" and (loaded.objective.reads_pairs or np.isin(ids, marks).any()):
        return seq2seq_input(loaded, text)
    return corrupted_input(loaded, text, seed)


def encode_with_template(
    loaded: LoadedRun, text: str, what: str, *, closed: bool = True, source: bool = False
) -> np.ndarray:
    """Token ids with the template's tokens around them. [n] int32.

    what: how error messages call the text
    closed: whether the template's suffix follows
    source: encode for the encoder of an encoder-decoder
    Raises UserError if there are no tokens or too many.
    """
    tokenizer = loaded.tokenizer.of_source if source else loaded.tokenizer
    ids = with_template(encode_text(text, tokenizer), tokenizer, closed=closed)
    most = max_tokens(loaded)
    if not len(ids):
        raise UserError(f"{what} is empty: write some words")
    if len(ids) > most:
        raise UserError(
            f"{what} has {len(ids)} tokens, at most {most} fit {loaded.run.id}: shorten it by "
            f"about {len(ids) - most}"
        )
    return ids


def seq2seq_input(loaded: LoadedRun, text: str) -> TextInput:
    """A plain_input source, and of the decoder's side the start token alone."""
    source = encode_with_template(loaded, text, "the text", source=True)
    start = np.array([loaded.model.start_id], np.int32)
    there = {"source": source[None], "source_segments": np.ones_like(source)[None]}
    return TextInput(single_row(start).replace(**there), has_targets=False)


def _with_decoder_input(loaded: LoadedRun, made: TextInput, target: str) -> TextInput:
    """The input with decoder tokens: the target, or the model's greedy output."""
    source, start = made.batch.source[0], int(made.batch.tokens[0, 0])
    wrote = (
        encode_with_template(loaded, target, "the target")
        if target
        else generate_target(loaded, source, start)
    )
    note = "" if target else "The target is the model's own output at this checkpoint."
    read = single_row(shifted(wrote, start))
    batch = made.batch.replace(tokens=read.tokens, segments=read.segments, targets=wrote[None])
    return TextInput(batch.replace(weights=read.weights), has_targets=bool(target), note=note)


def generate_target(
    loaded: LoadedRun, source: np.ndarray, start: int, longest: int = 0
) -> np.ndarray:
    """Greedy output of an encoder-decoder for a source, up to and including eos. [n] int32.

    start: id of the first decoder token
    longest: expected output tokens, if more than the source has
    """
    vocabulary, most = loaded.objective.vocabulary, max_tokens(loaded)
    room = [length - 1 for length in position_lengths(loaded.objective.model)]  # less the start
    length = min(-(-max(longest, len(source)) // BUCKET) * BUCKET + BUCKET, most, *room)
    found = generate(
        bind(loaded.graphdef, loaded.params).model,
        greedy_settings(vocabulary, max_new_tokens=length),
        prompt=np.full((1, 1), start, np.int32),
        source=source[None],
        vocab_size=vocabulary.size,
    )
    return found.rows()[0]


def cut_at_eos(ids: np.ndarray, eos: int | None) -> np.ndarray:
    """The ids up to and including the first eos."""
    ends = np.flatnonzero(ids == eos) if eos is not None else []
    return ids[: ends[0] + 1] if len(ends) else ids
