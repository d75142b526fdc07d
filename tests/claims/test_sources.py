"""Sources of a study: runs that arms start from, one for each seed."""

import json

import pytest
import yaml

from fxformer.claims.study import ClaimStudy, load_study, study_files
from fxformer.cli.main import main
from fxformer.errors import UserError

NAME = "soft_targets"


def plain(**changes):
    return yaml.safe_load(study_files()[NAME].read_text(encoding="utf-8")) | changes


def test_an_arm_names_the_run_of_its_seed_that_the_source_will_have():
    study = load_study(NAME)
    (_, arms, *_), name = study.search_words([], "runs")
    (_, sources, *_), of_sources = study.source_words([], "runs")
    assert of_sources == f"{name}-sources"
    assert rf"distillation.teacher\={name}-teacher-\\$\{{seed\}}" in arms
    assert rf"name\={name}-teacher-\\$\{{seed\}}" in sources


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"sources": {"techer": []}}, "no source 'teacher'; did you mean 'techer'"),
        ({"sources": {}}, "there are none"),
        ({"sources": {"teacher": [], "more": []}}, "sources.more: no arm starts from it"),
        ({"sources": {"teacher": ["a=run(b)"]}}, "a source starts from no other"),
        ({"sources": {"a-b": []}}, "letters, digits and _ only"),
    ],
)
def test_sources_that_do_not_fit_the_arms_are_refused(changes, said):
    with pytest.raises(UserError, match=said):
        ClaimStudy.from_plain(NAME, plain(**changes))


@pytest.mark.slow
def test_each_arm_starts_from_the_source_of_its_seed(tmp_path):
    """Two steps each: what matters is which run is the teacher of which."""
    words = ["reproduce", NAME, "--quick", "trainer.steps=2", f"runs={tmp_path}"]
    assert main(words) in (5, 6)
    teachers = {}
    for config in tmp_path.glob("2*/config.yaml"):
        found = yaml.safe_load(config.read_text())
        if "-teacher-" in found["name"]:
            teachers[found["seed"]] = config.parent
    taught = [
        (found["seed"], found["distillation"]["teacher"])
        for found in (yaml.safe_load(one.read_text()) for one in tmp_path.glob("2*/config.yaml"))
        if found.get("distillation")
    ]
    assert len(teachers) == 2 and len(taught) == 4
    assert {of for _, of in taught} == {str(one) for one in teachers.values()}
    assert all(str(teachers[seed]) == of for seed, of in taught)
    result = json.loads(next((tmp_path / ".searches").glob("*/result.json")).read_text())
    assert result["joules"] > 0
