"""Classification and correlation metrics equal scikit-learn and scipy on random cases."""

import warnings

import numpy as np
import pytest
from scipy import special, stats

from fxformer.metrics.calibration import CalibrationError, NegativeLogLikelihood
from fxformer.metrics.classification import (
    Accuracy,
    BalancedAccuracy,
    MacroF1,
    Matthews,
    MicroF1,
    PositiveF1,
)
from fxformer.metrics.correlation import Pearson, Spearman
from fxformer.metrics.multilabel import MacroMultiLabelF1, MicroMultiLabelF1
from tests.metrics.random_predictions import classification

sklearn = pytest.importorskip("sklearn.metrics")
CASES = 100


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        (Accuracy(), lambda y, p: sklearn.accuracy_score(y, p)),
        (BalancedAccuracy(), lambda y, p: sklearn.balanced_accuracy_score(y, p)),
        (Matthews(), lambda y, p: sklearn.matthews_corrcoef(y, p)),
        (MicroF1(), lambda y, p: sklearn.f1_score(y, p, average="micro")),
        (MacroF1(), lambda y, p: sklearn.f1_score(y, p, average="macro")),
    ],
    ids=lambda one: getattr(one, "name", ""),
)
def test_single_label(metric, reference):
    for seed in range(CASES):
        logits, labels = classification(seed)
        found = metric.evaluate(logits, labels).values[metric.name]
        assert found == pytest.approx(reference(labels, logits.argmax(1)), abs=1e-12), seed


def test_f1_of_the_positive_class():
    for seed in range(CASES):
        logits, labels = classification(seed)
        positive = seed % logits.shape[1]
        found = PositiveF1(positive=positive).evaluate(logits, labels).values
        called = logits.argmax(1) == positive
        wanted = sklearn.precision_recall_fscore_support(labels == positive, called, pos_label=True,
                                                         average="binary")  # fmt: skip
        given = (found["precision"], found["recall"], found["f1"])
        assert given == pytest.approx(wanted[:3], abs=1e-12), seed


def test_several_labels():
    for seed in range(CASES):
        rng = np.random.default_rng(seed)
        logits = rng.normal(-0.5, 1, rng.integers(1, 9, 2) + [0, 1]).round(1)
        labels = (rng.random(logits.shape) < 0.3).astype(np.int32)
        for metric, average in ((MicroMultiLabelF1(), "micro"), (MacroMultiLabelF1(), "macro")):
            wanted = sklearn.f1_score(labels, logits > 0, average=average)
            assert metric.evaluate(logits, labels).values[metric.name] == pytest.approx(wanted)


def test_negative_log_likelihood():
    for seed in range(CASES):
        logits, labels = classification(seed)
        p = special.softmax(logits.astype(np.float64), axis=1)
        wanted = sklearn.log_loss(labels, p, labels=np.arange(logits.shape[1]))
        assert NegativeLogLikelihood().evaluate(logits, labels).values["nll"] == pytest.approx(
            wanted, rel=1e-9
        )


def test_calibration_error_is_its_definition():
    for seed in range(CASES):
        logits, labels = classification(seed)
        bins = 1 + seed % 20
        p = special.softmax(logits.astype(np.float64), axis=1)
        confidence, hit, wanted = p.max(1), p.argmax(1) == labels, 0.0
        for b in range(bins):
            inside = (confidence * bins > b) & (confidence * bins <= b + 1)
            if inside.any():
                wanted += inside.mean() * abs(hit[inside].mean() - confidence[inside].mean())
        found = CalibrationError(bins=bins).evaluate(logits, labels).values["ece"]
        assert found == pytest.approx(wanted, abs=1e-9), seed


def test_a_confidence_on_the_edge_of_a_bin_belongs_below():
    """Two bins: 0.5 lies in the first, 0.9 in the second."""
    p = np.array([[0.5, 0.5], [0.1, 0.9]])
    found = CalibrationError(bins=2).evaluate(np.log(p), np.array([0, 0])).values["ece"]
    assert found == pytest.approx((abs(1 - 0.5) + abs(0 - 0.9)) / 2)


def test_correlations():
    for seed in range(CASES):
        rng = np.random.default_rng(seed)
        left, right = rng.normal(0, 10.0 ** rng.integers(-3, 6), (2, rng.integers(2, 50)))
        if seed % 3 == 0:
            left, right = left.round(), right.round()  # ties
        for metric, reference in ((Pearson(), stats.pearsonr), (Spearman(), stats.spearmanr)):
            found = metric.evaluate(left[:, None].astype(np.float32), right).values[metric.name]
            wanted = reference(left.astype(np.float32).astype(np.float64), right).statistic
            assert found == pytest.approx(wanted, abs=1e-9, nan_ok=True), (seed, metric.name)
