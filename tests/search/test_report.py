"""Report of a study: ranks, intervals, cost against the grid, the command; as files too."""

import csv
import dataclasses
import io
import json
import math
import shlex

import pytest
from rich.console import Console

from fxformer.figures.svg import svg
from fxformer.metrics.confidence import ConfidenceInterval
from fxformer.search import main
from fxformer.search.configurations import configurations
from fxformer.search.cost import grid_size, kwh_of_unpruned
from fxformer.search.figure import search_figure
from fxformer.search.report import study_report, to_csv, to_json
from fxformer.search.study import Dimension, Trial, find
from tests.search.study_files import SPACE, WATTHOUR, study, trial


def said(*argv, width=100):
    console = Console(width=width, record=True, file=io.StringIO())
    main.main(argv, console)
    return console.export_text()


def test_ranks_are_of_the_values_and_nan_is_the_worst(tmp_path):
    trials = [trial(0, 3.0), trial(1, math.nan), trial(2, 1.0), trial(3, 2.0, state="pruned"),
              trial(4, state="failed", reason="out of memory"), Trial(5)]  # fmt: skip
    made = study(tmp_path, trials)
    found = configurations(made, made.trials())
    assert [(one.trials[0].slot, one.rank) for one in found] == [
        (2, 1), (0, 2), (1, 3), (3, None), (4, None)]  # fmt: skip
    assert study_report(made).progress == "3 of 6 complete, 1 pruned, 1 failed, 1 pending"


def test_the_largest_is_the_best_where_it_is_asked_for(tmp_path):
    facts = {"objectives": ("accuracy",), "maximize": ("accuracy",)}
    trials = [trial(0, 0.1), trial(1, 0.9), trial(2, 0.5, kwh=1e-4)]
    told = study_report(study(tmp_path, trials, **facts))
    assert [one.trials[0].slot for one in told.configurations] == [1, 2, 0]
    assert told.pareto == [2, 1]
    same = trial(0).params
    running = [
        trial(n, value, state="running", params=same | {"seed": n})
        for n, value in enumerate([0.2, 0.8])
    ]
    (one,) = configurations(made := study(tmp_path / "more", running, **facts), made.trials())
    assert one.value is None and one.last == 0.8


def test_seeds_of_one_setting_are_one_row_with_an_interval(tmp_path):
    same = trial(0).params
    trials = [
        trial(n, value, params=same | {"seed": n}) for n, value in enumerate([1.0, 2.0, 3.0])
    ] + [trial(3, 1.9, params={"seed": 0})]
    one, other = configurations(made := study(tmp_path, trials), made.trials())
    assert one.trials[0].slot == 3 and one.value == ConfidenceInterval(1.9, 1)
    # Student's t of 2 degrees of freedom: 4.3027; sd 1, n 3
    assert other.value.mean == 2
    assert other.value.high - 2 == pytest.approx(4.3027 / 3**0.5, rel=1e-4)
    assert other.kwh == pytest.approx(3 * WATTHOUR) and other.state == "3 complete"
    assert "(3)" in said("made", f"runs={tmp_path}")


def test_every_watt_hour_counts(tmp_path):
    trials = [trial(0), trial(1, state="failed"), trial(2, state="pruned"),
              trial(3, state="interrupted"), trial(4, state="stopped"), Trial(5)]  # fmt: skip
    cost = study_report(study(tmp_path, trials, budget_kwh=0.02)).cost
    assert cost.kwh == pytest.approx(5 * WATTHOUR) == pytest.approx(sum(cost.by_state.values()))
    assert cost.joules == pytest.approx(3.6e6 * cost.kwh)
    assert "25 % of the budget of 20.0 Wh" in said("made", f"runs={tmp_path}")


