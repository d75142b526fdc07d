"""Every recipe of experiments/ that says what to expect: run as a user would, it comes true."""

import json

import pytest

from fxformer.claims.record import read_expected
from fxformer.cli import app
from fxformer.config import folders
from fxformer.config.check import problems
from tests.physics.training import composed

RECIPES = sorted(p.parent.name for p in folders.experiments_folder().glob("*/recipe.yaml"))
CLAIMS = [name for name in RECIPES if read_expected(name).bounds]
# What a recipe leaves to its user, below the folder of real data.
FILES = {"shakespeare_char": "lm/tinyshakespeare/input.txt"}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.sample(4)
def test_a_recipe_composes_and_says_what_it_claims(name):
    assert problems(composed(f"experiment={name}")) == []
    told = (folders.experiments_folder() / name / "README.md").read_text(encoding="utf-8")
    assert told.startswith(f"# {name}\n") and "**Claim.**" in told


@pytest.mark.parametrize("name", CLAIMS)
def test_what_is_expected_is_a_bound(name):
    for bound in read_expected(name).bounds.values():
        assert bound and set(bound) <= {"above", "below"}


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAIMS)
def test_a_recipe_reaches_what_it_expects(name, request, tmp_path):
    given = []
    if name in FILES:
        given = [f"data.files={request.getfixturevalue('real_data') / FILES[name]}"]
    assert app.train([f"experiment={name}", f"runs={tmp_path}", *given]) == 0
    (run,) = tmp_path.glob("2*/run.json")
    ended = json.loads(run.read_text(encoding="utf-8"))["summary"]
    for number, bound in read_expected(name).bounds.items():
        assert bound.get("above", -1e9) <= ended[number] <= bound.get("below", 1e9), number
