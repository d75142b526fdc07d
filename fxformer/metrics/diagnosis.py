"""Diagnosis of a confusion matrix: collapse to one class, labels in another order."""

import dataclasses
from collections.abc import Sequence

import numpy as np

COLLAPSED = 0.99  # share of the examples that one class must be predicted for
MOVED = 10  # examples that a permutation must explain for each class that it moves
MOST_PERMUTED = 2000  # classes that occur; finding the best permutation of more takes minutes


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Confusion matrix, int64 [classes, classes]: rows are labels, columns predicted classes."""
    flat = np.asarray(labels, np.int64) * classes + np.asarray(predicted, np.int64)
    return np.bincount(flat, minlength=classes**2).reshape(classes, classes)


def collapse(
    predicted: np.ndarray, labels: np.ndarray, names: Sequence[str] | None = None
) -> str | None:
    """What to say of a model that predicts one class for (nearly) all examples; None: it does not.

    predicted, labels: class ids, int [N]
    Labels that are of this one class too are no collapse.
    """
    if not len(predicted):
        return None
    found, counts = np.unique(predicted, return_counts=True)
    only, share = int(found[counts.argmax()]), counts.max() / len(predicted)
    actual = float(np.mean(labels == only))
    if share < COLLAPSED or actual >= COLLAPSED:
        return None
    name = names[only] if names is not None else only
    return (
        f"collapsed: class {name} is predicted for {_percent(float(share))} of the examples; "
        f"{_percent(actual)} are of this class"
    )


@dataclasses.dataclass(frozen=True)
class LabelPermutation:
    """The permutation of predicted classes that gives the best accuracy.

    accuracy, permuted: accuracy as it is, and after the permutation
    mapping: [C], predicted class -> class it would have to mean
    examples: number of examples
    """

    accuracy: float
    permuted: float
    mapping: tuple[int, ...]
    examples: int

    @classmethod
    def of(cls, matrix: np.ndarray) -> "LabelPermutation":
        """From a confusion matrix [C, C]: rows are labels, columns predicted classes.

        Of equally good permutations it takes one that moves few classes.
        """
        from scipy.optimize import linear_sum_assignment  # takes a while to import

        size, total = len(matrix), int(matrix.sum())
        cost = matrix.astype(np.float64) * (size + 1) + np.eye(size)
        rows, columns = linear_sum_assignment(cost, maximize=True)
        mapping = np.empty(size, np.int64)
        mapping[columns] = rows
        hits = int(matrix[rows, columns].sum())
        return cls(
            int(np.trace(matrix)) / max(total, 1),
            hits / max(total, 1),
            tuple(int(one) for one in mapping),
            total,
        )

    @property
    def moved(self) -> int:
        """Number of classes that the permutation moves."""
        return sum(place != one for place, one in enumerate(self.mapping))

    @property
    def suspicious(self) -> bool:
        """Whether the labels seem to be in another order: the permutation halves the error and
        explains at least MOVED more examples for each class that it moves, which chance does not.
        """
        gained = (self.permuted - self.accuracy) * self.examples
        halved = 1 - self.permuted <= (1 - self.accuracy) / 2
        return halved and self.moved > 0 and gained >= MOVED * self.moved

    def message(self, names: Sequence[str] | None = None) -> str | None:
        """What to say where it is suspicious: both accuracies, and what each class should mean."""
        if not self.suspicious:
            return None
        called = [str(n) for n in range(len(self.mapping))] if names is None else list(names)
        moves = [f"{called[n]} → {called[one]}" for n, one in enumerate(self.mapping) if n != one]
        shown = ", ".join(moves[:8]) + (", …" if len(moves) > 8 else "")
        return (
            f"accuracy {_percent(self.accuracy)}, with labels permuted {_percent(self.permuted)}: "
            f"the labels of the data are in another order than the model's; predicted → true: "
            f"{shown}; write task.labels=[…] in the model's order"
        )


def diagnosis(
    predicted: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str] | None = None,
    *,
    ordered: bool = True,
) -> list[str]:
    """What looks wrong with predicted classes, a sentence each: collapse, permuted labels.

    predicted, labels: class ids, int [N]
    names: of all classes, in the order of the ids
    ordered: whether an id means the same class in every example, so that ids may be permuted
    """
    if not len(labels):
        return []
    said = [collapse(predicted, labels, names)]
    occur, codes = np.unique(np.stack([labels, predicted]), return_inverse=True)
    if ordered and len(occur) <= MOST_PERMUTED:
        actual, given = codes.reshape(2, -1)
        found = LabelPermutation.of(confusion(actual, given, len(occur)))
        known = [str(one) for one in occur] if names is None else [names[int(one)] for one in occur]
        said.append(found.message(known))
    return [one for one in said if one]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
