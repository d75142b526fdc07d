"""What the page is told, where it is known what is true."""

import json
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from folders import finished, searched

from fxformer.dashboard import api_energy, curves, notes
from fxformer.dashboard.document import request_key
from fxformer.dashboard.report import embedded_answers, write
from fxformer.dashboard.routes import GET_ROUTES, answer
from fxformer.dashboard.run_index import RunIndex
from fxformer.energy.carbon import Carbon
from fxformer.track.energy_report import run_energy
from fxformer.track.run_reader import StoredRun

# what opens a model: see test_inspect_page.py
OPENING = ("texts", "attention", "reading", "flow", "queries_keys", "samples", "tasks")


def only(tmp_path):
    index = RunIndex(tmp_path)
    (key,) = index.runs()
    return index, key


def test_watts_of_a_steady_machine_are_its_power(tmp_path):
    finished(tmp_path)  # 4 J in each half second
    index, key = only(tmp_path)
    told = curves.curve(index, {"run": key, "split": "train", "name": "watts"})
    assert told["extremes"]["y"] and set(told["extremes"]["y"]) == {8.0}


def test_mfu_is_work_over_the_peak(tmp_path):
    finished(tmp_path, peak_flops=6000.0 * 200 * 4)  # tokens/s are 200, FLOPs of each 6000
    index, key = only(tmp_path)
    told = curves.curve(index, {"run": key, "split": "train", "name": "mfu"})
    assert set(told["means"]["y"]) == {0.25} and told["flops_per_token"] == 6000.0


def test_bits_per_byte_through_a_lossy_tokenizer_are_marked(tmp_path):
    trip = {"documents": 2, "exact": 1, "kept": 90, "missing": 10, "added": 2}
    finished(tmp_path / "lossy", data={"valid": {"bytes": 100, "round_trip": trip}})
    finished(tmp_path / "exact", data={"valid": {"bytes": 100}})
    rows = answer(RunIndex(tmp_path), "runs", {})["runs"]
    assert sorted(row["lossy"] for row in rows) == ["", "lossy: 12.0 % of the bytes"]


def test_what_is_not_finite_is_counted_and_left_out(tmp_path):
    finished(tmp_path, loss=lambda step: math.nan if step in (5, 6) else 1.0)
    index, key = only(tmp_path)
    told = curves.curve(index, {"run": key, "split": "train", "name": "loss"})
    assert told["of"] == 40 and told["odd"] == 2 and len(told["extremes"]["y"]) == 38
    assert 5 not in told["extremes"]["step"]


def test_an_append_is_seen_by_the_same_shelf(tmp_path):
    folder = finished(tmp_path, steps=5)
    index, key = only(tmp_path)
    before = index.revisions()[key]
    asked = {"run": key, "split": "train", "name": "loss"}
    assert answer(index, "curve", asked)["of"] == 5
    with open(folder / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"step": 6, "split": "train", "loss": 0.5}\n')
    assert answer(index, "curve", asked)["of"] == 6 and index.revisions()[key] != before
    (row,) = answer(index, "runs", {})["runs"]
    assert row["step"] == 6 and row["train_loss"] == 0.5


def test_each_tenth_of_a_nat_has_its_price():
    loss, joules = np.array([3.0, 2.5, 2.8, 2.7, 2.3]), np.array([0.0, 100, 150, 200, 300])
    nats, price = api_energy.joules_per_step(loss, joules)
    np.testing.assert_allclose(nats, [2.9, 2.8, 2.7, 2.6, 2.5, 2.4, 2.3])
    np.testing.assert_allclose(price, [20, 20, 20, 20, 20, 100, 100])  # the way back up counts
    assert price.sum() == 300
    for few in ([], [3.0], [3.0, 3.1]):
        assert not len(api_energy.joules_per_step(np.array(few), np.arange(len(few)))[0])


