"""The commands in the table of data formats of docs/tasks.md compose and pass the config check."""

import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from fxformer.config import folders
from fxformer.config.build import build
from fxformer.config.check import values

PAGE = Path(__file__).parents[3] / "docs" / "tasks.md"


def commands():
    table = PAGE.read_text(encoding="utf-8").partition("## Data formats")[2].partition("\n\nA ")[0]
    cells = [re.split(r"(?<!\\)\|", line)[2] for line in table.split("\n") if line.startswith("| ")]
    found = [re.findall(r"`([^`]*)`", cell)[0] for cell in cells[1:]]
    return [one.replace(r"\|", "|") for one in found]


@pytest.fixture(scope="module", autouse=True)
def conf():
    with initialize_config_dir(str(folders.conf_folder()), version_base="1.3"):
        yield


@pytest.mark.parametrize("command", commands())
def test_commands_compose(command):
    node = compose(overrides=["+data=labelled", *shlex.split(command)]).data
    assert values(node, "data") == []
    build(node)()


def test_the_table_is_found():
    assert len(commands()) >= 20
