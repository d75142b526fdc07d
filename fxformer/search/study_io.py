"""Creates, extends and writes the files of a study; names and compares studies."""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import re
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fxformer import jsonl
from fxformer.energy import ledger
from fxformer.errors import UserError
from fxformer.search.study import FOLDER, WHOLE, Dimension, Study, Trial
from fxformer.track.energy_report import run_energy
from fxformer.track.run_lock import utc_now
from fxformer.track.run_reader import StoredRun
from fxformer.track.show import carbon_of

ABANDONED = 24 * 3600.0  # seconds after which a temporary file is deleted
# The fields that identify a study; others may change from one command to the next.
IDENTITY = ("space", "sampler", "pruner", "seed", "overrides", "objectives", "maximize")


def open_or_create(wanted: Study) -> Study:
    """Open the study on disk, or create it; safe for concurrent callers.

    The total may grow, the budget may change. UserError, with the differences, if a different study
    has this name.
    """
    for part in ("trials", "logs", "leases"):
        (wanted.folder / part).mkdir(parents=True, exist_ok=True)
    for folder in (wanted.folder, wanted.folder / "trials", wanted.folder / "leases"):
        jsonl.sweep(folder, older=ABANDONED)
    file = wanted.folder / "study.json"
    wanted = dataclasses.replace(wanted, created=utc_now(), versions=versions())
    if not file.exists() and _create(file, wanted):
        return wanted
    stored = Study.open(wanted.folder)
    if changed := differences(stored, wanted):
        problem = f"{wanted.folder} is a different search; differences:"
        advice = "choose another search.name, or leave it out"
        raise UserError("\n".join([problem, *changed, advice]))
    updated = dataclasses.replace(stored, budget_kwh=wanted.budget_kwh, storage=wanted.storage)
    return extend(updated, wanted.total, stored)


def extend(study: Study, total: int, before: Study | None = None) -> Study:
    """The study with at least `total` slots, and all that have a file; written if it differs.

    before: the study on disk, if it is not `study`
    """
    larger = dataclasses.replace(study, total=max(total, _slots(study)))
    if larger != (before or study):
        jsonl.replace(study.folder / "study.json", json.dumps(larger.to_json(), indent=1) + "\n")
    return larger


def _create(file: Path, study: Study) -> bool:
    """Create the file atomically; False if it exists."""
    draft = file.with_name(f".{uuid.uuid4().hex}.tmp")
    jsonl.replace(draft, json.dumps(study.to_json(), indent=1) + "\n")
    try:
        os.link(draft, file)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def _slots(study: Study) -> int:
    """Number of slots up to the last one with a file."""
    files = [path.stem for path in (study.folder / "trials").glob("[0-9]*.json")]
    return 1 + max(map(int, files), default=-1)


def differences(stored: Study, wanted: Study) -> list[str]:
    """A line for each difference in the fields that identify a study."""
    lines = []
    for name in IDENTITY:
        before, after = getattr(stored, name), getattr(wanted, name)
        if name == "space":
            before = {one.key: describe(one) for one in before}
            after = {one.key: describe(one) for one in after}
            for key in before | after:
                if before.get(key) != after.get(key):
                    lines.append(_line(key, before.get(key), after.get(key)))
        elif _comparable(name, before) != _comparable(name, after):
            lines.append(_line("" if name == "overrides" else f"search.{name}", before, after))
    return lines


def _comparable(name: str, value: Any) -> Any:
    """A field for comparison: overrides without order, trackers and energy options."""
    if name == "overrides":
        return sorted(word for word in value if not word.startswith(("tracker", "energy")))
    return jsonl.encode(value)


def _line(key: str, before: Any, after: Any) -> str:
    texts = [
        " ".join(one) if isinstance(one, tuple) else "none" if one is None else str(one)
        for one in (before, after)
    ]
    return f"{key or 'overrides'}: the study has {texts[0] or 'none'}, given {texts[1] or 'none'}"


def describe(one: Dimension) -> str:
    """A dimension in Hydra's override grammar."""
    if one.words:
        pairs = zip(one.literals, one.words, strict=True)
        return "; ".join(f"{name}: {' '.join(words)}" for name, words in pairs)
    if one.kind == "choice":
        return f"choice({','.join(one.literals)})"
    inside = f"interval({one.low:g},{one.high:g})"
    inside = f"int({inside})" if one.kind == "integer" else inside
    return f"tag(log,{inside})" if one.log else inside


def study_name(study: Study) -> str:
    """The default name of a study: its keys, and a digest of the fields that identify it."""
    identity = json.dumps(
        {
            name: _comparable(name, value)
            for name, value in dataclasses.asdict(study).items()
            if name in IDENTITY
        }
    )
    keys = "-".join(one.key.rpartition(".")[2].replace("/", ".") for one in study.space)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', keys)[:40].strip('-.') or 'trials'}-{digest}"


