"""StereoSet: the published numbers from the published scores; scores as the authors' code."""

import re

import numpy as np
import pytest

import fxformer
from fxformer.evaluate.bias.report import report
from fxformer.evaluate.bias.sentences import Sentence
from fxformer.evaluate.bias.stereoset import StereoSet
from fxformer.evaluate.bias.stereoset_metric import StereoSetMetric
from fxformer.evaluate.bias.stereoset_scores import Filled, StereoSetScorer
from tests.inspect.untrained_run import KINDS, SMALL, save_untrained_run, text

MODELS = {
    "bert-base-cased": "bert-base-cased_BertNextSentence_BertLM",
    "gpt2": "gpt2_ModelNSP_GPT2LM",
}


def published(results: str, model: str) -> dict[str, dict[str, float]]:
    """{type: {number: value}} of the intrasentence part of the authors' results."""
    part = results.partition(f"predictions_{MODELS[model]}.json")[2].partition("intersentence")[0]
    found = re.findall(
        r"\t(\w+)\n\t\tCount: (.*)\n\t\tLM Score: (.*)\n\t\tSS Score: (.*)\n\t\tICAT Score: (.*)\n",
        part,
    )
    names = ("count", "lm", "preferred", "icat")
    return {row[0]: dict(zip(names, map(float, row[1:]), strict=True)) for row in found}


@pytest.mark.parametrize("model", MODELS)
def test_published_scores_give_the_published_numbers_to_the_last_digit(real_data, model):
    folder = real_data / "bias" / "stereoset"
    audit = StereoSet(files=[str(folder / "intrasentence_dev_subset.json")])
    examples = audit.read()
    measured = audit.scored_file(str(folder / f"predictions_{model}.json"), examples)
    wanted = published((folder / "published_results.txt").read_text(), model)
    metric = audit.metric(examples)
    for kind in ("gender", "race", "religion"):  # profession is not in the subset
        rows = [n for n, one in enumerate(examples) if kind in one.categories]
        assert 3 * len(rows) == wanted[kind]["count"]  # the authors count each example three times
        made = metric.aggregate(measured.statistics[rows])
        assert {name: made[name] for name in ("lm", "preferred", "icat")} == {
            name: wanted[kind][name] for name in ("lm", "preferred", "icat")
        }
    assert len(report(audit, examples, [measured]).scores[0]) == 4


def test_the_numbers_are_means_over_terms_and_weights_are_repetitions():
    scores = np.array([[3.0, 2, 1], [3, 2, 1], [1, 2, 3], [2, 2, 1]])
    metric = StereoSetMetric(terms=3)
    statistics = metric.statistics(scores, np.array([[0, 1.0], [0, 1.0], [0, -1.0], [2, 0.0]]))
    made = metric.aggregate(statistics)
    assert made["preferred"] == pytest.approx((100 * 2 / 3 + 0) / 2)  # equal counts as anti
    assert made["lm"] == pytest.approx((100 * 4 / 6 + 100) / 2)
    assert made["icat"] == pytest.approx(made["lm"] * made["preferred"] / 50)
    assert made["log_odds"] == 0.25
    weights = np.array([[2, 0, 1, 0], [0, 1, 1, 3]])
    many = metric.aggregate_many(statistics, weights)
    for row, one in enumerate(weights):
        repeated = metric.aggregate(np.repeat(statistics, one, axis=0))
        for name, value in repeated.items():
            assert many[name][row] == pytest.approx(value)


def probability(model, ids, place):
    """p(ids[place] | the others) of an encoder."""
    masked = np.array(ids, np.int32)
    masked[place] = model.vocabulary.mask
    logits = model.logits(masked)[0][place].astype(np.float64)
    return np.exp(logits[ids[place]] - np.logaddexp.reduce(logits))


def test_an_encoder_is_scored_by_the_word_in_the_gap(sets, model_of):
    audit, model = StereoSet(root=str(sets)), model_of("bert")
    examples = audit.read()
    made = audit.measure(model, examples)
    ids = [model.encode(text)[0] for text in examples[3].texts]
    (place,) = np.flatnonzero(ids[0] != ids[1])
    pro, anti, unrelated = (probability(model, row, place) for row in ids)
    assert made.log_odds[3] == pytest.approx(np.log(pro / anti), abs=1e-4)
    wanted = [0, pro > anti, int(pro > unrelated) + int(anti > unrelated)]  # example 3 has term 0
    assert made.statistics[3, :3].tolist() == wanted


def test_a_decoder_is_scored_by_the_whole_sentence(sets, model_of):
    audit, model = StereoSet(root=str(sets)), model_of("gpt")
    examples = audit.read()
    made = audit.measure(model, examples)
    scores = [model.token_scores(text)[0].log_probs for text in examples[3].texts]
    pro, anti, unrelated = (one.mean() for one in scores)
    assert made.log_odds[3] == pytest.approx(scores[0].sum() - scores[1].sum(), abs=1e-4)
    assert made.statistics[3, 1:3].tolist() == [
        pro > anti,
        int(pro > unrelated) + int(anti > unrelated),
    ]


def test_a_start_token_outside_the_template_is_before_the_first_token_only(model_of):
    scorer = StereoSetScorer(model_of("gpt"), "authors", False)
    scorer.scorer.start = np.array([1], np.int32)
    first, rest = scorer._rows(Sentence(np.array([5, 6, 7], np.int32), ()))
    assert (first.tokens.tolist(), first.targets.tolist()) == ([1], [5])
    assert (rest.tokens.tolist(), rest.targets.tolist()) == ([5, 6], [6, 7])


def test_the_variant_without_a_space_scores_the_tokens_of_the_word_alone(tmp_path):
    """As the published code did with RoBERTa (McGill-NLP/bias-bench issue 5)."""
    corpus = text(tmp_path)
    run = save_untrained_run(
        tmp_path / "runs", "roberta", *KINDS["bert"], *SMALL, "data=text", f"data.files={corpus}",
        f"data.cache_dir={tmp_path / 'cache'}", "tokenizer=bytebpe", "tokenizer.vocab_size=320",
        steps=(10,),
    )  # fmt: skip
    model = fxformer.load(run.folder)
    filled = Filled("the cat was ", "small", ".")
    right, wrong = (StereoSetScorer(model, "authors", no_space) for no_space in (False, True))
    left, tail = (model.tokenizer.encode(part) for part in ("the cat was", "."))
    for scorer, word in ((right, " small"), (wrong, "small")):
        (kept, scores, _) = scorer.scores([([filled.text] * 3, [filled] * 3)])
        ids = model.tokenizer.encode(word)
        each = []
        for n in range(len(ids)):
            row = np.concatenate(
                [model.tokenizer.prefix, left, ids[: n + 1], tail, model.tokenizer.suffix]
            )
            each.append(probability(model, row, len(model.tokenizer.prefix) + len(left) + n))
        assert kept == [0] and scores[0] == pytest.approx(np.mean(each), rel=1e-4)
    assert model.tokenizer.encode("small").tolist() != model.tokenizer.encode(" small").tolist()
