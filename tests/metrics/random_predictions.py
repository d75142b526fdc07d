"""Seeded random predictions and references for the tests of metrics."""

import numpy as np

WORDS = ("was", "cats", "running", "ran", "relational", "don't", "mat.", "É", "x1", ".", "New York")


def classification(seed, classes=None, examples=None):
    """(logits [N, C] float32, labels [N]) with rare and absent classes, ties and small sets."""
    rng = np.random.default_rng(seed)
    classes = classes or int(rng.integers(2, 7))
    examples = examples or int(rng.integers(1, 60))
    labels = rng.choice(classes, examples, p=rng.dirichlet(np.full(classes, 0.5)))
    logits = rng.normal(0, 2, (examples, classes)).round(int(rng.integers(0, 3)))
    logits[np.arange(examples), labels] += rng.choice([0, 1, 3])
    return logits.astype(np.float32), labels


def text(rng, most=14):
    """Some words, with newlines here and there."""
    parts = [
        str(rng.choice(WORDS)) + str(rng.choice(["", "", "", "\n", ".\n"]))
        for _ in range(rng.integers(0, most))
    ]
    return " ".join(parts)


def texts(seed, examples=None, references=None):
    """(hypotheses, a list of references for each)."""
    rng = np.random.default_rng(seed)
    examples = examples or int(rng.integers(1, 6))
    references = references or int(rng.integers(1, 4))
    hypotheses = [text(rng) for _ in range(examples)]
    return hypotheses, [[text(rng) for _ in range(references)] for _ in range(examples)]


def tags(seed, prefixes, examples=4, most=9):
    """(predicted, true) label sequences, valid or not, of the types PER and LOC."""
    rng = np.random.default_rng(seed)
    names = ["O", *(f"{prefix}-{kind}" for prefix in prefixes for kind in ("PER", "LOC"))]

    def some(length):
        return [str(rng.choice(names)) for _ in range(length)]

    lengths = rng.integers(1, most, examples)
    actual = [some(length) for length in lengths]
    predicted = [
        [a if rng.random() < 0.6 else b for a, b in zip(row, some(len(row)), strict=True)]
        for row in actual
    ]
    return predicted, actual
