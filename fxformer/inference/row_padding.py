"""A batch of one row: as long as its text, or as long as few compiled shapes want it."""

import dataclasses

import numpy as np

from fxformer.batch import Batch, Vocabulary

MOST = 128  # tokens of a text, on either side, that are looked at
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


def one_row(tokens: np.ndarray) -> Batch:
    """[n] ids as a batch that asks nothing."""
    nothing = np.zeros((1, len(tokens)), np.int32)
    weights = np.zeros((1, len(tokens)), np.float32)
    return Batch(tokens[None], np.ones_like(tokens)[None], targets=nothing, weights=weights)


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


def padded(row: Batch, words: Vocabulary, most: int) -> Batch:
    """A row at a length that is compiled for many: rounded up, but never above `most`."""
    pads = {"tokens": words.pad, "source": words.of_source.pad}

    def wide(name: str, length: int) -> np.ndarray | None:
        array = getattr(row, name)
        if array is None:
            return None
        room = max(length, min(-(-length // STEP) * STEP, most)) - length
        return np.pad(array, ((0, 0), (0, room)), constant_values=pads.get(name, 0))

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
