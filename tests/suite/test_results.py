"""Results of suites against numbers computed by hand; their table, Markdown, JSON and page."""

import dataclasses
import io
import json
import re

import pytest
from rich.console import Console

from fxformer.suite import page, table
from fxformer.suite.definition import load
from fxformer.suite.numbers import Number, SuiteScore
from fxformer.suite.results import SuiteResult, average, suite_result
from fxformer.suite.stored import (
    definition_of,
    stored_evaluations,
    stored_result,
    write_definition,
)
from tests.suite import runs
from tests.suite.runs import SUITE, example, run, score, stored, trial

T_1 = 12.7062  # 97.5 % quantile of Student's t with one degree of freedom


@pytest.fixture
def result(tmp_path) -> SuiteResult:
    return suite_result(SUITE, "tiny", example(tmp_path))


def test_scores_are_means_over_metrics_and_seeds_with_the_interval_of_t(result):
    one, two, three = result.tasks
    assert one.score.value == pytest.approx(85) and one.by_seed == {0: 80, 1: 90}
    half = T_1 * 7.0711 / 2**0.5  # standard deviation of 80 and 90, of two runs
    assert one.score.low == pytest.approx(85 - half, abs=0.01) and one.score.by == "seeds"
    assert two.by_seed == {0: pytest.approx(60), 1: pytest.approx(70)}
    assert three.state == "left out" and three.score is None and "encoder" in three.reason
    assert (one.examples, one.joules, one.seconds) == (50, 20, 60)
    assert result.joules == 40 and two.remarks == ("collapsed: class <b> only",)
    assert [n.name for n in one.numbers] == ["accuracy", "loss"]


def test_averages_say_what_they_are_over(result):
    whole, without = result.averages
    assert whole.estimate.value == pytest.approx((85 + 65) / 2) == without.estimate.value
    # of the averages of each seed, 70 and 80
    assert whole.estimate.high == pytest.approx(75 + T_1 * 7.0711 / 2**0.5, abs=0.01)
    assert whole.missing == ("three",) and without.missing == ()
    assert "average: over 2 of 3 tasks, without three" in " ".join(table.notes(result))
    assert result.published_score("BERT", "two") == 65
    assert result.published_average("BERT", []) is None
    assert result.published_average("BERT", ["three"]) == pytest.approx((80 + 65) / 2)


def test_the_averages_of_glue_are_those_of_its_authors():
    glue = load("glue")
    whole, without = (
        SuiteResult(glue, "m", "s", (), ()).published_average("BERT-base", left)
        for left in glue.averages.values()
    )
    rest = [56.53, 92.32, (88.85 + 84.07) / 2, (88.64 + 88.48) / 2, (87.49 + 90.71) / 2,
            (83.91 + 84.10) / 2, 90.66, 65.70]  # fmt: skip
    assert without == pytest.approx(sum(rest) / 8)
    assert whole == pytest.approx((sum(rest) + 56.34) / 9)


def test_one_seed_has_the_bootstrap_interval_of_its_run(tmp_path):
    suite = dataclasses.replace(SUITE, seeds=1).only(["one", "two"])
    suite = dataclasses.replace(suite, averages={"average": []})
    scores = {"accuracy": score(0.8, 0.7, 0.9), "f1": score(0.6, 0.5, 0.7)}
    trials = [
        trial(n, name, 0, run(tmp_path, f"r{n}", scores)) for n, name in enumerate(("one", "two"))
    ]
    one, two = suite_result(suite, "m", stored(tmp_path, trials, suite)).tasks
    assert one.score == SuiteScore(80, pytest.approx(70), pytest.approx(90), "examples")
    assert two.score.value == pytest.approx(70) and two.score.low is None  # a mean of two metrics
    assert two.numbers[0].estimate.by == "examples"


def test_seeds_that_are_still_to_come_do_not_bias_the_average(tmp_path):
    trials = example(tmp_path / "x").trials()
    study = stored(tmp_path / "y", [])
    for one in trials[:3]:
        study.path(one.slot).write_text(json.dumps(one.to_json()))
    (tmp_path / "x" / "r0").parent.rename(tmp_path / "moved")
    for name in ("r0", "r1", "r2"):
        (tmp_path / "moved" / name).rename(tmp_path / "y" / name)
    found = suite_result(SUITE, "m", study)
    assert [one.state for one in found.tasks] == ["complete", "partial", "waiting"]
    assert found.averages[0].estimate == SuiteScore(pytest.approx((85 + 60) / 2), seeds=0)


