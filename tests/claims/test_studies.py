"""Studies of experiments/: they load, are refused with the key, and come to a verdict."""

import importlib
import json
import math
from pathlib import Path

import pytest
import yaml

from fxformer.claims import analysis, page, record
from fxformer.claims.analysis import Measurements
from fxformer.claims.cells import MeasuredCells, cells
from fxformer.claims.figure import TITLES, claim_figure
from fxformer.claims.record import read_expected, recorded_studies
from fxformer.claims.study import ClaimStudy, load_study, study_files
from fxformer.claims.verdict import ClaimResult
from fxformer.cli.main import main
from fxformer.config import folders
from fxformer.errors import UserError
from fxformer.figures.drawing import TextShape

NAMES = list(study_files())
SLOW = (  # base sizes are traced, two models compiled
    "distilbert_parameters",
    "albert_parameters",
    "bertshare_parameters",
    "electra_positions",
)
EXACT = (
    "span_targets",
    *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW),
)  # no training


def plain(name="span_targets"):
    return yaml.safe_load(study_files()[name].read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_a_study_loads_and_its_record_is_of_it(name):
    study, recorded = load_study(name), read_expected(name).recorded
    assert study.search_words([], "runs")[1].startswith(f"{name}-")
    if recorded is not None:
        assert recorded.is_current(name), "run `fxformer reproduce NAME --record` again"
        assert recorded.result(study).verdict == recorded.verdict


@pytest.mark.parametrize(
    "change, said",
    [
        ({"cliam": "x"}, "did you mean 'claim'"),
        ({"controls": {}}, "controls: expected one at least"),
        ({"arms": {"spans_of_3": []}}, "there is no arm 'spans_of_10'"),
        ({"levels": {"model.layers": [1, 2]}}, "at=None"),
        ({"measures": {"source": {"_target_": "fxformer.claims.untrained.NoSuch"}}}, "NoSuch"),
        ({"measures": {"source": {"_target_": "fxformer.claims.counts.ExactNumber"}}}, "needs it"),
    ],
)
def test_a_faulty_study_is_refused_with_its_key(change, said):
    with pytest.raises(UserError, match=said) as refused:
        ClaimStudy.from_plain("span_targets", plain() | change)
    assert "experiments/span_targets/study.yaml" in str(refused.value)


def test_an_unknown_claim_is_refused_with_the_nearest(capsys):
    assert main(["reproduce", "span_target"]) == 2
    assert "did you mean 'span_targets'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, said",
    [
        (["span_targets", "--record", "--quick"], "leave --quick out"),
        (["span_targets", "--record", "data.length=9"], "leave data.length=9 out"),
        (["--quick"], "name the claim"),
        (["span_targets", "--all"], "leave span_targets out"),
        (["span_targets", "--figure", "a.png"], "must end in .svg or .pdf"),
    ],
)
def test_options_that_do_not_go_together_are_refused(words, said, capsys):
    assert main(["reproduce", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", EXACT)
def test_an_exact_claim_is_reproduced_and_continued(name, tmp_path, capsys):
    words = ["reproduce", name, "--quick", f"runs={tmp_path}", "--json", str(tmp_path / "r.json")]
    assert main(words) == 0
    assert "reproduced" in capsys.readouterr().out
    first = json.loads((tmp_path / "r.json").read_text())
    assert {one["decision"] for one in first["controls"].values()} == {"fails"}
    assert main(words) == 0
    assert "seed=0:" not in capsys.readouterr().out, "what is measured is not measured again"
    assert json.loads((tmp_path / "r.json").read_text())["findings"] == first["findings"]


@pytest.mark.slow
def test_a_study_that_trains_is_continued_and_tells_a_failure(tmp_path, capsys):
    """Two steps do not learn to reverse: both arms are low, so the claim is not reproduced."""
    words = ["reproduce", "reverse", "--quick", "search/launcher=inline", "trainer.steps=2",
             f"runs={tmp_path}"]  # fmt: skip
    assert main(words) == 5
    assert "not reproduced (quick variant)" in capsys.readouterr().out
    runs = sorted(one.name for one in tmp_path.glob("2*"))
    assert len(runs) == 4 and (next((tmp_path / ".searches").iterdir()) / "figure.pdf").is_file()
    assert main(words) == 5
    assert sorted(one.name for one in tmp_path.glob("2*")) == runs


@pytest.mark.parametrize(
    "word, said",
    [
        ("seed=5", "seed: the study reverse has its own"),
        ("optimizer.lr=1e-3,1e-4", "optimizer.lr: the study"),
        ("search=random", "search: the study"),
    ],
)
def test_overrides_that_change_which_runs_there_are_are_refused(word, said):
    """They would be taken for the runs of other arms and seeds."""
    with pytest.raises(UserError, match=said):
        load_study("reverse").search_words([word], "runs")
    words = load_study("reverse").search_words(["search.workers=2", "trainer.steps=9"], "runs")[0]
    assert "trainer.steps=9" in words and "seed=choice(0,1,2)" in words


def test_an_analysis_without_some_of_its_numbers_is_undecided():
    """A diverged run has none: those that are left are no random sample."""
    study = load_study("reverse")
    (name, one), *_ = study.analyses.items()
    whole = {m: dict.fromkeys(cells(study), 1.0) for m in study.measures}
    edge = one.above if one.above is not None else one.below
    for number, cell in enumerate(whole[one.measure]):
        whole[one.measure][cell] = edge + 1e-3 * number if cell[0] in one.arms else 0.0
    known = {"joules": 0.0, "seconds": 0.0, "unfinished": {}}
    assert ClaimResult.of(study, Measurements(whole), **known).missing == {}
    for lost in (None, math.nan):
        cell = one.arms[0], one.at, 1
        some = {n: dict(own) for n, own in whole.items()}
        some[one.measure][cell] = lost
        if lost is None:
            del some[one.measure][cell]
        found = ClaimResult.of(study, Measurements(some), **known)
        assert found.findings[name].decision == "undecided" and found.missing[name] == 1
        assert found.verdict == "inconclusive"
        assert f"{name}: 1 of its numbers are missing or not finite; expected" in found.reasons[0]


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"numbers": [1]}', '{"numbers": {"x": "1"}, "joules": 1, "seconds": 1}',
             '{"numbers": {}, "joules": "nan", "seconds": 1}', "{"]
)  # fmt: skip
def test_a_foreign_file_of_measured_numbers_counts_as_none(tmp_path, text):
    store = MeasuredCells(load_study("span_targets"), tmp_path)
    (tmp_path / "00000.json").write_text(text)
    assert store.missing(0) == store.study.measures and store.joules == 0 == store.seconds


