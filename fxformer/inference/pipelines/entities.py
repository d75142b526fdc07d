"""Aggregation of token labels to words and entities (token classification)."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

AGGREGATIONS = ("none", "simple", "first", "average", "max")


@dataclasses.dataclass(frozen=True)
class LabelledWords:
    """Stretches of tokens with a label each.

    label: class number of each; score: its probability
    start, end: first and last token of each
    """

    label: Int[np.ndarray, "N"]
    score: Float[np.ndarray, "N"]
    start: Int[np.ndarray, "N"]
    end: Int[np.ndarray, "N"]


@dataclasses.dataclass(frozen=True)
class Entity:
    """Tokens `start` to `end`, both included, that are one entity of type `tag`."""

    tag: str
    score: float
    start: int
    end: int


def label_words(
    probabilities: Float[np.ndarray, "T C"], begins: Bool[np.ndarray, "T"], how: str
) -> LabelledWords:
    """One label for each token (`none`, `simple`) or for each word.

    begins: tokens that begin a word; the first token always does
    how: `first` takes the first token of a word, `max` the one with the greatest probability,
        `average` the mean of the probabilities of its tokens
    """
    count = len(probabilities)
    if how in ("none", "simple"):
        begins = np.ones(count, bool)
    first = np.flatnonzero(begins | (np.arange(count) == 0))
    last = np.append(first[1:], count) - 1 if len(first) else first
    if how == "average":
        words = np.add.reduceat(probabilities, first, axis=0) if count else probabilities
        words = words / (last - first + 1)[:, None]
    elif how == "max":
        tops = probabilities.max(axis=1)
        spans = zip(first, last, strict=True)
        best = [low + int(np.argmax(tops[low : high + 1])) for low, high in spans]
        words = probabilities[np.array(best, np.int64)]
    else:
        words = probabilities[first]
    label = words.argmax(axis=1)
    return LabelledWords(label, words[np.arange(len(words)), label], first, last)


def group_entities(labelled: LabelledWords, names: Sequence[str]) -> list[Entity]:
    """Neighbours of the same type joined; a label B- begins a new entity.

    names: of the classes; "B-PER" and "I-PER" are of type PER, other names are their own type
    The score is the mean of the scores of the joined words.
    """
    groups: list[list[int]] = []
    before = None
    for number, label in enumerate(labelled.label):
        begins, tag = split_label(str(names[label]))
        if before == tag and not begins:
            groups[-1].append(number)
        else:
            groups.append([number])
        before = tag
    return [
        Entity(
            split_label(str(names[labelled.label[one[0]]]))[1],
            float(labelled.score[one].mean()),
            int(labelled.start[one[0]]),
            int(labelled.end[one[-1]]),
        )
        for one in groups
    ]


def split_label(name: str) -> tuple[bool, str]:
    """("B-PER" -> (True, "PER"), "I-PER" -> (False, "PER"), "O" -> (False, "O"))."""
    if name[:2] in ("B-", "I-"):
        return name[0] == "B", name[2:]
    return False, name