def test_numbers_of_the_test_split_come_from_the_evaluation_after_training(tmp_path):
    task = dataclasses.replace(SUITE.tasks["one"], metrics=["accuracy", "test/accuracy"], also=[])
    suite = dataclasses.replace(SUITE, tasks={"one": task}, averages={"a": []}, published={})
    trials = [
        trial(n, "one", n, run(tmp_path, f"r{n}", {"accuracy": score(0.8)})) for n in range(2)
    ]
    study = stored(tmp_path, trials, suite)
    assert suite_result(suite, "m", study).tasks[0].remarks == (
        "no score: test/accuracy is not evaluated",
    )
    (study.folder / "evaluations").mkdir()
    for n in range(2):
        facts = {"scores": {"accuracy": score(0.6)}, "joules": 5.0, "seconds": 1.0}
        file = study.folder / "evaluations" / f"{n:05d}.test.json"
        file.write_text(json.dumps(facts))
    (one,) = suite_result(suite, "m", study, stored_evaluations(study)).tasks
    assert one.score.value == pytest.approx(70) and one.joules == 30


@pytest.mark.parametrize(
    "low,high,best,up,verdict",
    [
        (0.85, 0.95, 0.9, True, "reached"),
        (0.7, 0.8, 0.9, True, "missed"),
        (0.95, 0.99, 0.9, True, "better than possible"),
        (0.6, 0.7, 0.5, False, "missed"),
        (0.3, 0.4, 0.5, False, "better than possible"),
        (None, None, 0.5, False, None),
        (0.3, 0.4, None, False, None),
    ],
)
def test_a_number_stands_to_the_best_possible_one(low, high, best, up, verdict):
    assert Number("n", SuiteScore(0.0, low, high), "", up, best, True).verdict == verdict


def test_runs_of_two_signatures_do_not_share_a_number(tmp_path):
    trials = [
        trial(n, "one", n, run(tmp_path, f"r{n}", {"accuracy": score(0.8, signature=f"v:{n}")}))
        for n in range(2)
    ]
    with pytest.raises(ValueError, match="signatures"):
        suite_result(SUITE, "m", stored(tmp_path, trials))


def test_an_average_of_no_task_is_none():
    assert average("a", [], []).estimate is None


def test_the_table_shows_everything(result):
    out = io.StringIO()
    table.show(result, Console(file=out, width=150))
    text = out.getvalue()
    for words in ("85.0 [", "90.0 (reached)", "0.5000 [", "80.0", "left out", "of 2 tasks", "m|v:1",
                  "three: left out: an encoder", "BERT: a page", "over seeds"):  # fmt: skip
        assert words in text, words


def test_markdown_is_one_table_with_notes(result):
    text = table.markdown(result)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    columns = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
    assert len(columns) == 1 and "**average**" in text
    assert "- three: left out: an encoder \\| cannot" in text


def test_json_holds_what_the_table_is_made_of(result):
    told = json.loads(json.dumps(result.to_json()))
    assert told["tasks"][0]["numbers"][0]["verdict"] == "reached"
    assert told["published"]["BERT"]["averages"] == {"average": None, "without three": 72.5}
    assert told["definition"] == SUITE.to_json() and told["joules"] == 40


def test_the_page_is_one_file_without_scripts_or_requests(result):
    text = page.html(result, "fxformer evaluate x suite=<ours>")
    assert "default-src 'none'" in text and "<script" not in text
    assert not re.search(r"(src|href)=", text) and "http" not in text.replace("http-equiv", "")
    assert "collapsed: class &lt;b&gt; only" in text and "suite=&lt;ours&gt;" in text
    assert text.count('class="bar"') == 2 and text.count("<td>") % len(table.header(result)) == 0
    assert text.count('class="best"') == 1  # of the task whose best score is known


def test_a_study_knows_that_it_is_a_suite(tmp_path):
    study = example(tmp_path)
    assert definition_of(study) is None and stored_result(study) is None
    write_definition(study.folder, SUITE, "tiny")
    assert definition_of(study) == (SUITE, "tiny")
    assert stored_result(study).averages[0].estimate.value == pytest.approx(75)
    (study.folder / "suite.json").write_text('{"name": "x"}')
    assert definition_of(study) is None


def test_a_suite_without_any_run_has_a_page_too(tmp_path):
    found = suite_result(SUITE, "m", stored(tmp_path, []))
    assert "waiting" in page.html(found) and runs.SUITE is SUITE
    assert found.averages[0].missing == ("one", "two", "three")
