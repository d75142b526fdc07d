"""The writing of a study: begun once by whoever is first, gone on with by the same command."""

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

ABANDONED = 24 * 3600.0  # seconds after which nobody is still writing a draft
# What makes it this study; the rest may change from one command to the next.
IDENTITY = ("space", "sampler", "pruner", "seed", "overrides", "objectives", "maximize")


def begin(wanted: Study) -> Study:
    """The study as it is on disk, made if it is not there yet; two at once make one.

    UserError, with what differs, where a study of this name is of something else. Its total may
    grow, its budget may change.
    """
    for part in ("trials", "logs", "claims"):
        (wanted.folder / part).mkdir(parents=True, exist_ok=True)
    for folder in (wanted.folder, wanted.folder / "trials", wanted.folder / "claims"):
        jsonl.sweep(folder, older=ABANDONED)
    file = wanted.folder / "study.json"
    wanted = dataclasses.replace(wanted, created=utc_now(), versions=versions())
    if not file.exists() and _first(file, wanted):
        return wanted
    there = Study.open(wanted.folder)
    if changed := differences(there, wanted):
        there_is = f"{wanted.folder} is another search; what differs:"
        advice = "write another search.name, or leave it out"
        raise UserError("\n".join([there_is, *changed, advice]))
    with_its = {"budget_kwh": wanted.budget_kwh, "storage": wanted.storage}
    return grown(dataclasses.replace(there, **with_its), wanted.total, there)


def grown(study: Study, total: int, before: Study | None = None) -> Study:
    """The study with so many slots, or all that have a file; on disk unless that says so."""
    larger = dataclasses.replace(study, total=max(total, _slots(study)))
    if larger != (before or study):
        jsonl.replace(study.folder / "study.json", json.dumps(larger.to_json(), indent=1) + "\n")
    return larger


def _first(file: Path, study: Study) -> bool:
    """Whether it was us who made the file."""
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
    """How many slots have a file, gaps included."""
    files = [path.stem for path in (study.folder / "trials").glob("[0-9]*.json")]
    return 1 + max(map(int, files), default=-1)


def differences(there: Study, wanted: Study) -> list[str]:
    """A line for each thing that makes two studies different."""
    lines = []
    for name in IDENTITY:
        before, after = getattr(there, name), getattr(wanted, name)
        if name == "space":
            before = {one.key: describe(one) for one in before}
            after = {one.key: describe(one) for one in after}
            for key in before | after:
                if before.get(key) != after.get(key):
                    lines.append(_line(key, before.get(key), after.get(key)))
        elif _told(name, before) != _told(name, after):
            lines.append(_line("" if name == "overrides" else f"search.{name}", before, after))
    return lines


def _told(name: str, value: Any) -> Any:
    """A field as it counts: of the overrides not the order, nor who is told and how it is read."""
    if name == "overrides":
        return sorted(word for word in value if not word.startswith(("tracker", "energy")))
    return jsonl.encode(value)


def _line(key: str, before: Any, after: Any) -> str:
    plain = [
        " ".join(one) if isinstance(one, tuple) else "nothing" if one is None else str(one)
        for one in (before, after)
    ]
    return f"{key or 'the rest'}: the study has {plain[0] or 'nothing'}, you gave {plain[1]}"


def describe(one: Dimension) -> str:
    """A dimension as one would write it."""
    if one.kind == "choice":
        return f"choice({','.join(one.words)})"
    inside = f"interval({one.low:g},{one.high:g})"
    inside = f"int({inside})" if one.kind == "integer" else inside
    return f"tag(log,{inside})" if one.log else inside


def name_of(study: Study) -> str:
    """A name that the same search always has: what is searched, and a digest of the rest."""
    identity = json.dumps(
        {
            name: _told(name, value)
            for name, value in dataclasses.asdict(study).items()
            if name in IDENTITY
        }
    )
    keys = "-".join(one.key.rpartition(".")[2].replace("/", ".") for one in study.space)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', keys)[:40].strip('-.') or 'trials'}-{digest}"


