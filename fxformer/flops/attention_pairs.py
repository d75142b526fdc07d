"""Number of query-key pairs that attention does not mask, counted on the host from segments."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from fxformer.nn.flops import AttentionPairs


def self_attention_pairs(
    segments: np.ndarray,
    *,
    causal: bool,
    window: int | None = None,
    prefix: np.ndarray | None = None,
    global_tokens: np.ndarray | None = None,
    num_distances: int = 0,
    num_predicted: int = 0,
) -> AttentionPairs:
    """Pairs of self-attention within the segments [B, T] of a batch.

    window: keys must be fewer than this many tokens away; None: any distance
    prefix: [B, T] bool, tokens that a causal stack attends to from earlier ones too
    global_tokens: [B, T] bool, tokens exempt from the window (Longformer)
    num_distances: embeddings of relative distances that the layer is given
    num_predicted: predicting streams of an n-gram decoder besides the main one
    """
    lengths = segment_lengths(segments)
    total = sum(pairs(n, causal, window) for n in lengths)
    total += sum(predicting_pairs(n, num_predicted) for n in lengths) if num_predicted else 0
    if prefix is not None:
        prefixes = segment_lengths(np.where(prefix, segments, 0))
        total += sum(pairs(n, False, window) - pairs(n, True, window) for n in prefixes)
    tokens = (1 + num_predicted) * sum(lengths)
    known = {"segment_lengths": lengths, "num_distances": num_distances}
    if global_tokens is None or not np.any(global_tokens & (segments > 0)):
        return AttentionPairs(tokens, tokens, total, **known)
    total, queries, keys = _with_global_tokens(segments, global_tokens, causal, window)
    return AttentionPairs(tokens, tokens, total, global_queries=queries, global_keys=keys, **known)


def with_memory(
    found: AttentionPairs, segments: np.ndarray, remembered: np.ndarray, window: int | None
) -> AttentionPairs:
    """The pairs of causal self-attention with those of the tokens remembered before each row, to
    which its first segment attends. remembered: [B]"""
    total = 0
    for row, before in zip(segments, remembered, strict=True):
        length = int(((row == row[0]) & (row > 0)).sum())
        reach = np.full(length, before) if window is None else window - 1 - np.arange(length)
        total += int(np.clip(reach, 0, before).sum())
    keys = found.keys + int(remembered.sum())
    return dataclasses.replace(found, keys=keys, pairs=found.pairs + total)


def cross_attention_pairs(
    queries: np.ndarray, keys: np.ndarray, streams: int = 1
) -> AttentionPairs:
    """Pairs of cross-attention of target segments [B, T] with source segments [B, S].

    streams: of an n-gram decoder, each of which attends to the encoder's output
    """
    total = 0
    for q, k in zip(queries, keys, strict=True):
        top = max(q.max(initial=0), k.max(initial=0)) + 1
        total += int((np.bincount(q, minlength=top)[1:] * np.bincount(k, minlength=top)[1:]).sum())
    tokens = streams * int((queries > 0).sum())
    return AttentionPairs(tokens, int((keys > 0).sum()), streams * total)


def segment_lengths(segments: np.ndarray) -> list[int]:
    """Number of tokens of each segment in the rows [B, T], without padding."""
    return [int(n) for row in segments for n in np.bincount(row)[1:] if n]


def pairs(length: int, causal: bool, window: int | None = None) -> int:
    """(query, key) pairs within a segment of `length` tokens."""
    width = min(window or length, length)
    earlier = width * length - width * (width - 1) // 2  # keys up to the query, itself included
    return earlier if causal else 2 * earlier - length


def predicting_pairs(length: int, num_predicted: int) -> int:
    """Pairs of the predicting streams over a segment: stream s attends to the keys s or more before
    the query, always to the first, and to its own place."""
    index = np.arange(length)
    return sum(int(np.maximum(index + 1 - s, 1).sum()) + length for s in range(num_predicted))


def _with_global_tokens(
    segments: np.ndarray, global_tokens: np.ndarray, causal: bool, window: int | None
) -> tuple[int, int, int]:
    """(pairs, global queries, tokens of the segments that have such), row by row."""
    total = queries = keys = 0
    for row, chosen in zip(segments, global_tokens & (segments > 0), strict=True):
        index = np.arange(len(row))
        near = np.abs(index[:, None] - index) < (window or len(row))
        mask = (row[:, None] == row) & (row > 0) & (near | chosen | chosen[:, None])
        total += int((mask & (index[:, None] >= index if causal else True)).sum())
        queries += int(chosen.sum())
        keys += int(np.isin(row, row[chosen]).sum())
    return total, queries, keys


def first_of_segments(segments: np.ndarray) -> np.ndarray:
    """[B, T] bool: the first token of every segment."""
    previous = np.pad(segments, ((0, 0), (1, 0)), constant_values=-1)[:, :-1]
    return (segments != previous) & (segments > 0)


def windows(stack) -> Sequence[int | None]:
    """The attention window of each layer of a stack; None: no window."""
    return [None] * stack.layers if stack.windows is None else stack.windows
