"""Choice of answer spans from start and end logits (extractive question answering)."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

from fxformer.inference.pipelines.probabilities import softmax


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
