"""What all metrics promise: batches of any size and order, padding, signatures, bad inputs."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf

from fxformer.config import folders
from fxformer.config.build import build
from fxformer.errors import UserError
from fxformer.metrics.base import Accumulator, Metric, SumMetric
from fxformer.metrics.calibration import CalibrationError
from fxformer.metrics.classification import Accuracy, MacroF1, PositiveF1
from fxformer.metrics.correlation import Pearson
from fxformer.metrics.inputs import single_label
from fxformer.metrics.multilabel import MicroMultiLabelF1
from fxformer.metrics.several import Several
from tests.metrics.random_predictions import classification, tags, texts

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = sorted(path.stem for path in (folders.conf_folder() / "metric").glob("*.yaml"))
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def made(option) -> Metric:
    """The metric of a yaml, for the labels of these tests."""
    path = folders.conf_folder() / "metric" / f"{option}.yaml"
    metric = build(OmegaConf.create(yaml.safe_load(path.read_text(encoding="utf-8"))))
    return metric.for_labels(LABELS)


def usable(option) -> Metric:
    """The same; skips where it needs a package that is not installed."""
    if option in ("bleu", "chrf"):
        pytest.importorskip("sacrebleu")
    return made(option)


def examples(option, seed=0, size=23):
    """Predictions and references that fit an option."""
    if option == "entity_f1":
        return tags(seed, "BI", examples=size)
    if option in ("squad", "squad_v2", "rouge", "bleu", "chrf"):
        return texts(seed, examples=size)
    rng = np.random.default_rng(seed)
    if "pearson" in option or "spearman" in option:
        return tuple(rng.normal(size=(2, size)).astype(np.float32))
    if "multilabel" in option:
        return rng.normal(size=(size, 4)).astype(np.float32), rng.integers(0, 2, (size, 4))
    return classification(seed, classes=3, examples=size)


def taken(rows, places):
    return rows[places] if isinstance(rows, np.ndarray) else [rows[n] for n in places]


@pytest.mark.parametrize("option", OPTIONS)
def test_batches_do_not_matter(option):
    """Bit for bit: any split, any order, a padded last batch."""
    metric, (predictions, references) = usable(option), examples(option)
    whole, order = (
        metric.evaluate(predictions, references),
        np.random.default_rng(1).permutation(23),
    )
    for size in (1, 5, 8, 23):
        accumulated = Accumulator(metric)
        for start in range(0, 23, size):
            kept = order[start : start + size]
            rows = np.concatenate([kept, np.zeros(size - len(kept), np.int64)])  # padding
            valid = np.arange(size) < len(kept)
            accumulated.add(taken(predictions, rows), taken(references, rows), valid)
        accumulated.add(taken(predictions, [0]), taken(references, [0]), np.array([False]))
        found = accumulated.result()
        np.testing.assert_equal(found.values, whole.values, str(size))  # NaN equals NaN
        assert found.signatures == whole.signatures and found.examples == 23
        assert found.remarks == whole.remarks


@pytest.mark.parametrize("option", OPTIONS)
def test_weights_are_repetitions(option):
    metric, (predictions, references) = usable(option), examples(option)
    weights = np.random.default_rng(2).integers(0, 3, 23)
    repeated = np.repeat(np.arange(23), weights)
    rows = metric.statistics(predictions, references)
    wanted = metric.aggregate(rows[repeated])
    assert metric.aggregate(rows, weights) == pytest.approx(wanted, nan_ok=True)
    many = metric.aggregate_many(rows, np.stack([weights, np.ones(23, np.int64)]))
    for name, value in wanted.items():
        assert many[name][0] == pytest.approx(value, nan_ok=True)
        assert many[name][1] == pytest.approx(metric.aggregate(rows)[name], nan_ok=True)


@pytest.mark.parametrize("option", OPTIONS)
def test_a_perfect_prediction_is_at_the_better_bound(option):
    metric, (predictions, references) = usable(option), examples(option, seed=3)
    if option == "entity_f1":
        predictions = references
    elif isinstance(references, list):
        predictions = [f"{text} and more words" for text in predictions]
        references = [[text] for text in predictions]
    elif references.dtype.kind == "f":
        predictions = references
    elif references.ndim == 2:
        predictions = np.where(references, 900.0, -900.0)
    else:
        predictions = np.where(np.eye(3)[references] > 0, 900.0, 0.0)
    result = metric.evaluate(predictions, references)
    low, high = metric.bounds
    assert list(result.values) == list(metric.names) == list(metric.directions)
    assert result.values[metric.name] == pytest.approx(high if metric.higher_is_better else low)


def other(value):
    """Another value of a setting."""
    choices = {"auto": "BIO", "strict": "lenient", "1.1": "2.0", "2.0": "1.1", "13a": "intl",
               "newline": "punctuation", "exp": "floor", None: 0.3}  # fmt: skip
    if isinstance(value, bool):
        return not value
    return choices[value] if value in choices else value + 1 if isinstance(value, int) else 0.25


@pytest.mark.parametrize("option", OPTIONS)
def test_every_setting_is_in_the_signature(option):
    metric = usable(option)
    if isinstance(metric, Several):
        assert metric.signature() == " & ".join(one.signature() for one in metric.metrics)
        return
    assert metric.name.lower() in metric.signature().lower() and "library:" in metric.signature()
    for field in dataclasses.fields(metric):
        if field.metadata.get("signature", True):
            value = getattr(metric, field.name)
            changed = dataclasses.replace(metric, **{field.name: other(value)})
            if field.name == "smooth_value":  # of a method that has one
                metric = dataclasses.replace(metric, smooth_method="floor")
                changed = dataclasses.replace(metric, smooth_value=0.3)
            assert changed.signature() != metric.signature(), field.name


def test_several_metrics_in_one():
    logits, labels = classification(3, classes=3, examples=30)
    parts = (Accuracy(), PositiveF1(positive=2), CalibrationError())
    result = Several(parts).evaluate(logits, labels)
    for part in parts:
        alone = part.evaluate(logits, labels)
        assert {name: result.values[name] for name in part.names} == alone.values
        assert result.signatures[part.name] == alone.signatures[part.name]
    metric = Several(parts)
    assert metric.name == "accuracy" and metric.directions["ece"] is False
    assert metric.directions["f1"] is True
    with pytest.raises(UserError, match="accuracy occurs twice"):
        Several((Accuracy(), Accuracy()))


def test_a_diverged_model_has_no_number():
    logits, labels = classification(1, classes=3, examples=9)
    logits[4, 1] = np.nan
    for option in ("accuracy", "f1", "matthews", "nll", "ece", "accuracy_f1"):
        assert all(map(math.isnan, made(option).evaluate(logits, labels).values.values())), option


def test_undefined_correlations_say_why():
    result = Pearson().evaluate(np.ones(4), np.arange(4.0))
    assert math.isnan(result.values["pearson"])
    assert result.remarks == ("pearson is undefined: all predictions are 1",)


@pytest.mark.parametrize(
    ("metric", "predictions", "references", "said"),
    [
        (Accuracy(), np.zeros((2, 3)), [0], "2 predictions for 1 references"),
        (Accuracy(), np.zeros((1, 3)), [3], "label of example 0 is 3; the model has classes 0 … 2"),
        (Accuracy(), np.zeros((2, 3)), [0, -100], "label of example 1 is -100"),
        (Accuracy(), np.zeros((1, 3)), [[1, 0, 1]], "use the metric f1_micro_multilabel"),
        (Accuracy(), np.zeros((1, 3)), [0.5], "use the metric pearson"),
        (Accuracy(), np.zeros(3, int), [0, 1, 2], r"expected logits, float \[examples, classes\]"),
        (MacroF1(), np.zeros((0, 3)), np.zeros(0, int), "there are no examples"),
        (
            PositiveF1(positive=5),
            np.zeros((1, 3)),
            [0],
            "f1: positive=5, but the model has",
        ),
        (MicroMultiLabelF1(), np.zeros((1, 3)), [[0, 2, 0]], "multi-hot labels of 0 and 1"),
        (MicroMultiLabelF1(), np.zeros((1, 3)), [[0, 1]], "3 classes predicted, 2 labelled"),
        (Pearson(), np.zeros((2, 3)), [0.0, 1.0], "expected predictions as numbers"),
    ],
)
def test_inputs_that_do_not_fit(metric, predictions, references, said):
    with pytest.raises(UserError, match=said):
        metric.evaluate(predictions, references)


def test_an_empty_accumulator():
    with pytest.raises(UserError, match="accuracy: there are no examples"):
        Accumulator(Accuracy()).result()


def test_a_hundred_thousand_classes():
    labels = np.random.default_rng(0).integers(0, 100_000, 50)
    rows = np.stack([labels, labels[::-1]], axis=1).astype(np.float64)
    assert not isinstance(MacroF1(), SumMetric)
    assert 0 <= MacroF1().aggregate(rows)["f1_macro"] < 0.2


def test_the_example_of_the_documentation():
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    code = page.rpartition("```python\n")[2].partition("```")[0]
    known = {
        "dataclasses": dataclasses,
        "np": np,
        "SumMetric": SumMetric,
        "single_label": single_label,
    }
    exec(code, known)
    logits, labels = classification(0, classes=6, examples=20)
    found = known["TopK"](k=2).evaluate(logits, labels)
    assert found.values["top_k"] == np.mean(
        (logits > logits[range(20), labels][:, None]).sum(1) < 2
    )
    assert found.signatures["top_k"] == "top_k|k:2|library:fxformer|version:1"