def test_a_number_of_another_version_is_measured_anew(tmp_path, monkeypatch):
    store = MeasuredCells(load_study("span_targets"), tmp_path)
    store.add(0, lambda measure: 1.0, None)
    assert not store.missing(0) and store.missing(1)
    monkeypatch.setattr("fxformer.claims.cells._versions", lambda: {"jax": "0.0"})
    assert store.missing(0) == store.study.measures


def test_a_record_that_was_changed_by_hand_is_refused_with_its_key(tmp_path, monkeypatch):
    known = yaml.safe_load(record._file("span_targets").read_text(encoding="utf-8"))
    monkeypatch.setattr(record, "_file", lambda name: tmp_path / "expected.yaml")
    (key, finding), *_ = known["recorded"]["findings"].items()
    for change, said in (
        ({"verdict": "true"}, "verdict: expected one of reproduced"),
        ({"findings": {key: finding | {"n": 3, "low": "x"}}}, f"findings.{key}"),
    ):
        changed = known | {"recorded": known["recorded"] | change}
        (tmp_path / "expected.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
        with pytest.raises(UserError, match="experiments/span_targets/expected.yaml") as refused:
            read_expected("span_targets")
        assert said in str(refused.value)


def result(findings, controls):
    """A result of decisions alone."""
    study = load_study("span_targets")

    class Decided:
        def __init__(self, decision):
            self.decision = decision

    both = ({str(n): Decided(one) for n, one in enumerate(own)} for own in (findings, controls))
    return ClaimResult(study, *both, 0.0, 0.0, {})


@pytest.mark.parametrize(
    "findings, controls, verdict, code",
    [
        (["holds", "holds"], ["fails"], "reproduced", 0),
        (["holds"], ["holds"], "not reproduced", 5),
        (["holds", "fails"], ["fails"], "not reproduced", 5),
        (["holds"], ["undecided"], "inconclusive", 6),
        (["undecided"], ["fails"], "inconclusive", 6),
    ],
)
def test_a_claim_is_reproduced_only_where_its_controls_fail(findings, controls, verdict, code):
    found = result(findings, controls)
    assert (found.verdict, found.code) == (verdict, code)


@pytest.mark.parametrize(
    "name, said",
    [
        ("reverse", "bars: 95% intervals over seeds;"),
        ("gated_feed_forward", "bars: 90% and 95% intervals over seeds;"),
        ("span_targets", "bars: smallest to largest of exact numbers;"),
    ],
)
def test_the_legend_of_a_figure_says_what_its_bars_are(name, said):
    study = load_study(name)
    found = ClaimResult.of(study, Measurements({}), joules=0.0, seconds=0.0, unfinished={})
    words = " ".join(one.text for one in claim_figure(found).shapes if isinstance(one, TextShape))
    assert said in words


def test_each_kind_of_analysis_has_a_title_in_figures():
    def below(kind):
        return {kind}.union(*map(below, kind.__subclasses__()))

    for file in Path(analysis.__file__).parent.glob("*.py"):
        importlib.import_module(f"fxformer.claims.{file.stem}")
    own = {
        one.__name__ for one in below(analysis.Analysis) if one.__module__.startswith("fxformer")
    }
    assert own - {"Analysis"} == set(TITLES)


def test_the_page_has_a_figure_for_each_recorded_claim():
    studies = {name: load_study(name) for name in NAMES}
    records = recorded_studies()
    body = page.html(studies, records)
    assert body.count("<svg") == sum(one is not None for one in records.values()) > 0
    for name, one in records.items():
        assert one is None or study_files()[name].with_name("figure.svg").is_file(), name


@pytest.mark.slow
@pytest.mark.claims
def test_the_document_is_of_the_records():
    document = folders.experiments_folder().parent / "docs" / "claims.md"
    studies = {name: load_study(name) for name in NAMES}
    assert document.read_text(encoding="utf-8") == page.markdown(studies, recorded_studies()), (
        "run `fxformer reproduce --all`"
    )


@pytest.mark.slow
@pytest.mark.claims
@pytest.mark.parametrize("name", NAMES)
def test_a_whole_study_comes_to_its_recorded_verdict(name, tmp_path):
    recorded = read_expected(name).recorded
    if recorded is None:
        pytest.skip("no whole run is recorded")
    written = tmp_path / "r.json"
    main(["reproduce", name, f"runs={tmp_path}", "--json", str(written)])
    assert json.loads(written.read_text())["verdict"] == recorded.verdict
