"""ROUGE and its stemmer: hand-computed cases, newlines, and equality with rouge-score and NLTK."""

import itertools

import pytest

from fxformer.errors import UserError
from fxformer.metrics import porter
from fxformer.metrics.rouge import Rouge, lcs_table
from tests.metrics.random_predictions import texts


def test_by_hand():
    found = Rouge(stemmer=False).evaluate(["the cat sat"], [["the cat lay down"]]).values
    assert found["rouge1"] == pytest.approx(2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4))
    assert found["rouge2"] == pytest.approx(2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3))
    assert found["rougeL"] == found["rouge1"]
    assert lcs_table("abcbdab", "bdcaba")[-1][-1] == 4


def test_sentences_end_at_newlines():
    """Sentences in another order: ROUGE-L of the whole text loses, ROUGE-Lsum does not."""
    prediction, reference = "b b b b.\na a a a.", "a a a a.\nb b b b."
    found = Rouge().evaluate([prediction], [[reference]]).values
    assert found["rougeLsum"] == 1 and found["rougeL"] == 0.5
    flat = [text.replace("\n", " ") for text in (prediction, reference)]
    result = Rouge().evaluate([flat[0]], [[flat[1]]])
    assert result.values["rougeLsum"] == 0.5
    assert "no reference has a newline" in result.remarks[0]
    split = Rouge(sentences="punctuation").evaluate([flat[0]], [[flat[1]]])
    assert split.values["rougeLsum"] == 1 and not split.remarks
    assert split.signatures["rougeL"] != result.signatures["rougeL"]


def test_the_best_reference_counts_for_each_kind():
    found = Rouge().evaluate(["a b c"], [["c b a", "a b"]]).values
    assert found["rouge1"] == 1 and found["rougeL"] == found["rouge2"] + (0.8 - 2 / 3)


def test_a_text_without_tokens_scores_zero():
    assert set(Rouge().evaluate([""], [["…"]]).values.values()) == {0}
    assert Rouge().evaluate(["was"], [["wa"]]).values["rouge1"] == 0  # short tokens keep their s
    assert Rouge().evaluate(["cats"], [["cat"]]).values["rouge1"] == 1
    with pytest.raises(UserError, match="example 0 has no reference"):
        Rouge().evaluate(["a"], [[]])


@pytest.mark.parametrize("stemmer", [True, False])
def test_equal_to_rouge_score(stemmer):
    rouge_scorer = pytest.importorskip("rouge_score.rouge_scorer")
    metric = Rouge(stemmer=stemmer)
    theirs = rouge_scorer.RougeScorer(list(metric.names), use_stemmer=stemmer)
    for seed in range(60):
        hypotheses, references = texts(seed)
        rows = metric.statistics(hypotheses, references)
        for row, hypothesis, some in zip(rows, hypotheses, references, strict=True):
            wanted = theirs.score_multi(some, hypothesis)
            assert list(row[:4]) == [wanted[name].fmeasure for name in metric.names], seed


def test_the_stemmer_equals_nltk():
    theirs = pytest.importorskip("nltk.stem.porter").PorterStemmer().stem
    more = "ies sses ss s ied eed ed ing y ll e logi ly".split()
    rules = [suffix for suffix, _ in (*porter.STEP_2, *porter.STEP_3)]
    suffixes = [*rules, *porter.STEP_4, *more, ""]
    stems = ("", "y", "yy", "tr", "hop", "fil", "fall", "conflat", "troubl", "sky", "s", "toy")
    words = {"".join(p) for p in itertools.product(stems, suffixes, ("", "s", "ed", "ing"))}
    words |= {*porter.IRREGULAR, "generalizations", "oscillators", "controlling", "2nds", "mp3s"}
    words |= {"possibli", "terribli", "conformabli", "trabli"}
    assert len(words) > 1000
    assert [word for word in sorted(words) if porter.stem(word) != theirs(word)] == []