def test_the_energy_is_that_of_the_terminal(tmp_path):
    folders = [finished(tmp_path, "a"), finished(tmp_path, "b", steps=20)]
    index = RunIndex(tmp_path)
    told = answer(index, "energy", {})
    accounts = [run_energy(StoredRun(folder)) for folder in folders]
    assert told["kwh"] == pytest.approx(sum(one.kwh for one in accounts))
    assert told["gco2e"] == pytest.approx(sum(one.gco2e for one in accounts))
    assert told["total"]["joules"] == pytest.approx(240) and told["total"]["shares"] == {
        "modelled": pytest.approx(192),
        "measured": pytest.approx(48),
    }
    assert [row["per_tenth"] for row in told["runs"]] == [one.kwh_per_tenth_nat for one in accounts]
    cumulative = answer(index, "cumulative", {})
    assert cumulative["gco2e"][-1] == pytest.approx(told["gco2e"], rel=1e-5)
    assert cumulative["gco2e"] == sorted(cumulative["gco2e"])


def test_configs_say_where_runs_differ_and_which_are_seeds(tmp_path):
    finished(tmp_path, "a", seed=0)
    finished(tmp_path, "b", seed=1)
    finished(tmp_path, "c", seed=0, config={"optimizer": {"lr": 0.5}})
    index = RunIndex(tmp_path)
    told = answer(index, "configs", {})
    a, b, c = index.runs()
    assert told["differing"] == ["optimizer.lr", "seed"]
    assert told["own"][c]["optimizer.lr"] == 0.5 and told["shared"]["energy.region"] == "FRA"
    assert told["alike"][a] == told["alike"][b] != told["alike"][c]


def test_secrets_are_masked_also_in_a_folder_that_we_did_not_write(tmp_path, monkeypatch):
    monkeypatch.setenv("OTHER_API_KEY", "canary-in-the-environment")
    folder = finished(tmp_path, status="failed", reason="fine")
    (folder / "config.yaml").write_text(
        "wandb: {api_key: canary-in-a-key}\nurl: https://me:canary-in-a-url@host/x\n"
    )
    facts = json.loads((folder / "run.json").read_text())
    facts |= {
        "reason": "canary-in-the-environment was refused",
        "overrides": ["wandb.api_key=canary-in-a-key", "seed=1"],
        "sweep": "s",
    }
    (folder / "run.json").write_text(json.dumps(facts))
    index, key = only(tmp_path)
    notes.write(index, {"key": key, "notes": "use canary-in-the-environment"})
    for path in GET_ROUTES:
        asked = {"run": key, "split": "train", "name": "loss"}
        if path in ("search", "importance", *OPENING):
            continue
        assert "canary" not in json.dumps(answer(index, path, asked), default=str), path
    assert "seed=1" in answer(index, "run", {"run": key})["repeat"][-1]
    del facts["overrides"]
    facts["command"] = "fxformer train wandb.api_key=canary-by-hand seed=1"
    (folder / "run.json").write_text(json.dumps(facts))
    told = json.dumps(answer(RunIndex(tmp_path), "run", {"run": key}))
    assert "canary" not in told and "seed=1" in told


def test_the_command_is_the_runs_own_words(tmp_path):
    finished(
        tmp_path, overrides=["data.files='a b'", "seed=3"], code={"commit": "abc", "dirty": True}
    )
    index, key = only(tmp_path)
    lines = answer(index, "run", {"run": key})["repeat"]
    assert lines[0] == "git checkout abc" and "uncommitted changes" in lines[1]
    assert lines[2] == """fxformer train 'data.files='"'"'a b'"'"'' seed=3"""


