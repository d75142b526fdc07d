"""`fxformer train -m`: what a command becomes, what is refused before it runs, real trials."""

import json
import signal
import sys
import time
from pathlib import Path

import pytest

E2E = Path(__file__).resolve().parents[1] / "e2e"
sys.path.insert(0, str(E2E)) if str(E2E) not in sys.path else None
from shell import DECODER, called, facts, lines, start  # noqa: E402

from fxformer.search.study import Study, studies  # noqa: E402

RUN = (*DECODER, "trainer.steps=8", "trainer.eval_every=2", "trainer.save_every=2")
RATES = ("search.trials=2", "optimizer.lr=tag(log,interval(1e-3,1e-1))")
SEARCH = (*RATES, "model.layers=1,2")


def fxformer(*argv: str, folder: Path) -> tuple[int, str, str]:
    """The command, run to its end."""
    process = start(*argv, folder=folder)
    try:
        code = process.wait(500)
    finally:
        process.kill()
    return code, (folder / "out.txt").read_text(), (folder / "err.txt").read_text()


def only(folder: Path) -> Study:
    (study,) = studies(folder / "runs")
    return study


@pytest.mark.parametrize(
    "words,said",
    [
        (("model.layers=interval(1,3)",), "model.layers: expected int"),
        (("optimizer.lr=interval(-1,1)",), "optimizer.lr: must lie in"),
        (("model=gpt2,bert",), "objective: CausalLM trains"),
        (("seed=1,2", "search.trails=3"), "search.trails: there is no such key"),
        (("search.seed=1,2",), "options of the search cannot be searched"),
        (("seed=1,2", "search=asha", "search.objectives=[loss,kwh]"), "write search/pruner=none"),
        (("seed=1,2", "search/pruner=halving_joules"), "search.pruner.min_resource: must be given"),
        (("model.dim=16,17",), "model.dim=17: a width of 17 does not split into 2 heads"),
        (("model.heads=int(interval(1,8))", "search.trials=4"), "search.skip_illegal=true skips"),
        (("seed=1,2", "search.objectives=[foo]"), "search.objectives=foo is not evaluated"),
        (("search.trials=3",), "the search space is empty"),
        (("seed=shuffle(1,2)",), "write choice(…), and search=random"),
        (("seed=1,2", "hydra.sweep.dir=x"), "hydra.sweep.dir=x: has no effect"),
        (("seed=1,2", "hydra/launcher=joblib"), "search/launcher= says where trials run"),
        (("seed=1,2", "hydra.job.chdir=true"), "hydra.job.chdir=true: has no effect"),
        (
            ("seed=1,2", "search.objectives=[loss]", "search.maximize=[foo]"),
            "foo is not in search.objectives",
        ),
    ],
)
@pytest.mark.sample(3)
def test_what_cannot_be_searched_is_refused_before_anything_runs(words, said, tmp_path, capsys):
    from fxformer.cli import app

    model = any(word.startswith("model=") for word in words)
    small = [word for word in DECODER if not (model and word.startswith("model="))]
    assert app.train(["-m", *small, *words, f"runs={tmp_path}"]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.rglob("trials/*"))


def test_a_setting_of_a_search_is_refused_where_nothing_is_searched(capsys):
    from fxformer.cli import app

    assert app.train([*DECODER, "search.trials=3"]) == 2
    assert "search.trials=3: nothing is searched without -m" in capsys.readouterr().err


def test_combinations_that_cannot_be_are_left_out_where_asked(tmp_path, monkeypatch, capsys):
    """By the rules of combinations, and by shapes; each is told once and stays in the study."""
    from fxformer.cli import app

    ran = []
    small = [word for word in DECODER if not word.startswith(("model=", "objective="))]
    pairs = ["model=bert,gpt2", "objective=mlm,clm", "search.skip_illegal=true"]
    assert app.train(["-m", *small, *pairs, f"runs={tmp_path}"], ran.append) == 0
    kinds = [cfg.objective._target_.rpartition(".")[2] for cfg in ran]
    assert kinds == ["MaskedLM", "CausalLM"]
    assert "2 of 4 trials cannot run and are skipped" in capsys.readouterr().err
    ran.clear()
    monkeypatch.setattr(app, "_training", ran.append)
    words = ["model.heads=2,3", "search.skip_illegal=true", "search/launcher=inline"]
    app.train(["-m", *DECODER, *words, f"runs={tmp_path}"])
    assert [cfg.model.heads for cfg in ran] == [2]
    (study,) = studies(tmp_path)
    skipped = study.trial(1)
    assert skipped.state == "skipped" and "16 does not split into 3 heads" in skipped.reason
    assert skipped.kwh == 0 and skipped.attempts == 0
    assert "1 skipped" in capsys.readouterr().out


