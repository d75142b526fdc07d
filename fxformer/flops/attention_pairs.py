"""Which tokens see each other, counted on the host from segments: padding and masks are no work."""

from collections.abc import Sequence

import numpy as np

from fxformer.nn.flops import Seen


def within(
    segments: np.ndarray,
    *,
    causal: bool,
    window: int | None = None,
    prefix: np.ndarray | None = None,
    chosen: np.ndarray | None = None,
    distances: int = 0,
    ahead: int = 0,
) -> Seen:
    """Tokens [B, T] that look at their own piece.

    window: a key must be fewer than so many tokens away; None: any distance
    prefix, chosen: [B, T] tokens of a prefix (seen by a causal stack from before too), global ones
    ahead: predicting streams of an n-gram decoder besides the one that reads
    """
    sizes = pieces(segments)
    total = sum(pairs(n, causal, window) for n in sizes)
    total += sum(foretold(n, ahead) for n in sizes) if ahead else 0
    if prefix is not None:
        heads = pieces(np.where(prefix, segments, 0))
        total += sum(pairs(n, False, window) - pairs(n, True, window) for n in heads)
    tokens, known = (1 + ahead) * sum(sizes), {"pieces": sizes, "distances": distances}
    if chosen is None or not np.any(chosen & (segments > 0)):
        return Seen(tokens, tokens, total, **known)
    far, own, asked = _globally(segments, chosen, causal, window)
    return Seen(tokens, tokens, far, chosen=own, asked=asked, **known)


def across(queries: np.ndarray, keys: np.ndarray, streams: int = 1) -> Seen:
    """Tokens [B, T], in so many streams, that look at the same piece of a memory [B, S]."""
    total = 0
    for q, k in zip(queries, keys, strict=True):
        top = max(q.max(initial=0), k.max(initial=0)) + 1
        total += int((np.bincount(q, minlength=top)[1:] * np.bincount(k, minlength=top)[1:]).sum())
    asking = streams * int((queries > 0).sum())
    return Seen(asking, int((keys > 0).sum()), streams * total)


def pieces(segments: np.ndarray) -> list[int]:
    """Tokens of each piece of text in the rows [B, T]."""
    return [int(n) for row in segments for n in np.bincount(row)[1:] if n]


def pairs(length: int, causal: bool, window: int | None = None) -> int:
    """(query, key) pairs of a piece of so many tokens."""
    reach = min(window or length, length)
    before = reach * length - reach * (reach - 1) // 2  # those up to the query, itself included
    return before if causal else 2 * before - length


def foretold(length: int, ahead: int) -> int:
    """Pairs of predicting streams: keys `s` or more before, always the first, and itself."""
    place = np.arange(length)
    return sum(int(np.maximum(place + 1 - s, 1).sum()) + length for s in range(ahead))


def _globally(
    segments: np.ndarray, chosen: np.ndarray, causal: bool, window: int | None
) -> tuple[int, int, int]:
    """(pairs, global queries, tokens of pieces with global ones), row by row."""
    total = own = asked = 0
    for row, marks in zip(segments, chosen & (segments > 0), strict=True):
        at = np.arange(len(row))
        near = np.abs(at[:, None] - at) < (window or len(row))
        seen = (row[:, None] == row) & (row > 0) & (near | marks | marks[:, None])
        total += int((seen & (at[:, None] >= at if causal else True)).sum())
        own += int(marks.sum())
        asked += int(np.isin(row, row[marks]).sum())
    return total, own, asked


def first_of_pieces(segments: np.ndarray) -> np.ndarray:
    """[B, T] bool: the first token of every piece."""
    before = np.pad(segments, ((0, 0), (1, 0)), constant_values=-1)[:, :-1]
    return (segments != before) & (segments > 0)


def windows(stack) -> Sequence[int | None]:
    """The window of each layer of a stack; None: it sees everything."""
    return [None] * stack.layers if stack.windows is None else stack.windows
