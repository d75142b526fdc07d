"""BLEU and chrF: sacrebleu's numbers and signatures, from the statistics of each sentence."""

import sys

import numpy as np
import pytest

from fxformer.errors import UserError
from fxformer.metrics.translation import Bleu, Chrf
from tests.metrics.random_predictions import texts


def streams(references):
    """sacrebleu's form of references: one list for each place."""
    return [list(column) for column in zip(*references, strict=True)]


@pytest.mark.parametrize(
    ("ours", "settings"),
    [
        (Bleu, {}),
        (Bleu, {"tokenize": "intl", "lowercase": True}),
        (Bleu, {"smooth_method": "add-k", "smooth_value": 0.5}),
        (Bleu, {"smooth_method": "none", "tokenize": "char"}),
        (Bleu, {"smooth_method": "floor", "tokenize": "none"}),
        (Chrf, {}),
        (Chrf, {"word_order": 2}),
        (Chrf, {"eps_smoothing": True, "beta": 1}),
        (Chrf, {"whitespace": True, "lowercase": True, "char_order": 4}),
    ],
)
def test_equal_to_sacrebleu(ours, settings):
    sacrebleu = pytest.importorskip("sacrebleu")
    theirs = {Bleu: sacrebleu.BLEU, Chrf: sacrebleu.CHRF}[ours](**settings)
    metric = ours(**settings)
    for seed in range(40):
        hypotheses, references = texts(seed)
        result = metric.evaluate(hypotheses, references)
        wanted = theirs.corpus_score(hypotheses, streams(references))
        assert result.values[metric.name] == wanted.score
        assert result.signatures[metric.name].endswith(str(theirs.get_signature()))


def test_the_number_of_references_belongs_to_the_signature():
    pytest.importorskip("sacrebleu")
    one, two = (Bleu().evaluate(*texts(0, references=n)).signatures["bleu"] for n in (1, 2))
    assert "|nrefs:1|" in one and "|nrefs:2|" in two and one.startswith("bleu|library:sacrebleu|")
    mixed = Bleu().evaluate(["a b", "c"], [["a b"], ["c", "d"]]).signatures["bleu"]
    assert "|nrefs:var|" in mixed
    assert Chrf(word_order=2).signature().startswith("chrF2++|")


def test_the_corpus_is_not_the_mean_of_its_sentences():
    pytest.importorskip("sacrebleu")
    metric = Bleu()
    rows = metric.statistics(["the cat sat on the mat", "no"], [["the cat sat on a mat"], ["yes"]])
    alone = [metric.aggregate(rows[n : n + 1])["bleu"] for n in (0, 1)]
    assert metric.aggregate(rows)["bleu"] != pytest.approx(np.mean(alone))


def test_without_sacrebleu_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(UserError, match=r"pip install 'fxformer\[tasks\]'"):
        Bleu().evaluate(["a"], [["a"]])
