"""`fxformer pipeline`: rows from text, CSV, JSON lines and standard input; resuming; errors."""

import io
import json
import sys

import pytest
from inference.pipelines.reference import FOLDER

from fxformer.cli.main import main
from fxformer.errors import UserError
from fxformer.inference.pipelines.command import option_value
from fxformer.inference.pipelines.row_files import MAX_LINE, ColumnNames, read_rows

CLASSES, SPAN = str(FOLDER / "bert_classes"), str(FOLDER / "bert_span")


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def read(path, columns=None, form=None):
    made = read_rows([str(path)], columns or ColumnNames(), form)
    return [str(row) if isinstance(row, UserError) else row for _, _, row in made]


def test_lines_of_text_are_rows_and_bad_ones_errors(tmp_path):
    file = tmp_path / "a.txt"
    long = b"x" * (MAX_LINE + 5)
    file.write_bytes(b"one\r\n\ntwo \xff\n" + long + b"\nlast")
    assert read(file)[:2] == ["one", ""]
    assert read(file)[2:] == [
        "the line is no UTF-8: invalid start byte at byte 4",
        "the line has 8,000,006 bytes, at most 8,000,000 are read",
        "last",
    ]


def test_csv_has_a_header_and_cells_with_line_breaks(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text('id,text\n1,"one,\ntwo"\n2,three\n3\n4,a,b\n')
    assert read(file) == [
        "one,\ntwo",
        "three",
        "no column 'text'; there are id (--column NAME chooses)",
        "3 cells, and the header has 2",
    ]
    assert read(file, ColumnNames(chosen="id"))[:3] == ["1", "2", "3"]
    with pytest.raises(UserError, match="a.csv: no column 'txt'; did you mean 'text'"):
        read(file, ColumnNames(chosen="txt"))  # once, before any row


def test_json_lines_are_texts_or_objects(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('"one"\n{"text": "two"}\n{"txt": 3}\n{\n[1]\n')
    found = read(file)
    assert found[:2] == ["one", "two"]
    assert (
        found[2] == "no column 'text'; did you mean 'txt'?; there are txt (--column NAME chooses)"
    )
    assert found[3].startswith("no JSON") and found[4] == "expected text, got a list"
    file.write_text('{"question": "a", "context": "b", "id": 1}\n')
    assert read(file, ColumnNames(("question", "context"), 2)) == [
        {"question": "a", "context": "b"}
    ]


def test_option_values():
    texts = ["3", "true", "null", "0.5", "[a, b]", '["a, b"]', "no", "fr_XX", "a b", "[]"]
    wanted = [3, True, None, 0.5, ["a", "b"], ["a, b"], "no", "fr_XX", "a b", []]
    assert [option_value(text) for text in texts] == wanted


def test_rows_of_standard_input_are_answered_on_standard_output(monkeypatch, capsys):
    text = b"The ship left.\n\nParis\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert main(["pipeline", "text-classification", CLASSES, "-", "top_k=2", "--energy"]) == 0
    said = capsys.readouterr()
    found = lines(said.out)
    assert [one["row"] for one in found] == [1, 2, 3]
    assert found[1]["error"] == "text is empty" and "output" not in found[1]
    assert len(found[0]["output"]) == 2 and found[0]["joules"] > 0 < found[0]["milliseconds"]
    assert found[0]["compile_joules"] <= found[0]["joules"]
    assert "3 rows, 1 with an error" in said.err and "95 % interval" in said.err
    assert "without compilation" in said.err


def test_stop_strings_end_texts(tmp_path, capsys):
    source = tmp_path / "a.txt"
    source.write_text("The ship\n")
    command = ["pipeline", "text-generation", str(FOLDER / "gpt2_text"), str(source)]
    assert main([*command, "max_new_tokens=9", "stop_strings=e", "return_full_text=false"]) == 0
    ((one,),) = (line["output"] for line in lines(capsys.readouterr().out))
    assert "e" not in one["generated_text"][:-1]


def test_resuming_answers_every_row_once(tmp_path, capsys):
    source, out = tmp_path / "a.txt", tmp_path / "out.jsonl"
    source.write_text("".join(f"The ship number {n}\n" for n in range(7)))
    command = ["pipeline", "text-classification", CLASSES, str(source), "-o", str(out)]
    assert main(command) == 0
    whole = out.read_bytes()
    rows = whole.splitlines(keepends=True)
    out.write_bytes(b"".join(rows[:4]) + rows[4][:20])  # killed in the middle of a line
    assert main([*command, "--resume"]) == 0
    again = out.read_bytes().splitlines(keepends=True)
    assert again[:4] == rows[:4]
    requests = [json.loads(row)["request"] for row in again]
    assert requests == [json.loads(row)["request"] for row in rows]
    assert "3 rows, 0 with an error; 4 were answered before" in capsys.readouterr().err
    assert main([*command, "--resume"]) == 0 and len(out.read_bytes().splitlines()) == 7
    capsys.readouterr()
    for wrong, said in (
        (command, "exists: write --resume"),
        ([*command, "--resume", "top_k=2"], "is no answer to"),
    ):
        assert main(wrong) == 2
        assert said in capsys.readouterr().err
    source.write_text("The ship number 0\n")
    assert main([*command, "--resume"]) == 2
    assert "more lines than the input has rows" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fill-maks", CLASSES], "did you mean 'fill-mask'"),
        (["question-answering", CLASSES], "needs the task head 'span'"),
        (["text-classification", CLASSES, "nowhere.txt"], "nowhere.txt: no such file"),
        (["text-classification", CLASSES, "topk=1"], "did you mean 'top_k'"),
        (["text-classification", CLASSES, "--resume"], "write --output FILE too"),
        (["text-classification"], "MODEL is missing"),
        (["text-classification", "nothing/there"], "nothing/there"),
    ],
)
def test_errors_are_one_line_and_exit_2(words, said, capsys):
    assert main(["pipeline", *words]) == 2
    printed = capsys.readouterr().err
    assert said in printed and "Traceback" not in printed
