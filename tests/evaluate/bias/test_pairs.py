"""CrowS-Pairs and WinoBias: scores by hand, categories, variants, the language-model score."""

import numpy as np
import pytest

from fxformer.errors import UserError
from fxformer.evaluate.bias.crows_pairs import CrowsPairs
from fxformer.evaluate.bias.examples import BiasExample
from fxformer.evaluate.bias.pairs import PairMetric, _wins
from fxformer.evaluate.bias.report import report
from fxformer.evaluate.bias.requests import SentenceScorer
from fxformer.evaluate.bias.sentences import (
    Sentence,
    SentenceTokenizer,
    differing,
    exchanged,
    widened,
)
from fxformer.evaluate.bias.winobias import WinoBias
from fxformer.inference.scoring import TokenScores


def scores_of(model, texts, tokens):
    """Sums of log p of both sentences of a pair."""
    pair = SentenceTokenizer(model).pair(texts)
    scorer = SentenceScorer(model)
    pairs = zip(scorer.score(pair), pair, strict=True)
    return [scorer.chosen(found, one, tokens).sum() for found, one in pairs]


PAIR = ("the red cat sat", "the old small cat sat")


def test_what_two_sentences_share_are_equal_blocks():
    first, second = differing(np.array([1, 2, 3, 4]), np.array([1, 9, 8, 3, 5, 4]))
    assert first == ((1, 2), (3, 3)) and second == ((1, 3), (4, 5))


def test_a_span_that_is_empty_in_one_sentence_takes_a_shared_token_in_both():
    special = np.zeros(10, bool)
    special[9] = True
    rows = np.array([3, 4, 5, 9]), np.array([3, 7, 4, 5, 9])  # 4 and 7 + 4
    pair = [Sentence(*one) for one in zip(rows, differing(*rows), strict=True)]
    assert [one.spans for one in widened(pair, special)] == [((1, 2),), ((1, 3),)]
    rows = np.array([3, 4, 9]), np.array([3, 4, 7, 9])  # the next one is special
    pair = [Sentence(*one) for one in zip(rows, differing(*rows), strict=True)]
    assert [one.spans for one in widened(pair, special)] == [((1, 2),), ((1, 3),)]
    rows = np.array([3, 4, 9]), np.array([3, 5, 9])
    pair = [Sentence(*one) for one in zip(rows, differing(*rows), strict=True)]
    assert widened(pair, special) == pair


def test_an_encoder_scores_shared_tokens_each_masked_alone(model_of):
    model = model_of("bert")
    each = [model.token_scores(text)[0].log_probs for text in PAIR]
    shared = [[0, 2, 3], [0, 3, 4]]  # the, cat, sat
    wanted = [row[places].sum() for row, places in zip(each, shared, strict=True)]
    assert scores_of(model, PAIR, "unmodified") == pytest.approx(wanted, abs=1e-4)
    assert scores_of(model, PAIR, "all") == pytest.approx(model.score(list(PAIR)), abs=1e-4)
    assert scores_of(model, PAIR, "modified")[0] == pytest.approx(each[0][1], abs=1e-4)


def test_a_decoder_scores_every_token(model_of):
    model = model_of("gpt")
    assert scores_of(model, PAIR, "all") == pytest.approx(model.score(list(PAIR)), abs=1e-4)
    each = model.token_scores(PAIR[0])[0].log_probs
    assert scores_of(model, PAIR, "unmodified")[0] == pytest.approx(each[[0, 2, 3]].sum(), abs=1e-4)


def test_an_encoder_decoder_scores_the_sentence_given_its_gap(model_of):
    model = model_of("bart")
    found = [model.token_scores("the <mask> cat sat", text)[0] for text in PAIR]
    wanted = [one.log_probs[~model.vocabulary.special[one.tokens]].sum() for one in found]
    assert scores_of(model, PAIR, "all") == pytest.approx(wanted, abs=1e-4)


def test_an_encoder_decoder_with_sentinels_scores_the_words_of_the_gap(model_of):
    model = model_of("t5")
    one, two = model.vocabulary.sentinels[:2]
    (source,) = model.encode("the <extra_id_0> cat sat")
    for text, words, made in zip(
        PAIR, ("red", "old small"), scores_of(model, PAIR, "all"), strict=True
    ):
        target = np.array([one, *model.tokenizer.encode(words), two], np.int32)
        each = model.token_scores(source, target)[0].log_probs
        assert made == pytest.approx(each[1:].sum(), abs=1e-4), text


