"""Entity F1: hand-computed cases, other schemes, and equality with seqeval."""

import warnings

import pytest

from fxformer.errors import UserError
from fxformer.metrics.entities import EntityF1
from fxformer.metrics.tagging import (
    detect_scheme,
    invalid_transitions,
    lenient_entities,
    strict_entities,
)
from tests.metrics.random_predictions import tags


@pytest.mark.parametrize(
    ("labels", "strict", "lenient"),
    [
        # an I without a B before it
        ("I-PER I-PER O B-LOC", [("LOC", 3, 4)], [("PER", 0, 2), ("LOC", 3, 4)]),
        # adjacent entities of one type
        ("B-PER B-PER I-PER", [("PER", 0, 1), ("PER", 1, 3)], [("PER", 0, 1), ("PER", 1, 3)]),
        # another type inside
        ("B-PER I-LOC I-LOC", [("PER", 0, 1)], [("PER", 0, 1), ("LOC", 1, 3)]),
        ("B-PER I-PER I-LOC", [("PER", 0, 2)], [("PER", 0, 2), ("LOC", 2, 3)]),
        ("O O", [], []),
        ("B-LOC", [("LOC", 0, 1)], [("LOC", 0, 1)]),
    ],
)
def test_entities_of_bio(labels, strict, lenient):
    assert strict_entities(labels.split(), "BIO") == strict
    assert lenient_entities(labels.split(), "BIO") == lenient


@pytest.mark.parametrize(
    ("labels", "strict"),
    [
        ("S-PER B-LOC I-LOC E-LOC", [("PER", 0, 1), ("LOC", 1, 4)]),
        ("B-LOC I-LOC O", []),  # never closed
        ("B-LOC E-LOC E-LOC I-LOC", [("LOC", 0, 2)]),
        ("B-LOC S-LOC", [("LOC", 1, 2)]),
    ],
)
def test_entities_of_bioes(labels, strict):
    assert strict_entities(labels.split(), "BIOES") == strict


def test_io_cannot_tell_neighbours_apart():
    assert strict_entities("I-PER I-PER I-LOC O I-LOC".split(), "IO") == [
        ("PER", 0, 2), ("LOC", 2, 3), ("LOC", 4, 5)]  # fmt: skip


def test_numbers_by_hand():
    actual = [["B-PER", "I-PER", "O", "B-LOC"], ["B-LOC", "O"]]
    predicted = [["B-PER", "I-PER", "O", "B-PER"], ["B-LOC", "B-LOC"]]
    metric = EntityF1().for_labels(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
    assert (metric.scheme, metric.types) == ("BIO", ("LOC", "PER"))
    rows = metric.statistics(predicted, actual)
    found = metric.result(rows).values
    assert found["entity_precision"] == 2 / 4 and found["entity_recall"] == 2 / 3
    assert found["entity_f1"] == pytest.approx(2 * 2 / (4 + 3))
    assert metric.table(rows) == {
        "LOC": {"f1": 0.5, "precision": 0.5, "recall": 0.5, "support": 2},
        "PER": {"f1": pytest.approx(2 / 3), "precision": 0.5, "recall": 1, "support": 1},
    }


def test_right_tokens_are_not_right_entities():
    actual, predicted = [["B-PER"] + ["I-PER"] * 9], [["B-PER"] + ["I-PER"] * 8 + ["O"]]
    assert EntityF1(scheme="BIO").evaluate(predicted, actual).values["entity_f1"] == 0


@pytest.mark.parametrize(
    ("labels", "scheme"),
    [
        ("O B-X", "BIO"),
        ("I-X O", "IO"),
        ("O I-X B-X", "BIO"),
        ("S-X", "BIOES"),
        ("B-X E-X", "BIOES"),
    ],
)
def test_the_scheme_of_a_label_set(labels, scheme):
    assert detect_scheme(labels.split()) == scheme


@pytest.mark.parametrize(
    ("metric", "labels", "said"),
    [
        (EntityF1(), ["NOUN", "VERB"], "'NOUN' is no entity label"),
        (EntityF1(), ["ORG", "O"], "'ORG' is no entity label"),  # not an O that is spelled long
        (EntityF1(), ["O"], "all labels are O"),
        (EntityF1(scheme="BIO"), ["O", "S-PER"], "set the scheme of the metric to BIOES"),
        (EntityF1(scheme="IO"), ["O", "B-PER"], "scheme IO, which has I-, O; set .* to BIO$"),
    ],
)
def test_labels_of_another_scheme_are_refused_before_training(metric, labels, said):
    with pytest.raises(UserError, match=said):
        metric.for_labels(labels)


@pytest.mark.parametrize(
    ("predicted", "actual", "said"),
    [
        ([["PER", "O"]], [["B-PER", "O"]], "example 0: 'PER' is no entity label"),
        ([["O"], ["E-PER"]], [["O"], ["B-PER"]], "example 1: 'E-PER' is no label of .* BIO"),
        ([["O"]], [["O", "O"]], "example 0: 1 predicted labels for 2 tokens"),
        ([["O"]], [["O"], ["O"]], "1 predictions for 2 references"),
    ],
)
def test_bad_sequences_are_errors_and_not_zero(predicted, actual, said):
    with pytest.raises(UserError, match=said):
        EntityF1(scheme="BIO").evaluate(predicted, actual)


def test_invalid_transitions():
    assert list(invalid_transitions("I-A B-A I-B O I-B I-B".split(), "BIO")) == [0, 2, 4]


@pytest.mark.parametrize(
    ("scheme", "prefixes", "theirs"),
    [("BIO", "BI", "IOB2"), ("BIOES", "BIES", "IOBES"), ("IO", "I", "IOB1")],
)
def test_equal_to_seqeval(scheme, prefixes, theirs):
    pytest.importorskip("seqeval")
    from seqeval import scheme as schemes
    from seqeval.metrics.sequence_labeling import precision_recall_fscore_support as lenient
    from seqeval.metrics.v1 import precision_recall_fscore_support as strict

    for seed in range(100):
        predicted, actual = tags(seed, prefixes)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = {
                "strict": strict(actual, predicted, average="micro",
                                 scheme=getattr(schemes, theirs)),
                "lenient": lenient(actual, predicted, average="micro"),
            }  # fmt: skip
        for mode, (precision, recall, f1, _) in wanted.items():
            found = EntityF1(scheme=scheme, mode=mode).evaluate(predicted, actual).values
            assert found == pytest.approx(
                {"entity_f1": f1, "entity_precision": precision, "entity_recall": recall}
            ), (seed, mode)
