"""Choice of answer spans from start and end logits (extractive question answering)."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from fxformer.data.token_offsets import TokenOffsets
from fxformer.ops.probabilities import softmax
from fxformer.task.windows import max_context_window

N_BEST = 20  # spans of each window


@dataclasses.dataclass(frozen=True)
class AnswerSpans:
    """The best spans of one window, the best first.

    start, end: first and last token of each
    score: probability of the start times probability of the end
    null: that product for the first token, which stands for "no answer"; 1.0 where the model has
        no such token
    """

    start: Int[np.ndarray, "N"]
    end: Int[np.ndarray, "N"]
    score: Float[np.ndarray, "N"]
    null: float


def best_spans(
    start: Float[np.ndarray, "T"],
    end: Float[np.ndarray, "T"],
    context: Bool[np.ndarray, "T"],
    *,
    count: int,
    longest: int,
    null: bool = True,
    starts: Bool[np.ndarray, "T"] | None = None,
) -> AnswerSpans:
    """The `count` spans of `context` tokens with the greatest product of probabilities.

    Probabilities are softmaxes over the context tokens and the null token, as in transformers.

    start, end: logits
    context: tokens that may be in an answer
    longest: tokens of an answer at most
    null: whether token 0 stands for "no answer"
    starts: context tokens that may begin an answer; None: all. Does not change probabilities.
    """
    read = context.copy()
    read[0] |= null
    begin = softmax(np.where(read, start, -np.inf))
    close = softmax(np.where(read, end, -np.inf))
    allowed = context if starts is None else context & starts
    outer = np.where(allowed, begin, 0)[:, None] * np.where(context, close, 0)[None, :]
    lengths = np.arange(len(start))[None, :] - np.arange(len(start))[:, None] + 1
    fits = allowed[:, None] & context[None, :] & (lengths >= 1) & (lengths <= longest)
    flat = np.where(fits, outer, -1.0).ravel()
    order = np.argsort(-flat, kind="stable")[:count]
    order = order[flat[order] >= 0]
    first, last = np.unravel_index(order, outer.shape)
    return AnswerSpans(first, last, flat[order], float(begin[0] * close[0]) if null else 1.0)


@dataclasses.dataclass(frozen=True)
class ReadContext:
    """A context in windows behind a question.

    offsets: of the whole context
    spans: tokens of each window, half-open
    first: index of a window's first token in its input; after: tokens behind it
    null: whether the first token of an input stands for "no answer"
    """

    text: str
    offsets: TokenOffsets
    spans: Sequence[tuple[int, int]]
    first: int
    after: int
    null: bool


def ranked_answers(
    context: ReadContext,
    outputs: Sequence[Float[np.ndarray, "T 2"]],
    *,
    count: int = 1,
    longest: int = 30,
    align_to_words: bool = True,
    max_context: bool = True,
    impossible: bool = False,
) -> list[tuple[tuple[int, int], float]]:
    """The best answers of all windows as ((start, end) in characters, score), the best first.

    outputs: start and end logits of each window's input
    count: answers at most, no span twice
    longest: tokens of an answer at most
    align_to_words: widen an answer to the words that it touches
    max_context: an answer begins only in the window where that token has most context
    impossible: whether (0, 0), no answer, is one of them, with the least null score of all windows
    """
    owner = max_context_window(list(context.spans), len(context.offsets.ids))
    null, found = 1.0, {}
    for number, ((low, high), logits) in enumerate(zip(context.spans, outputs, strict=True)):
        length = context.first + high - low + context.after
        at = np.arange(length)
        inside = (at >= context.first) & (at < context.first + high - low)
        starts = inside.copy()
        if max_context:
            starts[inside] = owner[low:high] == number
        made = best_spans(
            logits[:length, 0],
            logits[:length, 1],
            inside,
            count=max(N_BEST, count),
            longest=longest,
            null=context.null,
            starts=starts,
        )
        null = min(null, made.null)
        shift = low - context.first
        for start, end, score in zip(made.start, made.end, made.score, strict=True):
            place = characters(context.offsets, start + shift, end + shift, align_to_words)
            found[place] = max(float(score), found.get(place, 0.0))
    if impossible:
        found[0, 0] = null
    return sorted(found.items(), key=lambda item: -item[1])[:count]


def characters(
    offsets: TokenOffsets, first: int, last: int, align_to_words: bool
) -> tuple[int, int]:
    """The characters of tokens `first` to `last`, widened to words if so set."""
    if align_to_words:
        words = offsets.word
        if words[first] >= 0:
            first = int(np.flatnonzero(words == words[first])[0])
        if words[last] >= 0:
            last = int(np.flatnonzero(words == words[last])[-1])
    return int(offsets.start[first]), int(offsets.end[last])
