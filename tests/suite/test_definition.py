"""Suites: their files, what is wrong with one, the words of their tasks, missing files."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from fxformer.data.labelled.corpus import LabelledData
from fxformer.errors import UserError
from fxformer.suite.definition import Suite, load
from tests.suite.glue_files import ROWS, write

TASK = {"words": ["task=classification"], "metrics": ["accuracy"]}


def data_of(words: list[str]) -> LabelledData:
    """The rows that the words of a task read."""
    parsed = OverridesParser.create().parse_overrides(words)
    given = {one.get_key_element(): one.value() for one in parsed}
    names = LabelledData.__dataclass_fields__
    options = {key.removeprefix("data."): value for key, value in given.items()}
    return LabelledData(**{key: value for key, value in options.items() if key in names})


@pytest.mark.parametrize("name", ["mini", "glue"])
def test_our_suites_are_read_and_stored(name):
    suite = load(name)
    assert Suite.from_plain(name, suite.to_json()) == suite
    assert all(task.about for task in suite.tasks.values())


@pytest.mark.parametrize(
    "given,said",
    [
        ({}, "tasks: expected a mapping"),
        ([1], "expected a mapping, got list"),
        ({"tasks": {"a": TASK}, "seed": 2}, "there is no key 'seed'; did you mean 'seeds'"),
        ({"tasks": {"a": TASK | {"metrics": []}}}, "expected one metric at least"),
        ({"tasks": {"a": TASK | {"metric": "x"}}}, "tasks.a: there is no key 'metric'"),
        ({"tasks": {"a": {"words": []}}}, "tasks.a: metrics is missing"),
        ({"tasks": {"a": TASK}, "seeds": 0}, "seeds: must lie in"),
        ({"tasks": {"a": TASK | {"scale": -1}}}, "tasks.a: scale: must lie in"),
        ({"tasks": {"abc": TASK}, "averages": {"x": ["abd"]}}, "no task 'abd'; did you mean 'abc'"),
        ({"tasks": {"a": TASK | {"also": ["dev/loss"]}}}, "dev/loss: numbers are of the valid"),
    ],
)
def test_a_bad_suite_is_one_sentence(given, said):
    with pytest.raises(UserError, match=said) as error:
        Suite.from_plain("bad", given)
    assert str(error.value).startswith("suite=bad: ") and "\n" not in str(error.value)


def test_a_suite_of_the_user_is_a_file(tmp_path):
    path = tmp_path / "ours.yaml"
    path.write_text(OmegaConf.to_yaml({"tasks": {"a": TASK}, "seeds": 3}))
    assert load(str(path)).seeds == 3 and load(str(path)).name == "ours"
    path.write_text("tasks: [")
    with pytest.raises(UserError, match="ours.yaml"):
        load(str(path))
    with pytest.raises(UserError, match="no such file"):
        load(str(tmp_path / "other.yaml"))
    with pytest.raises(UserError, match="did you mean 'glue'"):
        load("glu")


def test_words_of_the_user_go_before_those_of_a_task_and_these_before_those_of_all():
    task = {"words": ["a=2", "trainer.epochs=3"], "metrics": ["m"], "by_architecture": {
        "decoder": ["objective=clm"]}}  # fmt: skip
    suite = Suite.from_plain("s", {"tasks": {"t": task}, "words": ["a=1", "b=1"]})
    assert suite.arms("encoder", None) == {"t": ["a=2", "b=1", "trainer.epochs=3"]}
    assert suite.arms("decoder", None, ["a=3", "trainer.steps=9"]) == {
        "t": ["a=3", "b=1", "objective=clm", "trainer.steps=9"]
    }
    with pytest.raises(UserError, match="a=1,2: a suite gives a key one value"):
        suite.arms(None, None, ["a=1,2"])


def test_a_missing_file_is_named_before_anything_runs(tmp_path):
    glue = load("glue")
    with pytest.raises(UserError, match="write data.root=FOLDER"):
        glue.arms("encoder", None)
    root = write(tmp_path / "it's here")
    (root / "RTE" / "dev.tsv").unlink()
    with pytest.raises(UserError, match=r"the task rte needs the file .*RTE/dev.tsv, which") as it:
        glue.arms("encoder", str(root))
    assert "suite.tasks=[cola,sst2,mrpc,stsb,qqp,mnli,qnli,wnli] have their files" in str(it.value)
    assert set(glue.only(["wnli", "cola"]).arms("encoder", str(root))) == {"wnli", "cola"}
    with pytest.raises(UserError, match="did you mean 'cola'"):
        glue.only(["colla"])


def test_the_files_of_glue_are_read_as_they_are(tmp_path):
    arms = load("glue").arms("encoder", str(write(tmp_path)))
    rows = {name: data_of(words).open_rows() for name, words in arms.items()}
    for name, splits in rows.items():
        assert len(splits["train"]) == ROWS - (name == "qqp") and len(splits["valid"]) == ROWS
    first = {name: splits["train"][0].values for name, splits in rows.items()}
    assert first["cola"]["text"] == '"Sentence number 0 is here.' and first["cola"]["label"] == "0"
    assert first["sst2"]["text"].startswith("a dull film") and first["sst2"]["label"] == "0"
    assert first["mrpc"]["text"] == 'He said , " yes 0 .' and first["mrpc"]["label"] == "0"
    assert first["mrpc"]["pair"] == '" He said yes 0 .'
    assert float(rows["stsb"]["train"][5].values["label"]) == 4.0
    assert first["stsb"]["pair"] == 'A "man 0 .'
    assert data_of(arms["qqp"]).opened.facts["left_out"] == {"train": {"other number of values": 1}}
    assert [row.values["label"] for row in rows["mnli"]["valid"][:3]] == [
        "neutral", "contradiction", "entailment",
    ]  # fmt: skip
    assert len(rows["mnli"]["test"]) == ROWS  # the mismatched set
    assert first["qnli"]["text"] == 'It is " 0 .' and first["rte"]["label"] == "entailment"
    assert rows["wnli"]["valid"][0].values["pair"] == "It fell 100 ."
