"""The commands in the table of data formats of docs/tasks.md compose and pass the config check."""

import dataclasses
import re
import shlex
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from fxformer.config.check import values
from fxformer.data.labelled.corpus import LabelledData
from tests.composing import composed

PAGE = Path(__file__).parents[3] / "docs" / "tasks.md"


def commands():
    table = PAGE.read_text(encoding="utf-8").partition("## Data formats")[2].partition("\n\nA ")[0]
    cells = [re.split(r"(?<!\\)\|", line)[2] for line in table.split("\n") if line.startswith("| ")]
    found = [re.findall(r"`([^`]*)`", cell)[0] for cell in cells[1:]]
    return [one.replace(r"\|", "|") for one in found]


@pytest.mark.parametrize("command", commands())
def test_commands_compose(command):
    node = composed(["model=bert", "task=classification", *shlex.split(command)]).data
    assert values(node, "data") == []
    given = OmegaConf.to_container(node)
    LabelledData(**{one.name: given[one.name] for one in dataclasses.fields(LabelledData)})


def test_the_table_is_found():
    assert len(commands()) >= 20