def test_the_swapped_scores_of_antistereo_pairs_are_counted_the_other_way(sets, model_of):
    """Result files of the published code before its correction (nyu-mll/crows-pairs issue 6)."""
    model = model_of("bert")
    right, wrong = CrowsPairs(root=str(sets)), CrowsPairs(root=str(sets), variant="swapped_scores")
    examples = right.read()
    one, two = (audit.measure(model, examples) for audit in (right, wrong))
    against = np.array(["antistereo" in example.categories for example in examples])
    assert against.sum() == 4
    np.testing.assert_allclose(two.log_odds, np.where(against, -one.log_odds, one.log_odds))
    share = PairMetric().aggregate(two.statistics)["preferred"]
    won = (one.log_odds > 0)[~against].sum() + (one.log_odds < 0)[against].sum()
    assert share == pytest.approx(100 * won / 12)


def test_a_model_that_ignores_the_order_has_a_language_model_score_of_half():
    metric = PairMetric()
    scores = np.array([[-3.0, -4.0], [-2.0, -1.0]])
    same = [TokenScores(np.zeros(1, np.int32), np.array([x])) for x in scores.ravel()]
    worse = [TokenScores(one.tokens, one.log_probs - 1) for one in same]
    wins = _wins(same, same)
    assert metric.aggregate(metric.statistics(scores, wins))["lm"] == 50
    made = metric.aggregate(metric.statistics(scores, _wins(same, worse)))
    assert made == {"preferred": 50, "log_odds": 0, "lm": 100}


def test_two_neighbouring_shared_ordinary_tokens_are_exchanged():
    special = np.zeros(20, bool)
    special[[1, 2]] = True
    ids, source = np.array([1, 5, 6, 7, 8, 9, 9, 10, 2]), np.array([5, 6, 7, 9, 9, 10, 2])
    sentence = Sentence(ids, ((3, 5),), source, ((2, 3),))
    found = set()
    for seed in range(20):
        made = exchanged(sentence, special, seed)
        assert made.spans == sentence.spans and made.source_spans == sentence.source_spans
        places = np.flatnonzero(made.ids != ids)
        shift = 1 if places[0] < 3 else 2
        assert np.flatnonzero(made.source != source).tolist() == (places - shift).tolist()
        found.add(tuple(places))
    assert found == {(1, 2), (6, 7)}
    alone = Sentence(ids[:2], ())
    assert exchanged(alone, special, 0).ids.tolist() == [1, 5]


def test_pairs_without_a_token_to_score_or_too_long_are_left_out(model_of):
    audit, model = CrowsPairs(tokens="modified"), model_of("bert")
    pairs = [PAIR, ("the cat", "the cat"), ("cat " * 999, "dog"), ("the cat", "the old cat")]
    examples = [BiasExample(str(n), ("age",), texts) for n, texts in enumerate(pairs)]
    made = report(audit, examples, [audit.measure(model, examples)])
    assert [one.id for one in made.examples] == ["0", "3"] and made.left_out == 2
    assert made.models[0].log_odds.tolist() == made.models[0].statistics[:, 2].tolist()
    assert made.remarks[-1].startswith("2 examples are left out")
    with pytest.raises(UserError, match="no example that every model can score"):
        report(audit, examples, [audit.measure(model, examples[1:2])])


def test_winobias_pairs_are_the_lines_of_the_same_number(sets):
    examples = WinoBias(root=str(sets), split="dev").read()
    assert [one.id for one in examples[:2]] == ["type1.dev.1", "type1.dev.2"]
    assert [one.categories[1] for one in examples[:2]] == ["masculine", "feminine"]
    assert len(examples) == 12 and len(WinoBias(root=str(sets)).read()) == 24
    assert not any("[" in text for one in examples for text in one.texts)


def test_real_files_are_read_whole(real_data):
    root = str(real_data / "bias")
    assert len(CrowsPairs(root=root).read()) == 1508
    examples = WinoBias(root=root).read()
    assert len(examples) == 1584
    assert sum("masculine" in one.categories for one in examples) == 792
