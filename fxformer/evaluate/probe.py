"""Linear probe: accuracy of a linear classifier on frozen features."""

import dataclasses
from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from scipy import optimize, special

from fxformer.inference.forward import BATCH_ROWS
from fxformer.inference.loaded_run import LoadedRun
from fxformer.train.state import bind

CLASSES, EACH = 20, 40  # of the task made of documents: how many, and texts of each
WORDS = 24  # of such a text
LEAST = 2  # texts for training, and as many for testing, of each document
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)  # of which the one best on a fifth of the training texts


@dataclasses.dataclass(frozen=True)
class Labelled:
    """texts with labels 0 … C - 1 ([n] int64), and which of them are for testing ([n] bool)."""

    texts: list[str]
    labels: np.ndarray
    test: np.ndarray

    @property
    def guess(self) -> float:
        """Accuracy of always naming the commonest label of the training texts."""
        common = np.bincount(self.labels[~self.test]).argmax()
        return float((self.labels[self.test] == common).mean())


def by_document(documents: Iterable[str]) -> Labelled | None:
    """Which of the `CLASSES` longest documents a stretch of words comes from. Every document is cut
    in two: its first half trains, its second tests. None where fewer than two documents are long
    enough for both."""
    longest = sorted(documents, key=len, reverse=True)[:CLASSES]
    split = [words for words in map(str.split, longest) if len(words) >= 2 * LEAST * WORDS]
    if len(split) < 2:
        return None
    texts, labels, test = [], [], []
    for label, words in enumerate(split):
        starts = np.arange(0, len(words) - WORDS + 1, WORDS)
        half = len(words) // 2
        for part, side in ((starts[starts + WORDS <= half], False), (starts[starts >= half], True)):
            step = max(len(part) // (EACH // 2), 1)
            for start in part[::step][: EACH // 2]:
                texts.append(" ".join(words[start : start + WORDS]))
                labels.append(label)
                test.append(side)
    return Labelled(texts, np.array(labels, np.int64), np.array(test, bool))


def labelled(pairs: Sequence[tuple[str, str]]) -> Labelled:
    """Texts with the names of their labels; every fourth text of each label is for testing."""
    names = sorted({label for _, label in pairs})
    labels = np.array([names.index(label) for _, label in pairs])
    test = np.zeros(len(pairs), bool)
    for number in range(len(names)):
        test[np.flatnonzero(labels == number)[3::4]] = True
    return Labelled([text for text, _ in pairs], labels, test)


def features(loaded: LoadedRun, texts: Sequence[str]) -> np.ndarray:
    """Mean vector of the last layer over the ordinary tokens of each text. [n D] float64.

    Longer texts are cut to what the model reads at once.
    """
    tokenizer, long = loaded.tokenizer.of_source, loaded.corpus.length
    room = long - len(tokenizer.prefix) - len(tokenizer.suffix)
    words = loaded.objective.vocabulary.of_source

    @jax.jit
    def mean(params, tokens, segments, counts):
        hidden = bind(loaded.graphdef, params).model.encode(tokens, segments)
        total = (hidden * counts[..., None]).sum(1)
        return total / jnp.maximum(counts.sum(1, keepdims=True), 1)

    found = []
    for low in range(0, len(texts), BATCH_ROWS):
        some = list(texts[low : low + BATCH_ROWS])
        tokens = np.full((BATCH_ROWS, long), words.pad, np.int32)
        segments = np.zeros((BATCH_ROWS, long), np.int32)
        for row, text in enumerate(some):
            ids = tokenizer.encode(text)[:room]
            ids = np.concatenate([tokenizer.prefix, ids, tokenizer.suffix]).astype(np.int32)
            tokens[row, : len(ids)], segments[row, : len(ids)] = ids, 1
        counts = ((segments > 0) & ~words.special[tokens]).astype(np.float32)
        found.append(np.asarray(mean(loaded.params, tokens, segments, counts))[: len(some)])
    return np.concatenate(found).astype(np.float64)


def accuracy(x: np.ndarray, task: Labelled) -> np.ndarray:
    """Whether a logistic regression on x [n D] is right about each text for testing. [m] bool."""
    train, test = x[~task.test], x[task.test]
    middle, spread = train.mean(0), train.std(0) + 1e-9
    train, test = (train - middle) / spread, (test - middle) / spread
    labels = task.labels[~task.test]
    part = np.arange(len(train)) % 5 == 0
    scores = [
        (_guesses(_fit(train[~part], labels[~part], one), train[part]) == labels[part]).mean()
        for one in PENALTIES
    ]
    best = PENALTIES[int(np.argmax(scores))]
    return _guesses(_fit(train, labels, best), test) == task.labels[task.test]


def _fit(x: np.ndarray, labels: np.ndarray, penalty: float) -> np.ndarray:
    """Weights [D + 1, C] that minimise the mean cross-entropy and penalty · their squares."""
    x = np.hstack([x, np.ones((len(x), 1))])
    classes, rows = labels.max() + 1, np.arange(len(x))

    def loss(flat):
        weights = flat.reshape(x.shape[1], classes)
        scores = special.log_softmax(x @ weights, axis=1)
        wrong = np.exp(scores)
        wrong[rows, labels] -= 1
        free = np.vstack([weights[:-1], np.zeros((1, classes))])  # the bias is not held back
        value = -scores[rows, labels].mean() + penalty * (free**2).sum()
        return value, (x.T @ wrong / len(x) + 2 * penalty * free).ravel()

    start = np.zeros(x.shape[1] * classes)
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return found.x.reshape(x.shape[1], classes)


def _guesses(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    return (x @ weights[:-1] + weights[-1]).argmax(1)
