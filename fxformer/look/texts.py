"""A text as the one row that a model reads: typed, or chosen from what a run held out."""

import dataclasses
from functools import partial

import jax
import numpy as np

from fxformer.batch import Batch, Rows
from fxformer.compare.opened import Opened
from fxformer.generate.greedy import rewrite
from fxformer.look.pieces import ids_of
from fxformer.objective.hole import shifted
from fxformer.objective.prefix import PrefixLM
from fxformer.train.state import bind

MOST = 128  # tokens of a text, on either side, that are looked at
WRITES = 64  # tokens that a model may write where nobody says how many
STEP = 16  # lengths are rounded up to it, so that few shapes are compiled

_TOKENS = ("tokens", "segments", "types", "prefix", "positions")
_SOURCE = ("source", "source_segments")


@dataclasses.dataclass(frozen=True)
class Text:
    """One row, as long as the text.

    batch: [1, T], and [1, S] for the source
    known: whether its targets are what is right; a typed text has no right answer
    note: what a person should know of it, "" for nothing
    """

    batch: Batch
    known: bool
    note: str = ""

    @property
    def marked(self) -> np.ndarray:
        """Places of the picked tokens that count. [M] int64."""
        return np.flatnonzero(self.batch.weights[0] > 0)


def limit(opened: Opened) -> int:
    """Tokens of a text that can be looked at: what the model was trained to read at once."""
    return min(MOST, int(opened.cfg.data.length))


def chosen(texts: Batch, number: int) -> Text:
    """A held-out text as the objective spoils it, cut where it is longer than can be shown."""
    if not 0 <= number < len(texts.tokens):
        raise ValueError(f"there is no held-out text {number}: choose 0 … {len(texts.tokens) - 1}")
    row = jax.tree.map(lambda x: np.asarray(x)[number : number + 1], texts)
    return cut(row, known=True)


def spoilt(opened: Opened, text: str, seed: int = 0) -> Text:
    """A typed text as the objective spoils it: what it hides or changes is known."""
    batch = opened.objective.corrupt(rows_of(opened, framed(opened, text, "the text"), seed))
    return cut(batch, known=not opened.objective.reads_pairs)


def typed(opened: Opened, text: str, target: str = "") -> Text:
    """A typed text, read as it is. A seq2seq model's decoder reads `target`, or without one what
    the model itself writes."""
    if opened.objective.model.architecture == "seq2seq":
        return _with_source(opened, framed(opened, text, "the text"), target)
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
        return _with_source(opened, framed(opened, text, "the text"), "")
    return spoilt(opened, text, seed)


def framed(opened: Opened, text: str, what: str, *, closed: bool = True) -> np.ndarray:
    """[n] ids with what the template puts around; ValueError where there are none or too many."""
    tokenizer = opened.tokenizer
    ids = ids_of(text, tokenizer)
    after = tokenizer.suffix if closed else tokenizer.suffix[:0]
    ids = np.concatenate([tokenizer.prefix, ids, after]).astype(np.int32)
    most = limit(opened)
    if not len(ids):
        raise ValueError(f"{what} is empty: write some words")
    if len(ids) > most:
        raise ValueError(
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


def one_row(tokens: np.ndarray) -> Batch:
    """[n] ids as a batch that asks nothing."""
    nothing = np.zeros((1, len(tokens)), np.int32)
    weights = np.zeros((1, len(tokens)), np.float32)
    return Batch(tokens[None], np.ones_like(tokens)[None], targets=nothing, weights=weights)


def _with_source(opened: Opened, source: np.ndarray, target: str) -> Text:
    start = int(opened.objective.corrupt(rows_of(opened, source)).tokens[0, 0])
    note = ""
    if target:
        wrote = framed(opened, target, "the target")
    else:
        wrote = written(opened, source, start)
        note = "The target is what the model writes itself at this checkpoint."
    there = {"source": source[None], "source_segments": np.ones_like(source)[None]}
    batch = one_row(shifted(wrote, start)).replace(targets=wrote[None], **there)
    return Text(batch, known=bool(target), note=note)


def written(opened: Opened, source: np.ndarray, start: int, longest: int = 0) -> np.ndarray:
    """What a seq2seq model makes of a source, up to its eos. [n] int32.

    longest: tokens that the answer has room for, if more than the source has
    """
    vocabulary, most = opened.objective.vocabulary, limit(opened)
    wide = padded(one_row(source), vocabulary.pad, max(most, len(source)))
    length = min(-(-max(longest, len(source)) // STEP) * STEP + STEP, most)
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


def cut(row: Batch, *, known: bool) -> Text:
    """A batch of one row without its padding, and of at most MOST tokens."""
    full = [int((row.segments > 0).sum())]
    sizes = [min(full[0], MOST)]
    fields = {name: _part(getattr(row, name), sizes[0]) for name in _TOKENS}
    chosen = row.global_tokens
    if row.source is not None:
        full.append(int((row.source_segments > 0).sum()))
        sizes.append(min(full[1], MOST))
        fields |= {name: _part(getattr(row, name), sizes[1]) for name in _SOURCE}
    fields["global_tokens"] = _part(chosen, sizes[-1])
    if row.picked is None:
        fields |= {name: _part(getattr(row, name), sizes[0]) for name in ("targets", "weights")}
    else:
        fields["weights"] = row.weights * (row.picked < sizes[0])
        fields["picked"] = np.minimum(row.picked, sizes[0] - 1)
    note = "" if sizes == full else f"Cut to its first {MOST} tokens, of {max(full)}."
    return Text(row.replace(labels=None, **fields), known, note)


def padded(row: Batch, pad: int, most: int) -> Batch:
    """A row at a length that is compiled for many: rounded up, but never above `most`."""

    def wide(name: str, length: int) -> np.ndarray | None:
        array = getattr(row, name)
        if array is None:
            return None
        room = max(length, min(-(-length // STEP) * STEP, most)) - length
        fill = pad if name in ("tokens", "source") else 0
        return np.pad(array, ((0, 0), (0, room)), constant_values=fill)

    length = row.tokens.shape[1]
    names = [*_TOKENS, *(("targets", "weights") if row.picked is None else ())]
    fields = {name: wide(name, length) for name in names}
    last = length
    if row.source is not None:
        last = row.source.shape[1]
        fields |= {name: wide(name, last) for name in _SOURCE}
    fields["global_tokens"] = wide("global_tokens", last)
    return row.replace(**fields)


def _part(array: np.ndarray | None, size: int) -> np.ndarray | None:
    return None if array is None else np.asarray(array)[:, :size]