def folder_of(runs: str | Path, name: str) -> Path:
    """Where the study of a name lies. UserError for what is no name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._=-]*", name):
        raise UserError(f"search.name={name}: a name is letters, digits and . _ = -")
    return Path(runs, FOLDER, name)


def write(study: Study, trial: Trial) -> None:
    """Replace the file of a trial, on disk when this returns."""
    jsonl.replace(study.path(trial.slot), json.dumps(trial.to_json(), indent=1) + "\n")


def judged(wanted: Study) -> bool:
    """Whether the configs of a study of this name have been judged, all its slots."""
    with contextlib.suppress(OSError, ValueError):
        return int((wanted.folder / "judged").read_text()) >= wanted.total
    return False


def note_judged(study: Study) -> None:
    """Note that all slots there are now have been judged; see `judged`."""
    jsonl.replace(study.folder / "judged", f"{study.total}\n")


def skip(
    study: Study, slot: int, params: Mapping[str, Any], words: Sequence[str], why: str
) -> None:
    """Note that a slot's config cannot run, unless its trial has begun."""
    if study.trial(slot).state == "waiting":
        drawn = Trial(
            slot, dict(params), tuple(words), state="skipped", reason=why, ended=utc_now()
        )
        write(study, drawn)


def kwh_before(trial: Trial) -> float:
    """Of the trial's runs before the latest one."""
    return sum(one[1] for place, one in trial.spent.items() if place != trial.run)


def charged(study: Study, trial: Trial) -> Trial:
    """The trial with what its runs have used, as far as their ledgers can be read here."""
    spent = dict(trial.spent) | ({trial.run: [0.0] * 4} if trial.run else {})
    spent |= _starts(study, trial)
    for run in spent:
        stored = StoredRun(study.runs / run)
        if stored.facts:
            with contextlib.suppress(OSError, ValueError):
                one = run_energy(stored)
                spent[run] = [one.totals.joules, one.kwh, one.gco2e, _seconds(stored)]
    sums = [sum(column) for column in zip(*spent.values(), strict=True)] if spent else [0.0] * 4
    return dataclasses.replace(
        trial, spent=spent, joules=sums[0], kwh=sums[1], gco2e=sums[2], seconds=sums[3]
    )


def _starts(study: Study, trial: Trial) -> dict[str, list[float]]:
    """{name: [joules, kwh, gco2e, seconds]} of the trial's attempts that were killed before they
    had a run."""
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


def reported(study: Study, trial: Trial) -> Trial:
    """The trial with the evaluations that its run has written, if it can be read here: also those
    of which nobody has told its file."""
    if trial.run is None:
        return trial
    run, name = StoredRun(study.runs / trial.run), study.objectives[0]
    lines = [line for line in run.lines if line.get("split") == "valid" and name in line]
    kwh, before = carbon_of(run).kwh, kwh_before(trial)
    reports = tuple(
        (line["step"], float(line[name]), before + kwh(line.get("joules", 0.0))) for line in lines
    )
    return dataclasses.replace(trial, reports=reports) if reports else trial


def values_of(study: Study, trial: Trial, *, last: bool) -> tuple[float, ...]:
    """A number for each objective: of the whole trial, or of its evaluations (the best one, or the
    last). NaN where there is none."""
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


def drift(study: Study) -> str:
    """Which packages are others than when the study began, in words; "": none."""
    now = versions()
    return ", ".join(
        f"{name} {before} is now {now[name]}"
        for name, before in study.versions.items()
        if now.get(name, before) != before
    )


def versions() -> dict[str, str]:
    """Of what decides which parameters are drawn."""
    names = ("fxformer", "optuna", "numpy", "scipy", "hydra-core")
    found = {"python": sys.version.split()[0]}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