def study_folder(runs: str | Path, name: str) -> Path:
    """The folder of a study. UserError for an invalid name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._=-]*", name):
        raise UserError(f"search.name={name}: expected letters, digits and . _ = -")
    return Path(runs, FOLDER, name)


def write(study: Study, trial: Trial) -> None:
    """Replace the file of a trial atomically and durably."""
    jsonl.replace(study.path(trial.slot), json.dumps(trial.to_json(), indent=1) + "\n")


def is_validated(wanted: Study) -> bool:
    """Whether the configs of all slots of the study were validated before."""
    with contextlib.suppress(OSError, ValueError):
        return int((wanted.folder / "validated").read_text()) >= wanted.total
    return False


def mark_validated(study: Study) -> None:
    """Record that all current slots are validated; see `is_validated`."""
    jsonl.replace(study.folder / "validated", f"{study.total}\n")


def skip(
    study: Study, slot: int, params: Mapping[str, Any], overrides: Sequence[str], why: str
) -> None:
    """Record that the config of a slot cannot run, unless its trial was started."""
    if study.trial(slot).state == "waiting":
        skipped = Trial(
            slot, dict(params), tuple(overrides), state="skipped", reason=why, ended=utc_now()
        )
        write(study, skipped)


def kwh_of_earlier_runs(trial: Trial) -> float:
    """kWh of the runs of a trial before the latest one."""
    return sum(one[1] for run, one in trial.energy_by_run.items() if run != trial.run)


def with_energy(study: Study, trial: Trial) -> Trial:
    """The trial with the energy in the ledgers of its runs that are readable on this machine."""
    used = dict(trial.energy_by_run) | ({trial.run: [0.0] * 4} if trial.run else {})
    used |= _failed_starts(study, trial)
    for run in used:
        stored = StoredRun(study.runs / run)
        if stored.facts:
            with contextlib.suppress(OSError, ValueError):
                one = run_energy(stored)
                used[run] = [one.totals.joules, one.kwh, one.gco2e, _seconds(stored)]
    sums = [sum(column) for column in zip(*used.values(), strict=True)] if used else [0.0] * 4
    return dataclasses.replace(
        trial, energy_by_run=used, joules=sums[0], kwh=sums[1], gco2e=sums[2], seconds=sums[3]
    )


def _failed_starts(study: Study, trial: Trial) -> dict[str, list[float]]:
    """{name: [joules, kwh, gco2e, seconds]} of attempts that were killed before they had a run."""
    found = {}
    for name, line in ledger.early_attempts(study.runs).items():
        start = line.get("start", {})
        if (start.get("sweep"), start.get("slot")) == (study.name, trial.slot):
            kwh, grams = ledger.early_cost(line)
            seconds = sum(line["seconds_by_phase"].values())
            found[f"{ledger.STARTS}/{name}"] = [line["joules"], kwh, grams, seconds]
    return found


def _seconds(run: StoredRun) -> float:
    return float(sum(run.energy().seconds.values()))


def with_reports(study: Study, trial: Trial) -> Trial:
    """The trial with all evaluations in the log of its run, if it is readable on this machine."""
    if trial.run is None:
        return trial
    run, name = StoredRun(study.runs / trial.run), study.objectives[0]
    lines = [
        line for line in run.lines if line.get("split") == "valid" and {name, "step"} <= line.keys()
    ]
    kwh, before = carbon_of(run).kwh, kwh_of_earlier_runs(trial)
    reports = tuple(
        (line["step"], float(line[name]), before + kwh(line.get("joules", 0.0))) for line in lines
    )
    return dataclasses.replace(trial, reports=reports) if reports else trial


def objective_values(study: Study, trial: Trial, *, last: bool) -> tuple[float, ...]:
    """The value of each objective: of the whole trial, or of its best or last evaluation; NaN
    without one."""
    whole = {name: getattr(trial, name) for name in WHOLE}
    return tuple(
        whole[name] if name in whole else _evaluated(study, trial, n, name, last)
        for n, name in enumerate(study.objectives)
    )


def _evaluated(study: Study, trial: Trial, n: int, name: str, last: bool) -> float:
    if n == 0:
        values: Sequence[float] = [value for _, value, _ in trial.reports]
    elif trial.run is None:
        return float("nan")
    else:
        run = StoredRun(study.runs / trial.run)
        values = [line[name] for line in run.lines if line["split"] == "valid" and name in line]
    if not values:
        return float("nan")
    return values[-1] if last else min(values, key=lambda value: study.cost(value, n))


def version_changes(study: Study) -> str:
    """Packages whose versions have changed since the study was created, as text; "": none."""
    current = versions()
    return ", ".join(
        f"{name} {before} is now {current[name]}"
        for name, before in study.versions.items()
        if current.get(name, before) != before
    )


def versions() -> dict[str, str]:
    """{package: version} of the packages that determine the drawn parameters."""
    names = ("fxformer", "optuna", "numpy", "scipy", "hydra-core")
    found = {"python": sys.version.split()[0]}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
