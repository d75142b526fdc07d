"""A run or study with wrong types in any file breaks no view: it is named, the rest is shown."""

import json
import os
import random
import re

import pytest
from folders import finished, searched

from fxformer.__main__ import main
from fxformer.dashboard.report import embedded_answers
from fxformer.dashboard.routes import GET_ROUTES, answer
from fxformer.dashboard.run_index import RunIndex
from fxformer.track.run_reader import StoredRun

WRONG = (None, True, -1, 1.5, "x", "nan", [], [1], ["x"], {}, {"a": 1}, {"a": [None]}, 10**400)
OPENING = ("texts", "attention", "reading", "flow", "queries_keys", "samples", "tasks")
LINES = ("energy.jsonl", "metrics.jsonl", "events.jsonl")
VERBS = (["runs", "runs={root}"], ["energy", "runs={root}"],
         ["energy", "runs={root}", "--json", "{out}.json"],
         ["runs", "runs={root}", "--table", "{out}.csv", "--metrics", "{out}.parquet"],
         ["show", "{bad}"], ["search", "runs={root}"])  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """A folder of a good run, a run to be spoiled, and a search; the second run."""
    root = tmp_path / "runs"
    finished(root, "good", steps=10)
    bad = finished(
        root, "bad", steps=10, code={"commit": "abc", "dirty": False}, sweep="s", overrides=["a=1"],
        packages={"jax": "1"}, machine={"cpu": "x", "threads": 2, "memory_gb": 4.0},
        devices=["cpu"], data={"corpus_hash": "1"}, architecture="encoder", peak_flops=1e9,
    )  # fmt: skip
    (bad / "notes.json").write_text('{"notes": "n", "tags": ["t"]}')
    (bad / "checkpoints").mkdir()
    searched(root)
    return bad


@pytest.mark.parametrize(
    "file",
    ["run.json", "config.yaml", "energy.jsonl", "metrics.jsonl", "events.jsonl", "notes.json"],
)
def test_a_pipe_or_a_device_among_the_files_of_a_run_is_never_waited_for(folder, tmp_path, file):
    (folder / file).unlink(missing_ok=True)
    if file == "run.json":
        (folder / file).symlink_to("/dev/zero")
    else:
        os.mkfifo(folder / file)
    words = {"root": str(folder.parent), "bad": str(folder), "out": str(tmp_path / "out")}
    for verb in VERBS:
        assert main([word.format(**words) for word in verb]) in (0, 2)
    index = RunIndex(folder.parent)
    for route in GET_ROUTES:
        if route not in OPENING:
            try:
                answer(index, route, {"run": folder.name, "runs": folder.name, "name": "loss"})
            except (ValueError, KeyError):
                pass


def test_a_foreign_result_of_a_claim_is_left_out_and_a_link_is_not_followed(tmp_path):
    good = {
        "verdict": "reproduced",
        "seeds": 3,
        "joules": 1.0,
        "minutes": 1.0,
        "date": "",
        "energy": "",
    }
    kept = tmp_path / ".searches" / "claim"
    kept.mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (kept / "figure.svg").symlink_to(tmp_path / "secret")
    (kept / "result.json").write_text(json.dumps(good))
    (found,) = answer(RunIndex(tmp_path), "claim_results", {})
    assert found["figure"] == "" and found["verdict"] == "reproduced"
    for wrong in ({"seeds": "inf"}, {"seeds": float("inf")}, {"joules": None}):
        (kept / "result.json").write_text(json.dumps(good | wrong))
        assert answer(RunIndex(tmp_path), "claim_results", {}) == [], wrong


def spots(value, path=()):
    """The paths of all values in a nest, itself too."""
    yield path
    lists = enumerate(value) if isinstance(value, list) else ()
    for key, one in value.items() if isinstance(value, dict) else lists:
        yield from spots(one, (*path, key))


def replaced(value, path, by):
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


def mutants(file):
    """(path, what the file holds then) for every value in it and every wrong one."""
    if file.suffix == ".jsonl":
        lines = file.read_text().splitlines()
        for n in (0, len(lines) - 1):
            line = json.loads(lines[n])
            for path in spots(line):
                for by in WRONG:
                    changed = json.dumps(replaced(line, path, by))
                    yield (n, *path), "\n".join([*lines[:n], changed, *lines[n + 1 :]]) + "\n"
        return
    value = yaml_of(file) if file.suffix == ".yaml" else json.loads(file.read_text())
    for path in spots(value):
        for by in WRONG:
            yield path, json.dumps(replaced(value, path, by))


