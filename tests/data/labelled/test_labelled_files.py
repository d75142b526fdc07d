"""Files of each format become the same rows; bad ones are named with the place."""

import bz2
import json
import logging
import random

import pytest

from fxformer.config.build import build
from fxformer.config.check import values
from fxformer.data.labelled.corpus import LabelledData
from fxformer.errors import UserError
from tests.composing import composed

TEXTS = [f"text number {n}, with a comma" for n in range(20)]
LABELS = [("good", "bad")[n % 2] for n in range(20)]
EXPECTED = sorted(zip(TEXTS, LABELS, strict=True))


def put(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def opened(**options):
    return LabelledData(**options).open_rows()


def pairs(rows):
    return sorted((row.value("text"), row.value("label")) for some in rows.values() for row in some)


def csv_of(delimiter=",", quote='"', header="sentence,sentiment"):
    lines = [header.replace(",", delimiter)] if header else []
    lines += [
        f"{quote}{text}{quote}{delimiter}{label}" for text, label in zip(TEXTS, LABELS, strict=True)
    ]
    return "\n".join(lines) + "\n"


NAMED = {"columns": {"text": "sentence", "label": "sentiment"}}
NUMBERED = {"columns": {"text": 0, "label": -1}, "header": False}
OBJECTS = [{"text": t, "label": y} for t, y in zip(TEXTS, LABELS, strict=True)]
ARRAYS = [[t, y] for t, y in zip(TEXTS, LABELS, strict=True)]
FORMATS = {
    "csv": ("a.csv", csv_of(), NAMED),
    "csv.bz2": ("a.csv.bz2", bz2.compress(csv_of().encode()), NAMED),
    "semicolon": ("a.csv", csv_of(";", ""), NAMED | {"delimiter": ";"}),
    "csv without header": ("a.csv", csv_of(header=""), NUMBERED),
    "tsv": ("a.tsv", csv_of("\t", ""), NAMED),
    "tsv without header": ("a.tsv", csv_of("\t", "", ""), NUMBERED),
    "tsv by format": ("a.txt", csv_of("\t", ""), NAMED | {"format": "tsv"}),
    "jsonl": ("a.jsonl", "\n".join(map(json.dumps, OBJECTS)), {}),
    "jsonl by content": ("a.txt", "\n".join(map(json.dumps, OBJECTS)), {}),
    "jsonl in .json": ("a.json", "\n".join(map(json.dumps, OBJECTS)), {}),
    "json": ("a.json", json.dumps(OBJECTS), {}),
    "json, indented": ("a.json", json.dumps({"data": OBJECTS, "version": 1}, indent=1), {}),
    "json of arrays": ("a.json", json.dumps(ARRAYS), {"columns": {"text": 0, "label": 1}}),
    "nested": (
        "a.jsonl",
        "\n".join(json.dumps({"a": {"b": t}, "label": y}) for t, y in ARRAYS),
        {"columns": {"text": "a.b"}},
    ),
}


@pytest.mark.parametrize("form", FORMATS)
def test_formats_give_the_same_rows(tmp_path, form):
    name, content, options = FORMATS[form]
    rows = opened(files=put(tmp_path, name, content), valid_share=0.2, **options)
    assert pairs(rows) == EXPECTED
    assert len(rows["valid"]) == 4 and set(rows) == {"train", "valid"}


def test_parquet_gives_the_same_rows(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.Table.from_pylist(OBJECTS), tmp_path / "a.parquet")
    assert pairs(opened(files=str(tmp_path / "a.parquet"))) == EXPECTED


def test_files_of_one_class_each_and_a_file_of_labels(tmp_path):
    good = [t for t, y in EXPECTED if y == "good"]
    bad = [t for t, y in EXPECTED if y == "bad"]
    by_class = {
        "good": put(tmp_path, "a.pos", "\n".join(good)),
        "bad": put(tmp_path, "a.neg", "\n".join(bad)),
    }
    assert pairs(opened(files=by_class)) == EXPECTED
    texts = put(tmp_path, "texts.txt", "\n".join(TEXTS))
    beside = {"label": put(tmp_path, "labels.txt", "\n".join(LABELS))}
    assert pairs(opened(files=texts, parallel_files=beside)) == EXPECTED
    for wrong, said in ((LABELS[:-1], "has 19 lines and data.files 20 rows"),
                        ([*LABELS, "bad"], "has 21 lines and data.files 20 rows")):  # fmt: skip
        put(tmp_path, "labels.txt", "\n".join(wrong))
        with pytest.raises(UserError, match=f"data.parallel_files.label {said}"):
            opened(files=texts, parallel_files=beside)


def test_quotation_marks_are_text_between_tabs(tmp_path):
    content = 'text\tlabel\n"Hello," she said\tgood\n"A quoted sentence."\tbad\n'
    rows = opened(files=put(tmp_path, "a.tsv", content), valid_share=0.5)
    texts = {row.value("text") for some in rows.values() for row in some}
    assert texts == {'"Hello," she said', '"A quoted sentence."'}


GLUE = [
    ("\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\tHe said \"no.\tShe \"did.\n",
     {"text": "#1 String", "pair": "#2 String", "label": "Quality"}, {},
     ('He said "no.', 'She "did.', "1")),  # MRPC
    ("gj04\t0\t*\tThey drank the pub.\n", {"text": 3, "label": 1}, {"header": False},
     ("They drank the pub.", None, "0")),  # CoLA
    ("id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\tWhy?\n4\t5\t6\tWhy?\tHow?\t1\n",
     {"text": "question1", "pair": "question2", "label": "is_duplicate"}, {"bad_rows": "skip"},
     ("Why?", "How?", "1")),  # QQP, which has rows without an end
]  # fmt: skip


@pytest.mark.parametrize(("content", "columns", "options", "expected"), GLUE)
def test_files_of_glue(tmp_path, content, columns, options, expected):
    path = put(tmp_path, "train.tsv", content)
    copy = put(tmp_path, "dev.tsv", content)
    rows = opened(files=path, valid_files=copy, columns=columns, **options)
    (row,) = rows["train"]
    assert (row.value("text"), row.get("pair"), row.value("label")) == expected


def test_a_folder_for_each_class_and_translations(tmp_path):
    for label in ("neg", "pos"):
        (tmp_path / label).mkdir()
        for n in range(4):
            put(tmp_path / label, f"{n}.txt", f"{label} review {n}\n\nof two paragraphs")
    folders = {label: str(tmp_path / label / "*.txt") for label in ("neg", "pos")}
    rows = opened(files=folders, document_is="file", valid_share=0.25)
    assert sorted(row.value("label") for row in rows["valid"]) == ["neg", "pos"]
    english = put(tmp_path, "a.en", "\n".join(f"sentence {n}" for n in range(10)))
    german = put(tmp_path, "a.de", "\n".join(f"Satz {n}" for n in range(10)))
    rows = opened(files=english, parallel_files={"target": german}, columns={"source": "text"})
    for row in rows["train"] + rows["valid"]:
        assert row.value("target") == row.value("source").replace("sentence", "Satz")


def test_a_row_says_its_split(tmp_path):
    lists = {"train": ARRAYS[:10], "val": ARRAYS[10:14], "test": ARRAYS[14:], "oos": ARRAYS[:1]}
    by_number = {"text": 0, "label": 1}
    path = put(tmp_path, "a.json", json.dumps(lists))
    rows = opened(files=path, columns=by_number)
    assert {split: len(some) for split, some in rows.items()} == {
        "train": 10,
        "valid": 4,
        "test": 6,
    }
    rows = opened(files=path, columns=by_number, train_split="val", valid_split="oos")
    assert (len(rows["train"]), len(rows["valid"])) == (4, 1)
    with pytest.raises(UserError, match=r"split 'dev' \(data.valid_split\); there are: train, val"):
        opened(files=path, columns=by_number, valid_split="dev")
    with pytest.raises(UserError, match="no row is of the split 'training'"):
        opened(files=path, columns=by_number, train_split="training")
    lines = [json.dumps(one | {"part": part}) for one, part in
             zip(OBJECTS, ["train"] * 15 + ["dev"] * 5, strict=True)]  # fmt: skip
    rows = opened(files=put(tmp_path, "a.jsonl", "\n".join(lines)), split_column="part")
    assert (len(rows["train"]), len(rows["valid"])) == (15, 5)


BAD = [
    ("a.csv", "sentence,label\na,b\n", {"columns": {"text": "sentense"}},
     r"a.csv has no column 'sentense' \(data.columns.text\); it has: sentence, label; "
     "did you mean 'sentence'"),
    ("a.csv", "sentence;label\na;b\n", NAMED, "write data.delimiter=';'"),
    ("a.csv", "good text,pos\n", NAMED, "write data.header=false and columns by number"),
    ("a.csv", "a,b\nc,d\n", {"columns": {"text": 2}}, "has 2 columns, and data.columns.text=2"),
    ("a.csv", "text,label\na,b\nc\n", {}, "line 3: 1 values, and the first row names 2 columns; "
     "correct it, or leave such rows out with data.bad_rows=skip"),
    ("a.csv", "text,label\n ,b\n", {}, "line 2: text is blank"),
    ("a.csv", "text,text\na,b\n", {}, "two columns are named 'text'"),
    ("a.jsonl", '{"text": 3, "label": "x"}\n{}', {}, "line 1: text is not a string but int"),
    ("a.jsonl", '{"text": null, "label": "x"}', {}, "line 1: text is null; correct it, or"),
    ("a.jsonl", '"text"', {}, "line 1: expected an object, got str"),
    ("a.jsonl", '{"text"', {}, "line 1 is not JSON"),
    ("a.json", '{"text": "a"}', {}, "a.json holds dict; expected a list of records"),
    ("a.json", '{"text', {}, "a.json is not JSON"),
    ("a.json", "[]", {"format": "squad"}, "a.json is no SQuAD file"),
    ("a.jsonl", '{"words": ["a", "b"], "labels": ["O"]}', {}, "2 words and 1 labels"),
    ("a.jsonl", '{"text": "a", "label": {"b": 1}}', {}, "label is an object"),
    ("a.jsonl", '{"text": "a", "choices": ["b"]}', {}, "expected a list of two or more"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "options", "said"), BAD)
def test_bad_files_are_refused(tmp_path, name, content, options, said):
    with pytest.raises(UserError, match=said) as error:
        opened(files=put(tmp_path, name, content), **options)
    assert "\n" not in str(error.value)


def test_bad_rows_are_skipped_and_counted(tmp_path):
    path = put(tmp_path, "a.csv", csv_of() + "only one\n ,good\n,bad\n")
    data = LabelledData(files=path, bad_rows="skip", **NAMED)
    assert pairs(data.open_rows()) == EXPECTED
    assert data.opened.facts["left_out"] == {
        "train": {"other number of values": 1, "blank text": 2}
    }
    blank = put(tmp_path, "b.csv", "text,label\n ,a\n")
    with pytest.raises(UserError, match=r"0 usable rows \(left out: 1 with blank text\)"):
        opened(files=blank, bad_rows="skip")


def test_a_role_that_no_column_has_is_named(tmp_path):
    row = opened(files=put(tmp_path, "a.csv", csv_of()))["train"][0]
    with pytest.raises(
        UserError, match="has no 'text'; it has: sentence, sentiment; write data.col"
    ):
        row.value("text")
    row.values["pair"] = None
    with pytest.raises(UserError, match=r"a.csv, line \d+: pair is null"):
        row.value("pair")
    row.values["label_"] = "x"
    with pytest.raises(UserError, match="did you mean data.columns={label: label_}"):
        row.value("label")


def test_roles_take_their_forms(tmp_path):
    rows = [{"text": ["One.", "Two."], "label": " a | b ", "end0": "x", "end1": "y", "id": 7}] * 3
    options = {"columns": {"choices": ["end0", "end1"]}, "label_separator": "|"}
    path = put(tmp_path, "a.json", json.dumps([dict(one, text=[str(n)] + one["text"])
                                               for n, one in enumerate(rows)]))  # fmt: skip
    some = opened(files=path, valid_share=0.4, **options)
    values = some["valid"][0].values
    assert values["text"].endswith("One. Two.")
    assert values["label"] == ["a", "b"] and values["choices"] == ["x", "y"] and values["id"] == 7


def test_one_file_is_of_one_split(tmp_path):
    path = put(tmp_path, "a.csv", csv_of())
    with pytest.raises(UserError, match=r"a.csv is in both data.files and data.valid_files"):
        opened(files=str(tmp_path / "*.csv"), valid_files=path, **NAMED)


def test_copies_between_given_splits_are_counted(tmp_path, caplog):
    train = put(tmp_path, "a.csv", csv_of())
    valid = put(tmp_path, "b.csv", f'sentence,sentiment\n"{TEXTS[3].upper()}",bad\nnew,bad\n')
    data = LabelledData(files=train, valid_files=valid, **NAMED)
    with caplog.at_level(logging.WARNING):
        data.open_rows()
    assert data.opened.facts["shared_inputs"] == {"valid": 1}
    assert "1 of 2 valid rows have the inputs of a training row" in caplog.text


def test_the_fingerprint_follows_files_and_options(tmp_path):
    path = put(tmp_path, "a.csv", csv_of())
    known = {LabelledData(files=path, **NAMED).fingerprint()}
    known.add(LabelledData(files=path, **NAMED, valid_share=0.2).fingerprint())
    known.add(LabelledData(files={"a": path}, **NAMED).fingerprint())
    put(tmp_path, "a.csv", csv_of() + "new,good\n")
    known.add(LabelledData(files=path, **NAMED).fingerprint())
    assert len(known) == 4
    assert LabelledData(files=path, **NAMED).fingerprint() in known


def test_the_options_people_type(tmp_path):
    """Through Hydra's grammar and the config check, as on the command line."""
    put(tmp_path, "a.csv", csv_of())
    put(tmp_path, "a.pos", "good\nvery good\n"), put(tmp_path, "a.neg", "bad\nvery bad\n")

    def built(*words):
        node = composed(["task=classification", *words]).data
        assert values(node, "data") == []
        return build(node)(tokenizer=None).open_rows()

    rows = built(f"data.files={tmp_path}/*.csv", "data.columns={text: sentence, label: sentiment}",
                 "data.train_rows=10")  # fmt: skip
    assert (len(rows["train"]), len(rows["valid"])) == (10, 2)
    rows = built(f"data.files={{1: {tmp_path}/a.pos, 0: {tmp_path}/a.neg}}", "data.valid_share=0.5")
    assert [row.value("label") for row in rows["valid"]] == [1, 0]
    with pytest.raises(UserError, match="data.train_rows=5: there are 2 training rows"):
        built(f"data.files={{pos: {tmp_path}/a.pos, neg: {tmp_path}/a.neg}}",
              "data.valid_share=0.5", "data.train_rows=5")  # fmt: skip


DAMAGE = [b'"', b"\t", b"\n\n", b"[]", b"null", b"\xff", b"\x00", b"B-", b"-1", b"{", b'"\\ud800"']
SOUND = {
    "a.csv": csv_of().encode(),
    "a.jsonl": "\n".join(map(json.dumps, OBJECTS)).encode(),
    "a.json": json.dumps({"train": ARRAYS, "test": OBJECTS}).encode(),
    "a.conll": b"# c\n-DOCSTART- O\n\na B-X\nb I-X\n\nc O\n\nd O\n",
    "b.json": json.dumps({"data": [{"title": "T", "paragraphs": [{"context": "a b", "qas": [
        {"id": "1", "question": "q", "answers": [{"text": "b", "answer_start": 2}]}]}]}]}).encode(),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_damaged_files_give_rows_or_one_sentence(tmp_path, name):
    rng = random.Random(name)
    for _ in range(60):
        content = bytearray(SOUND[name])
        for _ in range(rng.choice([1, 3])):
            at = rng.randrange(len(content))
            content[at : at + rng.choice([0, 1, 20])] = rng.choice([b"", *DAMAGE])
        try:
            opened(files=put(tmp_path, name, bytes(content)), valid_share=0.5,
                   bad_rows=rng.choice(["refuse", "skip"]))  # fmt: skip
        except UserError as error:
            assert "\n" not in str(error)