@pytest.mark.parametrize("key", ["..", "../x", "/etc", "a/../..", "", ".", "%2e%2e", "nothing"])
def test_no_path_outside_is_opened(tmp_path, key):
    finished(tmp_path / "runs")
    finished(tmp_path, "outside")
    index = RunIndex(tmp_path / "runs")
    for path in ("run", "config", "curve", "cost_per_nat"):
        with pytest.raises(ValueError, match="there is no run"):
            answer(index, path, {"run": key, "split": "train", "name": "loss"})
    with pytest.raises(ValueError, match="there is no run"):
        notes.write(index, {"key": key, "notes": "x"})
    with pytest.raises(ValueError, match="no search"):
        answer(index, "search", {"name": key})


def test_notes_are_kept_whole_and_checked(tmp_path):
    folder = finished(tmp_path)
    index, key = only(tmp_path)
    kept = notes.write(index, {"key": key, "notes": "<b>x</b>", "tags": [" good ", "good", ""]})
    assert kept == {"notes": "<b>x</b>", "tags": ["good"]} == notes.read(StoredRun(folder))
    assert notes.write(index, {"key": key, "tags": []}) == {"notes": "<b>x</b>", "tags": []}
    for wrong in (
        {"notes": 3},
        {"notes": "x" * 20_001},
        {"tags": "a"},
        {"tags": [1]},
        {"tags": ["x" * 61]},
        {"tags": [str(n) for n in range(31)]},
    ):
        with pytest.raises(ValueError):
            notes.write(index, {"key": key} | wrong)
    assert notes.read(StoredRun(folder)) == {"notes": "<b>x</b>", "tags": []}


def test_a_report_holds_every_answer_that_its_page_can_ask_for(tmp_path):
    finished(tmp_path)
    index, key = only(tmp_path)
    held = embedded_answers(index)
    names = held["curves"]["runs"][key]
    assert "watts" in names["train"] and "bits_per_byte" in names["valid"]
    for split, some in names.items():
        for name in some:
            assert request_key("curve", {"run": key, "split": split, "name": name}) in held
    assert {path.partition("?")[0] for path in held} == set(GET_ROUTES) - {
        "models",
        "revisions",
        "search",
        "importance",
        *OPENING,
    }


@pytest.mark.parametrize("points", ["1", "5001", "-3", "x", ""])
def test_points_are_bounded(tmp_path, points):
    finished(tmp_path)
    index, key = only(tmp_path)
    with pytest.raises(ValueError, match="points"):
        answer(index, "curve", {"run": key, "split": "train", "name": "loss", "points": points})


def test_a_search_is_told_whole(tmp_path):
    finished(tmp_path)
    searched(tmp_path)
    index = RunIndex(tmp_path)
    assert [one["name"] for one in answer(index, "searches", {})] == ["first"]
    told = answer(index, "search", {"name": "first"})
    assert len(told["trials"]) == 12 and told["pareto"] == [0, 1, 2, 3, 4, 5, 6]  # dearer, better
    assert told["minimize"] and told["cost"]["kwh"] == pytest.approx(0.078)
    importance = answer(index, "importance", {"name": "first"})
    assert sum(one["share"] for one in importance) == pytest.approx(1)
    assert request_key("importance", {"name": "first"}) in embedded_answers(index)
    assert (
        answer(RunIndex(tmp_path, [tmp_path / key for key in index.runs()]), "searches", {}) == []
    )


