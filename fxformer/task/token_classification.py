"""Token classification: a class for each word of a text, such as named entity labels."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from fxformer.batch import Labels
from fxformer.data.labelled.rows import Row
from fxformer.metrics.diagnosis import diagnosis
from fxformer.ops.cross_entropy import Sums
from fxformer.task.base import Encoded, TextEncoder, begins, numbers, token_outputs
from fxformer.task.class_labels import label_names, label_set
from fxformer.task.class_tasks import OneClassTask
from fxformer.task.features import Feature, Placed

OUTSIDE = "O"
WORD = re.compile(r"\w+|[^\w\s]")


@dataclasses.dataclass(frozen=True)
class WordLabels:
    """Label of a feature: what each token has to be.

    classes: [n] int32; -1: the token has no label
    words: [n] int32, number of the word in its row whose label that is; -1: none
    """

    classes: Int[np.ndarray, "n"]
    words: Int[np.ndarray, "n"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenClassification(OneClassTask):
    """A class for each word, from the `token_classification` head at its first token.

    Devlin et al. 2019, sec. 5.3. A row is a list of words with a label each, or a text with
    entities, whose words are then labelled in data.label_scheme. A row that is too long becomes
    several inputs, cut between words, and loses nothing.

    label_all: whether all tokens of a word have its label, instead of the first; words are still
        read off their first token
    frozen: as in Classification
    For the other fields see OneClassTask.
    """

    head: ClassVar[str] = "token_classification"
    roles: ClassVar[tuple[str, ...]] = ("words", "labels")
    architectures: ClassVar[frozenset[str]] = frozenset({"encoder", "decoder"})
    label_role: ClassVar[str | None] = "labels"
    per_token: ClassVar[bool] = True

    label_all: bool = False
    frozen: bool = False

    def read(self, row: Row) -> Row:
        """The row with words and labels in BIO, made of its text and entities where it has those.

        A word that several entities touch is of the first one.
        """
        if row.get("entities") is None or row.get("words") is not None:
            return row
        text, labels, before = row.value("text"), [], None
        found = list(WORD.finditer(text))
        for match in found:
            inside = [
                one
                for one in row.values["entities"]
                if one["start"] < match.end() and match.start() < one["end"]
            ]
            own = inside[0] if inside else None
            prefix = "I" if own is before else "B"
            labels.append(OUTSIDE if own is None else f"{prefix}-{own['label']}")
            before = own
        words = [match.group() for match in found]
        return dataclasses.replace(row, values=row.values | {"words": words, "labels": labels})

    def encode(self, row: Row, number: int, encoder: TextEncoder) -> Encoded:
        words, known = row.value("words"), label_set(self)
        classes = [known.id_of(label, row.where) for label in row.value("labels")]
        text = " ".join(words)
        found = encoder.tokenizer.encode_offsets(text)
        ends = np.cumsum([len(word) + 1 for word in words]) - 1
        owner = np.searchsorted(ends, found.start, side="right")  # the word of each token
        owner = np.where(found.start < found.end, owner, -1)  # tokens of no character
        first = np.zeros(len(owner), bool)
        real = np.flatnonzero(owner >= 0)
        first[real[np.r_[True, owner[real][1:] != owner[real][:-1]]] if len(real) else real] = True
        labelled = owner >= 0 if self.label_all else first
        target = np.where(labelled, np.array(classes, np.int64)[owner], -1).astype(np.int32)
        reads = np.where(first, owner, -1).astype(np.int32)
        if not first.any():
            return Encoded([], len(found.ids), skipped="no word with a token")
        features, low = [], 0
        room = encoder.template.room(encoder.length, pair=False)
        while low < len(found.ids):
            high = _border(first, low, low + room)
            here = slice(low, high)
            tokens, types = encoder.template.join(found.ids[here])
            before = len(encoder.template.before)
            label = WordLabels(
                _within(target[here], len(tokens), before),
                _within(reads[here], len(tokens), before),
            )
            features.append(Feature(tokens, types, (len(tokens),), number, label))
            low = high
        return Encoded(features, len(found.ids))

    def label_arrays(self, placed: Placed) -> Labels:
        classes = np.zeros(placed.shape, np.int32)
        weights = np.zeros(placed.shape, np.float32)
        for row, begin, one in zip(placed.row, placed.begin, placed.features, strict=True):
            here = slice(begin, begin + len(one.tokens))
            weights[row, here] = one.label.classes >= 0
            classes[row, here] = np.maximum(one.label.classes, 0)
        return Labels(begins(placed), classes, weights, numbers(placed))

    def loss(
        self, head: Any, hidden: Array, segments: Array, labels: Labels, key: Array | None
    ) -> tuple[Sums, Array]:
        logits = head(hidden, segments, key=key).astype(jnp.float32)
        return self.class_loss(logits, labels), logits

    def outputs_of(self, outputs: np.ndarray, labels: Labels) -> dict[int, np.ndarray]:
        return token_outputs(outputs, labels)

    def predictions(
        self, outputs: Sequence[np.ndarray], features: Sequence[Feature], rows: Sequence[Row]
    ) -> tuple[list[list[str]], list[list[str]]]:
        """(predicted labels, labels) of the words of each row; O for a word without a token."""
        names = label_names(self)
        given = [[OUTSIDE] * len(row.value("words")) for row in rows]
        for logits, one in zip(outputs, features, strict=True):
            best = logits[: len(one.tokens)].argmax(-1)
            for at in np.flatnonzero(one.label.words >= 0):
                given[one.example][one.label.words[at]] = names[best[at]]
        used = sorted({one.example for one in features})
        return [given[n] for n in used], [list(rows[n].value("labels")) for n in used]

    def diagnosis(self, predictions: Any, references: Any) -> list[str]:
        """That of the classes of all words; O of a word without a token is none, if no label is."""
        place = {name: number for number, name in enumerate(label_names(self))}
        pairs = [
            (place[one], place[other])
            for given, wanted in zip(predictions, references, strict=True)
            for one, other in zip(given, wanted, strict=True)
            if one in place
        ]
        given, wanted = np.array(pairs, np.int64).reshape(-1, 2).T
        return diagnosis(given, wanted, label_names(self))


def _border(first: np.ndarray, low: int, high: int) -> int:
    """The last place up to `high` where a word begins; `high` where a word is longer than that."""
    if high >= len(first):
        return len(first)
    starts = np.flatnonzero(first[low + 1 : high + 1])
    return low + 1 + int(starts[-1]) if len(starts) else high


def _within(values: np.ndarray, length: int, before: int) -> np.ndarray:
    """Values of text tokens among the special tokens of an input, which have -1."""
    found = np.full(length, -1, np.int32)
    found[before : before + len(values)] = values
    return found
