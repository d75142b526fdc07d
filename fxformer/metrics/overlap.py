"""F1 of two bags of tokens, as question answering and ROUGE compute it."""

import collections
from typing import Any


def f1(hits: int, predicted: int, actual: int) -> float:
    """Harmonic mean of hits / predicted and hits / actual; 0 without hits."""
    if not hits:
        return 0.0
    precision, recall = hits / predicted, hits / actual
    return 2 * precision * recall / (precision + recall)


def bag_f1(predicted: collections.Counter[Any], actual: collections.Counter[Any]) -> float:
    """F1 of two bags: each token counts as often as it is in both."""
    return f1((predicted & actual).total(), predicted.total(), actual.total())
