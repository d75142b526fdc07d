"""Batches of one row: trimmed to their text, or stacked, padded to one of a few lengths."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from fxformer.batch import Batch, Vocabulary

MAX_TOKENS = 128  # of a text, per side
BUCKET = 16  # lengths are rounded up to a multiple of it, so that few shapes are compiled

_TOKENS = ("tokens", "segments", "types", "prefix", "positions")
_SOURCE = ("source", "source_segments")
_TARGETS = ("targets", "weights")
_FIELDS = (*_TOKENS, *_SOURCE, "global_tokens", *_TARGETS, "picked", "noise")


@dataclasses.dataclass(frozen=True)
class TextInput:
    """One text as a model input, without padding.

    batch: [1, T], and [1, S] for the source
    has_targets: whether its targets are known; a typed text has none
    note: remark for the user, "" for none
    """

    batch: Batch
    has_targets: bool
    note: str = ""

    @property
    def scored(self) -> np.ndarray:
        """Indices into the targets of those with weight > 0. [M] int64."""
        return np.flatnonzero(self.batch.weights[0] > 0)


def single_row(tokens: np.ndarray) -> Batch:
    """[n] token ids as a batch [1, n] with zero weights."""
    zeros = np.zeros((1, len(tokens)), np.int32)
    weights = np.zeros((1, len(tokens)), np.float32)
    return Batch(tokens[None], np.ones_like(tokens)[None], targets=zeros, weights=weights)


def trimmed(row: Batch, *, has_targets: bool) -> TextInput:
    """A batch of one row without its padding, cut to at most MAX_TOKENS tokens."""
    full = [int((row.segments > 0).sum())]
    sizes = [min(full[0], MAX_TOKENS)]
    fields = {name: _part(getattr(row, name), sizes[0]) for name in _TOKENS}
    chosen = row.global_tokens
    if row.source is not None:
        full.append(int((row.source_segments > 0).sum()))
        sizes.append(min(full[1], MAX_TOKENS))
        fields |= {name: _part(getattr(row, name), sizes[1]) for name in _SOURCE}
    fields["global_tokens"] = _part(chosen, sizes[-1])
    if row.picked is None:
        fields |= {name: _part(getattr(row, name), sizes[0]) for name in ("targets", "weights")}
    else:
        fields["weights"] = row.weights * (row.picked < sizes[0])
        fields["picked"] = np.minimum(row.picked, sizes[0] - 1)
    note = "" if sizes == full else f"Cut to its first {MAX_TOKENS} tokens, of {max(full)}."
    return TextInput(row.replace(labels=None, **fields), has_targets, note)


def pad_to_bucket(row: Batch, vocabulary: Vocabulary, max_tokens: int | None) -> Batch:
    """A row padded to a multiple of BUCKET tokens, but not beyond `max_tokens`."""
    return stack_rows([row], vocabulary, max_tokens)


def stack_rows(
    rows: Sequence[Batch], vocabulary: Vocabulary, max_tokens: int | None = None
) -> Batch:
    """Rows [1, t] of unequal length as one batch [N, T]; padding has segment 0 and weight 0.

    Lengths are rounded up to a multiple of BUCKET, but not beyond `max_tokens`, None: no bound. A
    field that only some rows have is 0 in the others.
    """
    first, fields = rows[0], {}
    lengths: dict[str, int] = {}
    for name in _FIELDS:
        given = [getattr(row, name) for row in rows]
        present = next((array for array in given if array is not None), None)
        if present is None:
            continue
        side = _side(first, name)
        if side not in lengths:
            longest = max(getattr(row, side).shape[1] for row in rows)
            most = max_tokens if max_tokens is not None and side != "picked" else longest + BUCKET
            lengths[side] = max(longest, min(-(-longest // BUCKET) * BUCKET, most))
        pads = {"tokens": vocabulary.pad, "source": vocabulary.of_source.pad}
        made = np.full((len(rows), lengths[side]), pads.get(name, 0), np.asarray(present).dtype)
        for place, array in enumerate(given):
            if array is not None:
                made[place, : array.shape[1]] = np.asarray(array)[0]
        fields[name] = made
    if len(rows) > 1:
        fields |= {"balance": None, "labels": None}  # of a whole batch
    return first.replace(**fields)


def _side(row: Batch, name: str) -> str:
    """The field of a row that has as many columns as field `name`."""
    if name in _SOURCE or (name == "global_tokens" and row.source is not None):
        return "source"
    if name in ("picked", "noise") or (name in _TARGETS and row.picked is not None):
        return "picked"
    return "tokens"


def _part(array: np.ndarray | None, size: int) -> np.ndarray | None:
    return None if array is None else np.asarray(array)[:, :size]
