"""tests/configs/bad.txt: none of its lines is accepted, each is answered before a compile, by name.

A line is `BASE | what is written after it | words the refusal holds`.
"""

import os
import re
from pathlib import Path

import pytest
from config_judgement import DECODER, composed, encoder, passed, refusal, seq2seq, text
from hydra.errors import InstantiationException
from shell import fxformer

from fxformer.config.folders import conf_folder
from fxformer.train.main import main

LINES = [
    tuple(part.strip() for part in line.split(" | "))
    for line in (Path(__file__).parents[1] / "configs" / "bad.txt").read_text().splitlines()
    if line.strip() and not line.startswith("#")
]
PARTS = 16  # tests that share the lines out among them; all but some are slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("bad")
    for name, content in {
        "good.txt": b"a line of text, the same again\n\n" * 400,
        "empty.txt": b"",
        "latin.txt": b"hello " * 200 + b"caf\xe9 " * 20,
        "short.txt": b"a b",
        "blank.txt": b"  \n" * 500,
        "bad.jsonl": b'{"text": "a"}\n{"text":\n',
        "good.jsonl": b'{"text": "a long line of text"}\n' * 200,
        "deep.jsonl": b"[" * 100_000,
        "tokenizer.json": b"[" * 100_000,
    }.items():
        (place / name).write_bytes(content)
    os.mkfifo(place / "pipe")
    (place / "loop").symlink_to("loop")
    (place / "empty").mkdir()
    return place


def bases(folder: Path) -> dict[str, tuple[str, ...]]:
    """The sound command lines that the bad words are written after."""
    file = folder / "good.txt"
    gpt2 = ("model=gpt2", "objective=clm", *text(file))
    return {"decoder": DECODER, "encoder": encoder(file), "seq2seq": seq2seq(file), "gpt2": gpt2}


def words_of(line: tuple[str, str, str], folder: Path) -> list[str]:
    """The command line of a line; quotes are Hydra's and stay."""
    base, written, _ = line
    words = re.findall(r"(?:'[^']*'|[^\s'])+", written.replace("FOLDER", str(folder)))
    return [*bases(folder)[base], *words]


def judge(line: tuple[str, str, str], said: str | None, folder: Path) -> str | None:
    """What is wrong with the answer to a line; None: nothing."""
    if said is None:
        return f"accepted: {line[1]}"
    missing = [w for w in line[2].replace("FOLDER", str(folder)).split() if w not in said]
    if missing:
        return f"{line[1]}: {said!r} lacks {missing}"
    return f"{line[1]}: blank lines in {said!r}" if "" in said.splitlines() else None


@pytest.mark.parametrize(
    "part", [pytest.param(n, marks=pytest.mark.slow if n % 4 else ()) for n in range(PARTS)]
)
@pytest.mark.sample(8)
def test_bad_lines_are_refused_by_name(part, folder):
    wrong = [judge(li, refusal(words_of(li, folder)), folder) for li in LINES[part::PARTS]]
    assert not any(wrong), "\n".join(filter(None, wrong))


def test_the_list_is_long_and_no_line_stands_in_it_twice():
    assert len(LINES) >= 300 and all(len(line) == 3 and line[2] for line in LINES)
    assert len({line[:2] for line in LINES}) == len(LINES)


def test_the_list_has_a_typo_in_each_group():
    groups = {path.name for path in conf_folder().iterdir() if path.is_dir()}
    typos = {line[1].partition("=")[0] for line in LINES if "did you mean" in line[2]}
    # generation, suites and bias audits are of other commands; metrics are chosen by tasks
    assert typos >= groups - {"hydra", "search", "generation", "metric", "suite", "bias"}


@pytest.mark.slow
@pytest.mark.parametrize("line", LINES[::37], ids=lambda line: line[1])
def test_the_command_refuses_them_alike(line, folder, tmp_path):
    code, out, err = fxformer("train", *words_of(line, folder), folder=tmp_path)
    assert code == 2 and "Traceback" not in err and not (tmp_path / "runs").exists()
    assert judge(line, err, folder) is None


def test_a_part_that_cannot_be_built_leaves_no_folder(tmp_path):
    argv = [*DECODER, "mesh.data=0", f"runs={tmp_path / 'runs'}"]
    with pytest.raises(InstantiationException, match="numbers of devices"):
        main(composed(argv))
    assert not list(tmp_path.iterdir())


def test_what_they_are_written_on_top_of_is_sound(folder):
    for base in bases(folder).values():
        assert passed(list(base)).parameters
