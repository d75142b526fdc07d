"""Outputs and ports that cannot be used: refused before the work, in one line, exit code 2."""

import pytest

from fxformer.__main__ import main
from fxformer.errors import UserError
from fxformer.files import check_folder, check_output
from fxformer.plan.forecast import PlanConfig

MISSING = "{}/nowhere/file"
# Nothing of what these commands read exists: the output is what they complain about first.
OUTPUTS = [
    ("report", "-o", MISSING + ".html"),
    ("attention", "RUN", "--text", "a", "-o", MISSING + ".html"),
    ("runs", "--table", MISSING + ".csv"),
    ("runs", "--metrics", MISSING + ".parquet"),
    ("search", "STUDY", "--csv", MISSING + ".csv"),
    ("search", "STUDY", "--json", MISSING + ".json"),
    ("energy", "--json", MISSING + ".json"),
    ("compare", "RUN", "--json", MISSING + ".json"),
    ("import", "DIR", "--json", MISSING + ".json"),
]


@pytest.mark.parametrize("command", OUTPUTS, ids=" ".join)
def test_an_output_that_cannot_be_written_is_refused_first(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([word.format(tmp_path) for word in command]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"there is no folder {tmp_path}/nowhere" in said
    assert any(word in said for word in ("--output", "--table", "--metrics", "--csv", "--json"))


def test_a_plan_refuses_its_output_before_it_is_made(tmp_path):
    with pytest.raises(UserError, match=r"plan\.json .*there is no folder"):
        PlanConfig(json=MISSING.format(tmp_path))


@pytest.mark.parametrize("port", ["99999", "-1"])
def test_a_port_that_does_not_exist_is_refused(port, tmp_path, capsys):
    assert main(["dashboard", f"runs={tmp_path}", f"--port={port}"]) == 2
    assert f"--port {port}: expected a port from 0" in capsys.readouterr().err


def test_outputs_are_files_in_folders(tmp_path):
    (tmp_path / "file").touch()
    assert check_output(tmp_path / "new", "-o") == tmp_path / "new"
    assert check_output("/dev/null", "-o").exists()
    for path, stream, words in (
        (tmp_path, True, "is a folder; write a file in it"),
        (tmp_path / "file" / "new", True, "is not a folder"),
        ("/dev/null", False, "is a device, not a file"),
    ):
        with pytest.raises(UserError, match=f"^-o {path}: .*{words}"):
            check_output(path, "-o", stream=stream)
    check_folder(tmp_path / "a" / "b", "export")
    with pytest.raises(UserError, match="export: .*file is not a folder"):
        check_folder(tmp_path / "file" / "b", "export")


def test_only_a_user_error_is_one_line(monkeypatch, capsys):
    def verb(error):
        def show(*_, **__):
            raise error

        monkeypatch.setattr("fxformer.track.show.show", show)
        return main(["show", "RUN"])

    assert verb(UserError("RUN: no such run")) == 2
    assert verb(FileNotFoundError(2, "No such file", "there")) == 2
    assert capsys.readouterr().err == "fxformer: RUN: no such run\nfxformer: there: No such file\n"
    for bug in (ValueError("shapes (3,) (4,)"), KeyError("x"), OSError(5, "I/O error", "there")):
        with pytest.raises(type(bug)):
            verb(bug)