def yaml_of(file):
    import yaml

    return yaml.safe_load(file.read_text())


def look_at_everything(root, bad, out):
    """Ask for every view and every verb; the good run is in each."""
    index = RunIndex(root, keep=False)
    good, spoiled = (next(k for k in index.runs() if k.endswith(n)) for n in ("-good", "-bad"))
    for path in set(GET_ROUTES) - {*OPENING, "search", "importance"}:
        for key in (good, spoiled):
            asked = {"run": key, "split": "train", "name": "loss"}
            json.dumps(answer(index, path, asked))
    for one in answer(index, "searches", {}):
        if "problem" not in one:
            answer(index, "search", {"name": one["name"]})
    names = [row["name"] for row in answer(index, "runs", {})["runs"]]
    assert sorted(names) == ["bad", "good"]
    for words in VERBS:
        given = [word.format(root=root, bad=bad, out=out) for word in words]
        assert main(given) == 0, given


def sweep(folder, tmp_path, capsys, name, count):
    file = folder.parent / name if "/" in name else folder / name
    before = file.read_text()
    every = list(mutants(file))
    rng = random.Random(name)
    for path, text in every if count is None else rng.sample(every, count):
        file.write_text(text)
        try:
            look_at_everything(folder.parent, folder, tmp_path / "out")
        except BaseException as error:
            raise AssertionError(f"{name} at {path}: {text[:300]}") from error
        capsys.readouterr()
    file.write_text(before)


FILES = ("run.json", "config.yaml", *LINES, "notes.json", ".searches/first/study.json",
         ".searches/first/trials/00003.json")  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_some_wrong_types_end_no_view(folder, tmp_path, capsys, name):
    sweep(folder, tmp_path, capsys, name, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_no_wrong_type_at_any_key_ends_a_view(folder, tmp_path, capsys, name):
    sweep(folder, tmp_path, capsys, name, None)


@pytest.mark.parametrize("file, text, why", [
    ("run.json", '{"summary": [1]}', "run.json: summary: expected a mapping, got [1]"),
    ("run.json", "[" * 100_000, "run.json: brackets are nested too deeply"),
    ("run.json", "[1", "run.json: Expecting"),
    ("energy.jsonl", '{"attempt": "a", "entries": 3}\n', "energy.jsonl: line 1: entries: expected"),
    ("energy.jsonl", "[1]\n", "energy.jsonl: line 1: a JSON object is expected, got [1]"),
])  # fmt: skip
def test_the_row_names_the_file_and_the_reason(folder, capsys, file, text, why):
    (folder / file).write_text(text)
    rows = {row["name"]: row for row in answer(RunIndex(folder.parent), "runs", {})["runs"]}
    assert f"unreadable: {why}" in rows["bad"]["reason"] and rows["good"]["status"] == "done"
    assert rows["bad"]["status"] == ("unreadable" if file == "run.json" else "done")
    assert main(["runs", f"runs={folder.parent}"]) == 0
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert f"{folder.name}: unreadable: {why}" in said and "-good" in said
    assert main(["compare", str(folder), str(folder), f"runs={folder.parent}"]) == 2
    assert (file != "run.json") or f"{folder}/{why}"[:60] in capsys.readouterr().err


@pytest.mark.parametrize("text", [": [", "[1]", "3", "energy: [1]", "energy: {region: [1]}",
                                  "energy: {region: ATLANTIS}", "energy: {pue: x}"])  # fmt: skip
def test_a_config_that_makes_no_sense_costs_only_itself(folder, tmp_path, text):
    (folder / "config.yaml").write_text(text)
    look_at_everything(folder.parent, folder, tmp_path / "out")


def test_a_folder_in_the_place_of_a_file_is_as_if_it_were_absent(folder, tmp_path):
    for name in ("metrics.jsonl", "energy.jsonl", "events.jsonl", "config.yaml", "notes.json"):
        (folder / name).unlink()
        (folder / name).mkdir()
    look_at_everything(folder.parent, folder, tmp_path / "out")
    assert "Is a directory" in StoredRun(folder).reason


def test_a_study_that_cannot_be_read_is_named(folder, capsys):
    path = folder.parent / ".searches" / "first" / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"total": "x"}))
    (row,) = answer(RunIndex(folder.parent), "searches", {})
    assert "total: expected int, got 'x'" in row["problem"]
    assert main(["search", f"runs={folder.parent}"]) == 0
    assert "first: unreadable" in capsys.readouterr().out
    assert not [
        key for key in embedded_answers(RunIndex(folder.parent)) if key.startswith("search?")
    ]
