"""expected.yaml of an experiment: bounds of one run of its recipe, and the recorded study."""

import dataclasses
import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any, cast, get_args

import yaml

from fxformer import jsonl
from fxformer.claims.analysis import ClaimFinding, Decision
from fxformer.claims.study import FILE, ClaimStudy, study_files
from fxformer.claims.verdict import CODES, ClaimResult, ClaimVerdict
from fxformer.config import folders
from fxformer.config.checked_fields import checked_fields
from fxformer.energy.host_usage import cpu_name
from fxformer.errors import UserError
from fxformer.metrics.confidence import ConfidenceInterval
from fxformer.track.provenance import packages

EXPECTED = "expected.yaml"
FINDING = {"effect", "low", "high", "n", "decision", "about"}
VERSIONS = ("fxformer", "jax", "flax", "optax", "numpy")
HEADER = """\
# bounds: of numbers of the summary of one run of recipe.yaml, ends included.
# recorded: the last whole run of study.yaml; `fxformer reproduce {name} --record` writes it.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordedStudy:
    """A whole run of a study, as expected.yaml keeps it.

    findings, controls: {name: {effect, low, high, n, decision, about}}
    study: digest of study.yaml and recipe.yaml at that time
    joules, minutes: of all runs; energy: how the joules were measured
    machine: processor, threads and platform; versions: of the packages; date: UTC
    """

    verdict: str
    findings: dict[str, dict[str, Any]]
    controls: dict[str, dict[str, Any]]
    seeds: int
    joules: float
    minutes: float
    machine: dict[str, Any]
    versions: dict[str, str]
    date: str
    study: str
    energy: str = ""

    @classmethod
    def of(cls, result: ClaimResult, date: str, energy: str) -> "RecordedStudy":
        """The record of a result. date: ISO 8601, of the day"""
        found = packages()
        return cls(
            verdict=result.verdict,
            findings={name: _plain(one) for name, one in result.findings.items()},
            controls={name: _plain(one) for name, one in result.controls.items()},
            seeds=result.study.seeds,
            joules=float(f"{result.joules:.4g}"),
            minutes=float(f"{result.seconds / 60:.3g}"),
            machine={
                "cpu": cpu_name(),
                "threads": os.cpu_count(),
                "platform": f"{platform.system()} {platform.machine()}",
            },
            versions={"python": platform.python_version()}
            | {name: str(found[name]) for name in VERSIONS if found.get(name)},
            date=date,
            study=study_digest(result.study.name),
            energy=energy,
        )

    def result(self, study: ClaimStudy) -> ClaimResult:
        """The findings again, for tables and figures; those whose names the study has lost are
        left out."""
        both = (self.findings, study.analyses), (self.controls, study.controls)
        findings, controls = (
            {name: _finding(one) for name, one in own.items() if name in known}
            for own, known in both
        )
        return ClaimResult(study, findings, controls, self.joules, 60 * self.minutes, {})

    @property
    def outcome(self) -> ClaimVerdict:
        """The recorded verdict."""
        return cast(ClaimVerdict, self.verdict)

    def is_current(self, name: str) -> bool:
        """Whether study.yaml and recipe.yaml are as they were then."""
        return self.study == study_digest(name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expected:
    """Contents of expected.yaml.

    bounds: {number of the summary of a run: {"above": …, "below": …}}
    recorded: the last whole run of the study; None: none was recorded
    """

    bounds: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    recorded: RecordedStudy | None = None


def read_expected(name: str) -> Expected:
    """expected.yaml of an experiment; an empty one where there is no such file. UserError, with the
    key, for what does not fit."""
    file = _file(name)
    if not file.is_file():
        return Expected()
    where = f"experiments/{name}/{EXPECTED}"
    try:
        given = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise UserError(f"{where}: {' '.join(str(error).split())}") from None
    fields = checked_fields(where, given, Expected, {"recorded"})
    recorded = given.get("recorded")
    if recorded is not None:
        own = checked_fields(f"{where}: recorded", recorded, RecordedStudy)
        recorded = RecordedStudy(**own)
        _check_findings(f"{where}: recorded", recorded)
    return Expected(**fields, recorded=recorded)


def _check_findings(where: str, found: RecordedStudy) -> None:
    """Raise UserError for a verdict or a finding that `RecordedStudy.of` does not write."""
    if found.verdict not in CODES:
        raise UserError(f"{where}: verdict: expected one of {', '.join(CODES)}")
    for part, findings in (("findings", found.findings), ("controls", found.controls)):
        for name, one in findings.items():
            numbers = [one.get(key) for key in ("effect", "low", "high")]
            known = set(one) == FINDING and one["decision"] in get_args(Decision)
            if not known or any(not isinstance(n, float | int | None) for n in numbers):
                raise UserError(
                    f"{where}: {part}.{name}: expected {', '.join(sorted(FINDING))}; run "
                    "`fxformer reproduce NAME --record` again"
                )


def record(found: RecordedStudy, name: str) -> Path:
    """Write the record of a study into its expected.yaml, beside the bounds; returns the file."""
    body = dataclasses.asdict(dataclasses.replace(read_expected(name), recorded=found))
    if not body["bounds"]:
        del body["bounds"]
    text = yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=100)
    jsonl.replace(_file(name), HEADER.format(name=name) + text)
    return _file(name)


def study_digest(name: str) -> str:
    """Digest of study.yaml and recipe.yaml without comments and layout."""
    recipe = folders.recipe_files()[name]
    plain = [yaml.safe_load(recipe.with_name(f).read_text("utf-8")) for f in (FILE, recipe.name)]
    text = json.dumps(plain, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def recorded_studies() -> dict[str, RecordedStudy | None]:
    """The record of every claim that has a study, by name."""
    return {name: read_expected(name).recorded for name in study_files()}


def _file(name: str) -> Path:
    return folders.recipe_files()[name].with_name(EXPECTED)


def _plain(one: ClaimFinding) -> dict[str, Any]:
    effect = one.effect
    numbers = {"effect": effect.mean, "low": effect.low, "high": effect.high}
    rounded = {key: None if value is None else _rounded(value) for key, value in numbers.items()}
    return {**rounded, "n": effect.n, "decision": one.decision, "about": one.about}


def _rounded(value: float) -> float:
    """Five significant digits, but whole numbers as they are: counts are exact."""
    return value if float(value).is_integer() else float(f"{value:.5g}")


def _finding(given: dict[str, Any]) -> ClaimFinding:
    effect = ConfidenceInterval(given["effect"], given["n"], given["low"], given["high"])
    return ClaimFinding(effect, cast(Decision, given["decision"]), given["about"])