def test_a_grid_known_by_the_hour_is_charged_by_the_hour(tmp_path):
    hourly = tmp_path / "grid.csv"
    start = datetime.fromtimestamp(1.7e9 // 3600 * 3600, UTC)
    hours = [(start + timedelta(hours=n)).isoformat() for n in range(48)]
    rows = [f"{hour},{100 + n}" for n, hour in enumerate(hours)]
    hourly.write_text("\n".join(["time,gco2e_per_kwh", *rows]) + "\n")
    folder = finished(tmp_path / "runs", config={"energy": {"grid_hourly": str(hourly)}})
    index = RunIndex(tmp_path / "runs")
    told = answer(index, "energy", {})
    assert told["gco2e"] == pytest.approx(run_energy(StoredRun(folder)).gco2e)
    cumulative = answer(index, "cumulative", {})  # both lines of the ledger are of the first hour
    assert cumulative["gco2e"][-1] == pytest.approx(160 / 3.6e6 * 100, rel=1e-4)
    assert cumulative["gco2e"][-1] == pytest.approx(told["gco2e"], rel=1e-4)


def test_no_token_typed_or_logged_anywhere_reaches_a_report(tmp_path):
    """Notes, tags, samples, config, reason, events, the search: every text of the file."""
    token = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345"
    root = tmp_path / "runs"
    folder = finished(
        root,
        f"x-{token}",
        status="failed",
        reason=f"no {token}",
        config={"note": f"is {token}"},
        overrides=[f"note={token}"],
    )
    (folder / "notes.json").write_text(json.dumps({"notes": f"use {token}", "tags": [token]}))
    (folder / "samples.md").write_text(f"it wrote {token}")
    with open(folder / "events.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"event": "warning", "text": token}) + "\n")
    with open(folder / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"step": 99, "split": "train", token: 1.0}) + "\n")
    searched(root, key=f"model.{token}")
    write(RunIndex(root), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert token not in text and token[3:] not in text
    (key,) = RunIndex(root).runs()
    assert f"use {token}" not in json.dumps(answer(RunIndex(root), "runs", {}))
    index = RunIndex(root)
    assert [row["key"] for row in answer(index, "runs", {})["runs"]] == [key]  # opens it


def test_the_hours_of_an_hourly_grid_are_those_of_all_lines(tmp_path, monkeypatch):
    """A line of the ledger has only the hours that changed; CO2 is counted by the hour of use."""
    folder = finished(tmp_path)
    entry = ["train", "cpu", "model:cpu", "modelled", 0.4]
    lines = [(150.0, {"10": 100.0, "11": 50.0}), (250.0, {"11": 150.0})]
    (folder / "energy.jsonl").write_text(
        "".join(
            json.dumps(
                {
                    "attempt": "a",
                    "time": 1.0,
                    "joules": joules,
                    "seconds_by_phase": {},
                    "joules_by_hour": hours,
                    "entries": [[*entry, joules]],
                }
            )
            + "\n"
            for joules, hours in lines
        )
    )
    index, key = only(tmp_path)
    assert sum(index.totals(key).hours.values()) == 250.0 == StoredRun(folder).energy().joules
    assert index.totals(key) == StoredRun(folder).energy()
    grid = tmp_path / "grid.csv"
    grid.write_text("hour,gCO2e/kWh\n" + "".join(f"{n},{10 * n}\n" for n in range(24)))
    carbon = Carbon(grid_hourly=str(grid), grid_timezone="UTC")
    monkeypatch.setattr("fxformer.dashboard.configs.carbon", lambda *_: carbon)
    grams = (100.0 * 100 + 150.0 * 110) / 3.6e6
    assert GET_ROUTES["energy"](index, {})["gco2e"] == pytest.approx(grams)
    assert GET_ROUTES["cumulative"](index, {})["gco2e"][-1] == pytest.approx(grams, rel=1e-4)


def test_a_run_says_what_text_was_dropped(tmp_path):
    folder = finished(tmp_path)
    index, key = only(tmp_path)
    assert GET_ROUTES["run"](index, {"run": key})["tokens_dropped"] is None  # an old run
    facts = json.loads((folder / "run.json").read_text())
    dropped = {"train": {"no room in the batch": 5}, "valid": {}}
    facts["summary"] |= {"tokens_dropped": dropped, "valid_pieces": 9, "valid_pieces_missing": 2}
    (folder / "run.json").write_text(json.dumps(facts))
    index, key = only(tmp_path)
    told = GET_ROUTES["run"](index, {"run": key})
    assert told["tokens_dropped"] == dropped
    assert (told["valid_pieces"], told["valid_pieces_missing"]) == (9, 2)