def test_a_search_trains_shares_its_cache_and_again_does_nothing(tmp_path):
    code, out, err = called("train", "-m", *RUN, *RATES, folder=tmp_path)
    assert code == 0, err + out
    study, trials = only(tmp_path), only(tmp_path).trials()
    assert [one.state for one in trials] == ["complete", "complete"]
    assert "2 trials: 2 complete; best loss" in out
    for one in trials:
        run = tmp_path / "runs" / one.run
        assert facts(run)["sweep"] == study.name and facts(run)["slot"] == one.slot
        valid = [line for line in lines(run) if line["split"] == "valid"]
        assert [(r[0], r[1]) for r in one.reports] == [(v["step"], v["loss"]) for v in valid]
        assert one.value == min(line["loss"] for line in valid) and one.kwh > 0
        config = (run / "config.yaml").read_text()
        assert "search:" not in config and f"lr: {one.params['optimizer.lr']}" in config
    assert study.command[:2] == ("train", "-m") and study.objectives == ("loss",)
    code, out, _ = called("train", "-m", *RUN, *RATES, folder=tmp_path)
    assert code == 0 and len(list(tmp_path.glob("runs/2*"))) == 2
    other = ("search.seed=1", f"search.name={study.name}")
    code, out, err = called("train", "-m", *RUN, *RATES, *other, folder=tmp_path)
    assert code == 2 and "search.seed: the study has 0, given 1" in err


@pytest.mark.slow
def test_an_interrupted_search_ends_as_one_that_was_not(tmp_path):
    """Bit for bit: parameters, reports and values, after SIGINT and after SIGKILL."""
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    calm.mkdir(), wild.mkdir()
    longer = (*RUN, "trainer.steps=120", *SEARCH)
    assert fxformer("train", "-m", *longer, folder=calm)[0] == 0
    for number in (signal.SIGINT, signal.SIGKILL):
        process = start("train", "-m", *longer, folder=wild)
        end = time.monotonic() + 100
        before = sum(len(one.reports) for study in studies(wild / "runs") for one in study.trials())
        while process.poll() is None and time.monotonic() < end:
            there = [one for study in studies(wild / "runs") for one in study.trials()]
            if sum(len(one.reports) for one in there) > before + 5:
                break
            time.sleep(0.02)
        process.send_signal(number)
        code = process.wait(100)
        assert code == (75 if number == signal.SIGINT else -9)
    assert fxformer("train", "-m", *longer, folder=wild)[0] == 0
    for one, other in zip(only(calm).trials(), only(wild).trials(), strict=True):
        assert (one.params, one.values) == (other.params, other.values)
        assert [r[:2] for r in one.reports] == [r[:2] for r in other.reports]
    assert any(one.attempts > 1 for one in only(wild).trials())


@pytest.mark.slow
def test_halving_prunes_real_training_in_one_process(tmp_path):
    words = ("search=asha", "search/launcher=inline", "search.trials=6", "trainer.eval_every=2",
             "optimizer.lr=tag(log,interval(1e-5,1e-1))")  # fmt: skip
    code, out, err = fxformer("train", "-m", *RUN, *words, folder=tmp_path)
    assert code == 0, err
    trials = only(tmp_path).trials()
    pruned = [one for one in trials if one.state == "pruned"]
    assert pruned and all("best 1/3" in one.reason for one in pruned)
    for one in pruned:
        run = facts(tmp_path / "runs" / one.run)
        assert run["status"] == "pruned" and one.reports[-1][0] == lines(
            tmp_path / "runs" / one.run)[-1]["step"]  # it stopped at the evaluation  # fmt: skip
    assert (
        json.loads((only(tmp_path).folder / "study.json").read_text())["pruner"]["reduction_factor"]
        == 3
    )
