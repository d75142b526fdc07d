"""CoNLL files with tabs or spaces, comments and -DOCSTART-, and SQuAD files."""

import json

import pytest

from fxformer.data.labelled.corpus import LabelledData
from fxformer.errors import UserError


def read(tmp_path, content, name="a.conll", **options):
    path = tmp_path / name
    path.write_text(content)
    rows = LabelledData(files=str(path), valid_share=0.5, **options).open_rows()
    return sorted((row for some in rows.values() for row in some), key=lambda row: row.index)


EXPECTED = [(["EU", "#1", "#"], ["B-ORG", "O", "O"]), (["a b", "c"], ["O", "B-PER"])]


def pairs(rows):
    return [(row.value("words"), row.value("labels")) for row in rows]


def test_tabs_comments_and_boundaries(tmp_path):
    content = (
        "# text = EU\n-DOCSTART-\tO\n\nEU\tB-ORG\n#1\tO\n#\tO\n\t\n  \n\n"
        "# a comment\na b\tO\nc \tB-PER"
    )
    rows = read(tmp_path, content)
    assert pairs(rows) == EXPECTED
    assert [row.where.rpartition(" ")[2] for row in rows] == ["4", "11"]
    assert pairs(read(tmp_path, content.replace("\n", "\r\n"))) == EXPECTED
    assert pairs(read(tmp_path, content, "a.txt")) == EXPECTED  # by content


def test_spaces_and_more_columns(tmp_path):
    content = (
        "-DOCSTART- -X- -X- O\n\nEU NNP I-NP B-ORG\n#1  NN I-NP O\n# # O O\n\n"
        "# id 1 domain=en split\na\u00a0b NN I-NP O\nc NN I-NP B-PER\n\n"
    )
    rows = read(tmp_path, content)
    expected = [EXPECTED[0], (["a\u00a0b", "c"], ["O", "B-PER"])]
    # A comment with as many columns as words have cannot be told from a word.
    assert [words[-2:] for words, _ in pairs(rows)] == [["#1", "#"], ["a\u00a0b", "c"]]
    content = content.replace(" domain=en split", "")
    assert pairs(read(tmp_path, content)) == expected
    rows = read(tmp_path, content, columns={"words": 0, "labels": 3, "pos": 1})
    assert pairs(rows) == expected and rows[1].value("pos") == ["NN", "NN"]


def test_bad_lines_are_named(tmp_path):
    content = "a\tO\nb\n\nc\tO\n\nd\tO\n"
    with pytest.raises(UserError, match="a.conll, line 2: 1 columns, and the first word has 2"):
        read(tmp_path, content)
    assert [words for words, _ in pairs(read(tmp_path, content, bad_rows="skip"))] == [["c"], ["d"]]
    with pytest.raises(UserError, match="line 1 has 2 columns, and data.columns.labels=2 is none"):
        read(tmp_path, content, columns={"words": 0, "labels": 2})
    with pytest.raises(UserError, match="data.columns.words=word: the columns of CoNLL files have"):
        read(tmp_path, content, columns={"words": "word", "labels": 1})


CONTEXT = "Ännchen went to the 🏠 of Bob."


def squad(**question):
    asked = {"id": "q1", "question": "Who?"} | question
    paragraphs = [{"context": CONTEXT, "qas": [asked]}, {"context": "Other.", "qas": [asked]}]
    return json.dumps({"version": "v2.0", "data": [{"title": "T", "paragraphs": paragraphs[:1]},
                                                   {"title": "U", "paragraphs": [
                                                       {"context": "Other.", "qas": [
                                                           {"id": "q2", "question": "?",
                                                            "answers": []}]}]}]})  # fmt: skip


@pytest.mark.parametrize("name", ["a.json", "a.txt"])
def test_squad_1_and_2(tmp_path, name):
    bob = {"text": "Bob", "answer_start": CONTEXT.index("Bob")}
    rows = read(tmp_path, squad(answers=[bob, bob]), name)
    start = {"text": "Bob", "start": CONTEXT.index("Bob")}
    assert rows[0].values == {"id": "q1", "question": "Who?", "context": CONTEXT, "title": "T",
                              "answers": [start, start]}  # fmt: skip
    assert rows[1].value("answers") == [] and rows[0].where.endswith("question q1")
    impossible = squad(is_impossible=True, answers=[], plausible_answers=[bob])
    assert read(tmp_path, impossible, name)[0].value("answers") == []


def test_an_answer_that_is_not_in_its_context(tmp_path):
    at = CONTEXT.index("Bob")
    for text, start, said in [
        ("Alice", at, "question q1: the answer 'Alice' is not in its context; correct it, or leave "
         "such rows out with data.bad_rows=skip"),
        ("Bob", at + 4, f"'Bob' is not at character {at + 4} of its context; it stands at {at} "),
        ("n", 99, r"it stands at 1, and 3 more times \(counted in code points, not bytes\)"),
        ("Bob", -4, "'Bob' is not at character -4"),
        ("", 0, "an answer is blank"),
        ("Bob", "26", "an answer needs a text and a start"),
    ]:  # fmt: skip
        with pytest.raises(UserError, match=said):
            read(tmp_path, squad(answers=[{"text": text, "answer_start": start}]), "a.json")


def test_answers_and_entities_in_other_forms(tmp_path):
    lists = {"question": "?", "context": "a b", "answers": {"text": ["b"], "answer_start": [2]}}
    rows = read(tmp_path, json.dumps([lists, lists | {"context": "c", "answers": None}]), "a.json")
    assert [row.values["answers"] for row in rows] == [[{"text": "b", "start": 2}], []]
    marked = {"text": "EU and Bob", "entities": [[7, 10, "PER"], {"start": 0, "end": 2,
                                                                  "type": "ORG"}]}  # fmt: skip
    rows = read(tmp_path, json.dumps([marked, {"text": "x", "entities": []}]), "b.json")
    assert rows[0].value("entities") == [{"start": 0, "end": 2, "label": "ORG"},
                                         {"start": 7, "end": 10, "label": "PER"}]  # fmt: skip
    with pytest.raises(UserError, match="an entity is characters 7 to 11 of a text of 10"):
        read(tmp_path, json.dumps([marked | {"entities": [[7, 11, "PER"]]}]), "b.json")
    with pytest.raises(UserError, match="two entities share characters 3 to 6"):
        read(tmp_path, json.dumps([marked | {"entities": [[3, 9, "A"], [0, 6, "B"]]}]), "b.json")


def test_what_is_no_squad(tmp_path):
    with pytest.raises(UserError, match="a paragraph of 'T' has no 'qas'; it has: context"):
        read(tmp_path, '{"data": [{"title": "T", "paragraphs": [{"context": "a"}]}]}', "a.json")
    with pytest.raises(UserError, match="qas is not a list of objects, as SQuAD has it"):
        read(tmp_path, '{"data": [{"paragraphs": [{"context": "a", "qas": {}}]}]}', "a.json")
