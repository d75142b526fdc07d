"""Datasets of Hugging Face as labelled rows: splits, names of classes, nested values."""

import pytest

from fxformer.data.labelled.corpus import LabelledData
from fxformer.errors import UserError

datasets = pytest.importorskip("datasets")


def saved(folder, features, **splits):
    made = {
        split: datasets.Dataset.from_list(rows, features=datasets.Features(features))
        for split, rows in splits.items()
    }
    whole = made["train"] if list(made) == ["train"] else datasets.DatasetDict(made)
    whole.save_to_disk(str(folder))
    return str(folder)


def test_class_numbers_become_names(tmp_path):
    features = {
        "sentence": datasets.Value("string"),
        "label": datasets.ClassLabel(names=["no", "yes"]),
    }
    rows = [{"sentence": f"text {n}", "label": n % 2} for n in range(6)]
    unknown = [{"sentence": "text 9", "label": -1}]
    path = saved(tmp_path / "d", features, train=rows, validation=rows[:2], test=unknown)
    data = LabelledData(path=path, columns={"text": "sentence"})
    found = data.open_rows()
    assert {split: [row.get("label") for row in some] for split, some in found.items()} == {
        "train": ["no", "yes"] * 3,
        "valid": ["no", "yes"],
        "test": [None],
    }
    assert found["train"][1].value("text") == "text 1"
    assert found["valid"][1].where == f"{path}, validation row 2"
    other = LabelledData(path=path, columns={"text": "sentence"}, valid_split="test")
    assert [row.get("label") for row in other.open_rows()["valid"]] == [None]
    assert data.fingerprint() != other.fingerprint()
    with pytest.raises(UserError, match=r"split 'dev' \(data.valid_split\); there are: train, val"):
        LabelledData(path=path, valid_split="dev").open_rows()
    with pytest.raises(UserError, match="data.path=.* and data.files: give one of the two"):
        LabelledData(path=path, files="a.csv")


def test_labels_of_words_and_answers(tmp_path):
    tags = datasets.ClassLabel(names=["O", "B-PER", "I-PER"])
    features = {
        "tokens": datasets.Sequence(datasets.Value("string")),
        "ner_tags": datasets.Sequence(tags),
    }
    rows = [{"tokens": [f"Bob{n}", "B", "went"], "ner_tags": [1, 2, 0]} for n in range(4)]
    path = saved(tmp_path / "a", features, train=rows)
    columns = {"words": "tokens", "labels": "ner_tags"}
    found = LabelledData(path=path, columns=columns, valid_share=0.25).open_rows()
    assert {split: len(some) for split, some in found.items()} == {"train": 3, "valid": 1}
    assert found["valid"][0].value("labels") == ["B-PER", "I-PER", "O"]
    answer = datasets.Sequence(
        {"text": datasets.Value("string"), "answer_start": datasets.Value("int32")}
    )
    features = {
        "question": datasets.Value("string"),
        "context": datasets.Value("string"),
        "answers": answer,
    }
    rows = [
        {
            "question": "?",
            "context": f"{n} b",
            "answers": {"text": ["b"] * (n % 2), "answer_start": [2] * (n % 2)},
        }
        for n in range(4)
    ]
    path = saved(tmp_path / "b", features, train=rows, test=rows)
    found = LabelledData(path=path, valid_split="test").open_rows()
    assert [row.value("answers") for row in found["valid"][:2]] == [[], [{"text": "b", "start": 2}]]


def test_what_is_no_dataset(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=f"data.path={tmp_path}/empty"):
        LabelledData(path=str(tmp_path / "empty")).open_rows()
    (tmp_path / "a.csv").touch()
    with pytest.raises(UserError, match="a.csv is a file; write data.files="):
        LabelledData(path=str(tmp_path / "a.csv"))
