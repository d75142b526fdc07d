"""Batches of one row: trimmed to their text, or padded to one of a few compiled lengths."""

import dataclasses

import numpy as np

from fxformer.batch import Batch, Vocabulary

MAX_TOKENS = 128  # of a text, per side
BUCKET = 16  # lengths are rounded up to a multiple of it, so that few shapes are compiled

_TOKENS = ("tokens", "segments", "types", "prefix", "positions")
_SOURCE = ("source", "source_segments")


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


def pad_to_bucket(row: Batch, vocabulary: Vocabulary, max_tokens: int) -> Batch:
    """A row padded to a multiple of BUCKET tokens, but not beyond `max_tokens`."""
    pads = {"tokens": vocabulary.pad, "source": vocabulary.of_source.pad}

    def wide(name: str, length: int) -> np.ndarray | None:
        array = getattr(row, name)
        if array is None:
            return None
        extra = max(length, min(-(-length // BUCKET) * BUCKET, max_tokens)) - length
        return np.pad(array, ((0, 0), (0, extra)), constant_values=pads.get(name, 0))

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
