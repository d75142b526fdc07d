"""Diagnosis: permuted labels and collapsed models are found, chance is not."""

import itertools

import numpy as np
import pytest

from fxformer.metrics.diagnosis import LabelPermutation, collapse, confusion, diagnosis


def test_labels_in_another_order():
    """MNLI with two orders of its labels: 4.28 % instead of 90.6 %."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 2000)
    right = np.where(rng.random(2000) < 0.9, labels, rng.integers(0, 3, 2000))
    found = LabelPermutation.of(confusion(labels, np.array([2, 0, 1])[right], 3))
    assert found.mapping == (1, 2, 0) and found.permuted > 0.9 > 0.1 > found.accuracy
    said = found.message(["contradiction", "entailment", "neutral"])
    assert said.startswith(f"accuracy {100 * found.accuracy:.1f} %, with labels permuted ")
    assert "contradiction → entailment, entailment → neutral, neutral → contradiction" in said


def test_two_of_three_labels_swapped():
    labels = np.repeat([0, 1, 2], 100)
    found = LabelPermutation.of(confusion(labels, np.array([1, 0, 2])[labels], 3))
    assert (found.moved, found.mapping, found.suspicious) == (2, (1, 0, 2), True)
    assert "0 → 1, 1 → 0" in found.message()


@pytest.mark.parametrize("classes", [2, 3, 150])
def test_chance_is_not_suspicious(classes):
    for seed in range(20):
        labels, predicted = np.random.default_rng(seed).integers(0, classes, (2, 20 * classes))
        assert LabelPermutation.of(confusion(labels, predicted, classes)).message() is None


def test_a_few_wrong_answers_are_not_suspicious():
    found = LabelPermutation.of(np.array([[0, 6], [6, 0]]))  # 12 examples, two classes moved
    assert (found.accuracy, found.permuted, found.suspicious) == (0, 1, False)
    assert LabelPermutation.of(np.array([[0, 10], [10, 0]])).suspicious


def test_a_good_model_and_a_collapsed_one_are_not_suspicious():
    labels = np.random.default_rng(0).integers(0, 3, 600)
    assert LabelPermutation.of(confusion(labels, labels, 3)).moved == 0
    assert not LabelPermutation.of(confusion(labels, np.zeros(600, int), 3)).suspicious


def test_the_best_permutation_is_the_best():
    for seed in range(20):
        matrix = np.random.default_rng(seed).integers(0, 9, (4, 4))
        best = max(
            sum(matrix[order[n], n] for n in range(4)) for order in itertools.permutations(range(4))
        )
        found = LabelPermutation.of(matrix)
        assert found.permuted == pytest.approx(best / matrix.sum())
        assert sum(matrix[one, n] for n, one in enumerate(found.mapping)) == best


def test_of_equally_good_permutations_few_classes_are_moved():
    found = LabelPermutation.of(np.array([[1, 1, 0], [1, 0, 1], [1, 0, 1]]))
    assert (found.permuted, found.moved) == (0.5, 2)


def test_collapse():
    """MRPC at exactly the share of its majority class."""
    labels = np.repeat([1, 0], [279, 129])
    said = collapse(np.ones(408, int), labels, ["different", "same"])
    assert said == (
        "collapsed: class same is predicted for 100.0 % of the examples; 68.4 % are of this class"
    )
    nearly = np.where(np.arange(408) < 3, 0, 1)
    assert collapse(nearly, labels) and not collapse(np.where(np.arange(408) < 5, 0, 1), labels)
    assert collapse(np.ones(9, int), np.ones(9, int)) is None  # there is nothing else to predict
    assert collapse(np.empty(0, int), np.empty(0, int)) is None


def test_a_diagnosis_names_classes_and_leaves_out_those_that_do_not_occur():
    labels, names = np.repeat([1, 7], 20), [f"class{n}" for n in range(9)]
    (said,) = diagnosis(np.full(40, 7), labels, names)
    assert said.startswith("collapsed: class class7 is predicted for 100.0 % of the examples; 50")
    (said,) = diagnosis(8 - labels, labels, names)
    assert said.startswith("accuracy 0.0 %, with labels permuted 100.0 %")
    assert "class7 → class1, " in said or "class1 → class7" in said
    assert diagnosis(labels, labels, names) == [] == diagnosis(8 - labels, labels, ordered=False)
