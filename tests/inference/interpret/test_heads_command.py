"""`fxformer heads`: a table, JSON with joules, and the model without the least important heads."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

import fxformer
from fxformer.errors import UserError
from fxformer.inference.interpret.heads_command import (
    heads_command,
    heads_parser,
    read_examples,
)


@pytest.fixture
def texts(tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("the cat sat on a mat\n\nthe dog ran to its small red house\na red oak\n")
    return file


def test_a_table_numbers_and_a_folder(run_folder, model_of, texts, tmp_path):
    console = Console(file=io.StringIO(), width=100)
    out, numbers = tmp_path / "out", tmp_path / "heads.json"
    words = ["--texts", str(texts), "--json", str(numbers), "--prune", "1", "-o", str(out)]
    heads_command([str(run_folder("decoder")), *words], console)
    said = console.file.getvalue()
    assert "importance of heads on 3 texts" in said and "set to zero: decoder" in said
    found = json.loads(numbers.read_text())
    means = [one["gradient"]["mean"] for one in found["heads"]]
    assert len(means) == 4 and means == sorted(means) and found["joules"] > 0
    least = found["heads"][0]
    masked = model_of("decoder").without_heads([("decoder", least["block"], least["head"])])
    text = "the cat sat"
    np.testing.assert_allclose(
        fxformer.load(out).logits(text)[0], masked.logits(text)[0], atol=1e-5
    )


def test_lines_of_texts_targets_and_labels_belong_together(tmp_path):
    """A blank line leaves out its own line of the other files, not the next text's."""
    files = {"texts": "one\n\ntwo\u2028more\nthree\n", "targets": "a\nx\nb\n\n",
             "labels": "0\n9\n1\n2\n"}  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    words = [word for name in files for word in (f"--{name}", str(tmp_path / name))]

    def read(*more):
        return read_examples(heads_parser().parse(["RUN", *words, *more]))

    assert read("--limit", "2") == (["one", "two\u2028more"], ["a", "b"], [0, 1])
    with pytest.raises(UserError, match=r"--targets .*targets, line 4: is blank"):
        read()
    (tmp_path / "targets").write_text("a\nb\n")
    with pytest.raises(UserError, match="targets has 2 lines and --texts .*texts has 4"):
        read("--limit", "2")


@pytest.mark.parametrize(
    "words, said",
    [
        (["--prune", "2"], "--prune N and --output DIR go together"),
        (["--cut"], "--cut: of the heads that --prune N removes"),
        (["--limit", "0"], "--limit 0: expected a number"),
        (["--labels", "TEXTS"], "line 1: expected a class number"),
    ],
)
def test_wrong_arguments_are_refused_before_the_model_is_read(texts, words, said):
    words = [str(texts) if word == "TEXTS" else word for word in words]
    with pytest.raises(UserError, match=said):
        heads_command(["nothing", "--texts", str(texts), *words])
