"""The package of docs/extending.md, through every command that meets a part of it."""

import json
import re
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from fxformer.__main__ import main
from fxformer.config import folders, packages

DOCUMENT = Path(__file__).parents[2] / "docs" / "extending.md"
FILE = re.compile(r"`(my_lab/[\w./]+)`:\n\n```\w+\n(.*?)```", re.DOTALL)
PARTS = ("model=gpt2", "objective=backward", "model/attention=cosine")
SMALL = ("data=markov", "tokenizer=none", "data.symbols=8", "energy=tdp", "data.examples=64")
SMALL += ("model.dim=16", "model.heads=2", "model.ffn.hidden=32", "data.length=16", "data.batch=8")
SMALL += ("data.valid_examples=32",)  # one evaluation of the default takes seconds


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """The current folder, with the package of the document in it; nothing is declared."""
    for name, text in FILE.findall(DOCUMENT.read_text(encoding="utf-8")):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv(packages.VARIABLE, "")  # so that a declaration ends with the test
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_lab"]:
        del sys.modules[name]


@pytest.fixture
def declared(lab, monkeypatch):
    """The same folder, the package declared by the environment."""
    monkeypatch.setenv(packages.VARIABLE, "my_lab")
    return lab


def test_a_run_is_trained_resumed_opened_and_not_exported(lab, monkeypatch, capsys):
    train = ["train", *PARTS, *SMALL, "trainer.steps=2", "name=first"]
    assert main([*train, "packages=[my_lab]"]) == 0
    (run,) = lab.glob("runs/2*")
    assert OmegaConf.load(run / "config.yaml").packages == ["my_lab"]
    facts = json.loads((run / "run.json").read_text())["extensions"]
    assert facts == {"my_lab": {"version": "0.1", "commit": None, "dirty": None}}

    monkeypatch.setenv(packages.VARIABLE, "")
    capsys.readouterr()
    for command in (["train", f"resume={run.name}"], ["attention", run.name, "--text", "1 2"]):
        assert main(command) == 2
        assert "my_lab is needed, which is not declared here" in capsys.readouterr().err
    declaration = "packages=[my_lab]"
    assert main(["train", f"resume={run.name}", "trainer.steps=3", declaration]) == 0
    assert main(["attention", run.name, "--text", "1 2", declaration]) == 0
    assert main(["export", run.name, "out", declaration]) == 2
    assert "my_lab.attention.CosineAttention" in capsys.readouterr().err


def test_an_audit_measures_the_objective_of_a_package(declared):
    assert main(["audit", *PARTS, *SMALL, "audit.draws=64"]) == 0


def test_help_and_completion_list_the_options_of_a_package(declared, capsys, monkeypatch):
    assert main(["train", "--help"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^objective: .*\bbackward\b", shown, re.M)
    assert re.search(r"^model/attention: .*\bcosine\b", shown, re.M)
    monkeypatch.setenv("COMP_LINE", "fxformer train objective=back")
    main(["completion", "query"])
    assert "objective=backward" in capsys.readouterr().out


@pytest.mark.slow
def test_the_trials_of_a_search_know_the_package(lab):
    words = [*PARTS, *SMALL, "trainer.steps=2", "packages=[my_lab]"]
    assert main(["train", "-m", *words, "optimizer.lr=1e-3,2e-3"]) == 0
    assert len(list(lab.glob("runs/2*"))) == 2


def test_keys_and_values_of_a_package_are_checked(declared, capsys):
    assert main(["train", *PARTS, *SMALL, "model.attention.scale=-1"]) == 2
    assert "model.attention.scale" in capsys.readouterr().err


def test_only_what_a_yaml_of_a_declared_package_names_may_run(declared, capsys, monkeypatch):
    (declared / "my_lab" / "attention.py").open("a").write(
        "\ndef other(**_): raise SystemExit(9)\n"
    )
    other = "model.attention._target_=my_lab.attention.other"
    assert main(["train", *PARTS, *SMALL, other]) == 2
    assert "may not run" in capsys.readouterr().err
    monkeypatch.setenv(packages.VARIABLE, "")
    assert main(["train", *PARTS, *SMALL]) == 2
    assert "objective=backward: there is no such option" in capsys.readouterr().err


@pytest.mark.parametrize(
    "word,said",
    [
        ("packages=[no_such_lab]", "there is no package 'no_such_lab'"),
        ("packages=[my-lab]", "not the name of a Python package"),
        ("packages=[json]", "has no folder conf/"),
        ("packages={a: 1}", "expected a list of package names"),
    ],
)
def test_what_cannot_be_a_package_is_refused(lab, capsys, word, said):
    assert main(["train", *SMALL, word]) == 2
    assert said in capsys.readouterr().err


def test_an_option_may_not_have_a_name_of_ours(declared, capsys):
    (declared / "my_lab" / "conf" / "objective" / "clm.yaml").write_text("_target_: my_lab.x\n")
    assert main(["train", *PARTS, *SMALL]) == 2
    assert "has the name of an option of fxformer" in capsys.readouterr().err


def test_a_recipe_may_name_packages(lab, tmp_path):
    recipe = tmp_path / "recipes" / "mine" / "recipe.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("# @package _global_\npackages: [my_lab]\n")
    assert packages.in_words(["experiment=mine", "seed=1"], recipe.parents[1]) == ["my_lab"]


def test_recipes_of_a_package_are_experiments(declared):
    recipe = declared / "my_lab" / "experiments" / "mine" / "recipe.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("# @package _global_\nname: mine\n")
    assert folders.recipe_files()["mine"] == recipe
