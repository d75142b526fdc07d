"""Suites of a folder of runs: which searches are suites, and their results."""

import json
from pathlib import Path
from typing import Any

from fxformer import jsonl
from fxformer.errors import UserError
from fxformer.search.study import Study
from fxformer.suite.definition import Suite
from fxformer.suite.results import SuiteResult, suite_result

DEFINITION = "suite.json"  # in the folder of the study: the suite, and the name of the model


def write_definition(folder: Path, suite: Suite, model: str) -> None:
    """Record in the folder of a study which suite it is, and of which model."""
    folder.mkdir(parents=True, exist_ok=True)
    body = {"name": suite.name, "model": model, "definition": suite.to_json()}
    jsonl.replace(folder / DEFINITION, json.dumps(body, indent=1) + "\n")


def definition_of(study: Study) -> tuple[Suite, str] | None:
    """(suite, name of the model) of a study; None where it is no suite, or cannot be read."""
    try:
        given = jsonl.load(study.folder / DEFINITION)
        return Suite.from_plain(given["name"], given["definition"]), str(given["model"])
    except (OSError, ValueError, KeyError, TypeError, UserError):
        return None


def stored_evaluations(study: Study) -> dict[tuple[int, str], dict[str, Any]]:
    """{(slot, split): facts} of the evaluations that were made after training."""
    found = {}
    for file in sorted((study.folder / "evaluations").glob("[0-9]*.*.json")):
        slot, split, _ = file.name.split(".")
        try:
            found[int(slot), split] = jsonl.load(file)
        except (OSError, ValueError):
            continue
    return found


def stored_result(study: Study) -> SuiteResult | None:
    """The results so far of a study that is a suite, of its files alone; None of another one."""
    found = definition_of(study)
    return found and suite_result(*found, study, stored_evaluations(study))