def test_the_killed_are_charged_before_anyone_takes_over(tmp_path):
    """A running trial whose worker is gone: its joules stand in its run's ledger only."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text('{"status": "running", "owner": {}}')
    (run / "config.yaml").write_text("energy: {pue: 2.0, grid_gco2e_per_kwh: 100.0}")
    entries = [["train", "cpu", "model", "modelled", 0.4, 1.8e6]]
    line = {"attempt": "a", "joules": 1.8e6, "seconds_by_phase": {"train": 9.0}, "entries": entries}
    (run / "energy.jsonl").write_text(json.dumps(line) + "\n" + '{"attempt": "b", "ent')
    gone = dataclasses.replace(trial(0, state="running"), run="run", kwh=0.0, owner={"pid": 0})
    told = study_report(made := study(tmp_path, [gone]))
    assert told.cost.kwh == pytest.approx(1.0) and told.cost.joules == 1.8e6
    assert told.cost.gco2e == pytest.approx(100) and made.trial(0).kwh == 0


def test_the_grid_of_a_space():
    more = (Dimension("model.heads", "integer", 1, 3), Dimension("trainer.steps", "integer", 1, 99))
    assert grid_size(SPACE, 5) == 5 * 3 * 5
    assert grid_size((*SPACE, *more), 4) == 4 * 3 * 4 * 3 * 4
    assert grid_size((Dimension("optimizer.lr", "interval", 0.1, 0.1),), 9) == 1


def test_a_pruned_trial_counts_whole_in_the_mean(tmp_path):
    """Startup 0.2 Wh and 8 mWh a step: a trial of 100 steps takes 1 Wh, one that was pruned at 25
    had taken 0.4 Wh, with a single report that tells no pace of its own."""

    def used(step):
        return 1e-3 * (0.2 + 0.008 * step)

    def one(slot, state, steps):
        reports = tuple((step, 1.0, used(step)) for step in steps)
        facts = {"state": state, "values": (1.0,), "reports": reports, "kwh": reports[-1][2]}
        return Trial(slot, {"model.layers": 2}, **facts)

    made = study(tmp_path, [one(0, "complete", (25, 50, 100)), one(1, "pruned", (25,)),
                            one(2, "pruned", (25, 50))])  # fmt: skip
    assert kwh_of_unpruned(made, made.trials()) == pytest.approx([1e-3] * 3)
    cost = study_report(made).cost
    assert cost.grid_kwh.mean == pytest.approx(75e-3) and cost.kwh == pytest.approx(2e-3)


def test_what_cannot_run_is_no_part_of_the_whole_grid(tmp_path):
    space = tuple(Dimension(key, "choice", choices=words, literals=words)
                  for key, words in (("model", ("a", "b")), ("objective", ("c", "d"))))  # fmt: skip
    trials = [trial(0), trial(1, state="skipped", kwh=0.0), trial(2, state="skipped", kwh=0.0),
              trial(3)]  # fmt: skip
    cost = study_report(study(tmp_path, trials, space=space)).cost
    assert cost.grid_trials == 2 and cost.grid_kwh.mean == pytest.approx(cost.kwh)


def test_the_interval_of_the_grid_covers_its_cost(tmp_path):
    """A trial costs what its layers cost, 1, 2 or 3 Wh: the grid of 75 takes exactly 150 Wh. Of 60
    searches at 95 %, fewer than 49 intervals that cover it would be 5 sigma off."""
    covered = 0
    for n in range(60):
        trials = []
        for slot in range(20):
            drawn = trial(100 * n + slot)
            trials.append(Trial(slot, drawn.params, state="complete", values=(1.0,),
                                kwh=WATTHOUR * drawn.params["model.layers"] / 2))  # fmt: skip
        made = study(tmp_path / str(n), trials)
        kwh = study_report(made).cost.grid_kwh
        covered += kwh.low <= 150 * WATTHOUR <= kwh.high
    assert covered >= 49


def test_the_command_is_words_that_a_shell_gives_back(tmp_path):
    told = study_report(study(tmp_path, [trial(0, 2.0), trial(1, 1.0)]))
    assert told.best == ("fxformer", "train", "data=markov", "name=it's", *told.trials[1].overrides)
    last = said("made", f"runs={tmp_path}", width=40).rstrip().splitlines()[-1]
    assert tuple(shlex.split(last)) == told.best


def test_json_and_csv_hold_every_trial(tmp_path):
    trials = [trial(0), trial(1, state="failed", reason="killed"), trial(2, math.nan)]
    made = study(tmp_path, trials)
    told, file = study_report(made), tmp_path / "out.json"
    body = json.loads(to_json(told))
    assert body["cost"]["kwh"] == pytest.approx(3 * WATTHOUR) and body["best"] == list(told.best)
    assert [one["status"] for one in body["trials"]] == ["complete", "failed", "complete"]
    rows = list(csv.DictReader(io.StringIO(to_csv(told))))
    assert [row["rank"] for row in rows] == ["1", "", "2"] and rows[1]["reason"] == "killed"
    assert float(rows[0]["optimizer.lr"]) == told.trials[0].params["optimizer.lr"]
    said("made", f"runs={tmp_path}", "--json", str(file))
    assert file.read_text() == to_json(told)


def test_a_hostile_study_is_only_text(tmp_path):
    bad = "\x1b[31mred[bold]"
    made = study(tmp_path, [trial(0, state="failed", reason=bad), trial(1, params={"x": bad})])
    text = said("made", f"runs={tmp_path}", "--all")
    assert "\x1b" not in text and "red[bold]" in text and find(tmp_path, made.name) == made


def test_no_study_and_no_such_study_are_sentences(tmp_path):
    assert "no studies in" in said(f"runs={tmp_path}")
    study(tmp_path, [trial(0)])
    assert "1 of 1 complete" in said(f"runs={tmp_path}")
    with pytest.raises(ValueError, match="made"):
        said("mode", f"runs={tmp_path}")
    with pytest.raises(ValueError, match="expected at least 1, got"):
        said("made", f"runs={tmp_path}", "--resolution", "0")


def test_the_figure_and_the_means_are_of_the_configurations(tmp_path):
    trials = [trial(n, 1.0 + n, params={"model.layers": 2 + n % 2, "seed": n // 2,
                                         "optimizer.lr": 0.1, "model.dropout": 0.0})
              for n in range(4)]  # fmt: skip
    made = study(tmp_path, trials)
    drawn = svg(search_figure(study_report(made)))
    assert "layers 2" in drawn and "2 [" in drawn and "4 of 4 complete" in drawn
    for n in range(4):
        (tmp_path / f"2026-{n}").mkdir()
        facts = {"status": "done", "summary": {"valid_loss": 1.0 + n}}
        (tmp_path / f"2026-{n}" / "run.json").write_text(json.dumps(facts))
    files = tmp_path / "m.csv", tmp_path / "f.pdf"
    said("made", f"runs={tmp_path}", "--means", str(files[0]), "--figure", str(files[1]))
    rows = list(csv.DictReader(files[0].read_text().splitlines()))
    assert [(r["layers"], r["n"], r["valid_loss"]) for r in rows] == [
        ("2", "2", "2.0"),
        ("3", "2", "3.0"),
    ]
    assert files[1].read_bytes().startswith(b"%PDF")
