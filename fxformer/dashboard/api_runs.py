"""API of runs: rows of the table, details of one run, revisions for polling."""

import contextlib
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fxformer import jsonl
from fxformer.dashboard import configs, notes, run_scores
from fxformer.dashboard.run_index import RunIndex
from fxformer.data import round_trip
from fxformer.files import open_regular
from fxformer.track.evaluations import evaluation_texts, signatures_of
from fxformer.track.redact import Redactor
from fxformer.track.run_reader import StoredRun, name_of
from fxformer.track.wandb import sync_command

_TAIL = 16_384  # bytes from the end of a log that are searched for its last lines
_LAST = ("loss", "accuracy", "tokens_per_second", "step", "tokens", "seconds", "joules")
_VALID = ("loss", "nll", "accuracy", "bits_per_byte", "perplexity")


def runs(index: RunIndex, params: Mapping[str, str]) -> dict[str, Any]:
    """{"root", "command", "runs": [{"key", "name", "status", …}], "scores": […]}, the oldest first.

    scores: columns of the scores of labelled tasks, as of `run_scores.table`
    Reads each run.json and the end of each log, never a whole log.
    """
    redactor, rows, evaluated = Redactor(), [], []
    for key, run in index.runs().items():
        last = _last_lines(run.folder / "metrics.jsonl")
        rows.append(_row(index, key, run, redactor, last))
        evaluated.append(run_scores.evaluations(run.facts, last.get("valid", {})))
    columns, scores = run_scores.table(evaluated)
    rows = [row | {"scores": own} for row, own in zip(rows, scores, strict=True)]
    return {"root": str(index.root), "runs": rows, "scores": columns}


def revisions(index: RunIndex, params: Mapping[str, str]) -> dict[str, str]:
    """{key: revision of the run}, for polling: it changes whenever a file of the run does."""
    return index.revisions()


def run(index: RunIndex, params: Mapping[str, str]) -> dict[str, Any]:
    """Details of one run: commands, versions, machine, attempts, events."""
    key = params.get("run", "")
    one, redactor = index.run(key), Redactor()
    facts = one.facts
    events = [line for line in one.events() if line.get("event") not in ("start", "end")][-50:]
    known = {
        name: facts.get(name)
        for name in (
            "status",
            "reason",
            "command",
            "started",
            "ended",
            "attempts",
            "code",
            "packages",
            "python",
            "platform",
            "machine",
            "devices",
            "parameters",
            "architecture",
            "wandb_id",
        )
    }
    summary = facts.get("summary")
    text = {
        name: summary.get(name) if isinstance(summary, dict) else None
        for name in ("tokens_dropped", "valid_pieces", "valid_pieces_missing")
    }
    given = redactor.value({**known, **text, "events": events, "data": facts.get("data")})
    given["command"] = redacted(str(facts.get("command") or ""), redactor)
    return given | {
        "key": key,
        "folder": str(one.folder),
        "repeat": repeat(one, redactor),
        **notes.read(one),
        **index.ledger(key).remarks(),
        "evaluations": redactor.value(evaluation_texts(facts)),
        "wandb": sync_command(one.folder, facts.get("wandb_id")),
    }


def repeat(one: StoredRun, redactor: Redactor) -> list[str]:
    """The commands that reproduce the run: checkout of its commit, then its own overrides."""
    facts = one.facts
    code = facts.get("code") or {}
    lines = [f"git checkout {code['commit']}"] if code.get("commit") else []
    if code.get("dirty"):
        lines.append("# the working tree had uncommitted changes")
    if facts.get("overrides") is not None:
        words = redactor.arguments([str(word) for word in facts["overrides"]])
        return [*lines, shlex.join(["fxformer", "train", *words])]
    command = redacted(str(facts.get("command") or ""), redactor)
    if facts.get("sweep"):
        with contextlib.suppress(ValueError):  # an unreadable config
            command += f"  # the whole sweep; this run has seed={one.config.get('seed')}"
    return [*lines, command]


def redacted(command: str, redactor: Redactor) -> str:
    """A command line with its secrets redacted."""
    try:
        return shlex.join(redactor.arguments(shlex.split(command)))
    except ValueError:  # unbalanced quotes
        return redactor.text(command)


def _row(
    index: RunIndex,
    key: str,
    one: StoredRun,
    redactor: Redactor,
    last: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """A row of the table. last: the last lines of the log by split"""
    facts = one.facts
    summary = facts.get("summary") or {}
    train, valid = last.get("train", {}), dict(last.get("valid", {}))
    for name in _VALID:
        valid.setdefault(name, summary.get(f"valid_{name}"))
    joules = summary.get("joules", train.get("joules", valid.get("joules")))
    row = {
        "key": key,
        "name": name_of(one.id),
        "given": facts.get("name"),
        "status": one.status,
        "reason": redactor.text(one.reason_with(index.problem(key))),
        "sweep": facts.get("sweep"),
        "overrides": redactor.arguments([str(one) for one in facts.get("overrides") or []]),
        "started": facts.get("started"),
        "ended": facts.get("ended"),
        "architecture": facts.get("architecture"),
        "parameters": facts.get("parameters"),
        "best": summary.get("best"),
        "joules": joules,
        "mfu": summary.get("mfu", _mfu(facts, train)),
        "lossy": _lossy(facts),
        "kwh": summary.get("kwh"),
        "gco2e": summary.get("gco2e"),
        "attempts": len(facts.get("attempts") or []),
        **notes.read(one),
    }
    if row["kwh"] is None and joules is not None:
        carbon = configs.carbon(index, key)
        hours = index.totals(key).hours if carbon.hourly else None
        row |= {"kwh": carbon.kwh(joules), "gco2e": carbon.gco2e(joules, hours)}
    row |= {
        f"train_{name}" if name in ("loss", "accuracy") else name: train.get(name)
        for name in _LAST
        if name != "joules"
    }
    # with trainer.log_every the last step may be logged by its evaluation only
    row["step"] = max((one["step"] for one in (train, valid) if one.get("step")), default=None)
    scored = signatures_of(facts)  # metrics have columns of their own
    return row | {f"valid_{name}": None if name in scored else valid[name] for name in _VALID}


def _lossy(facts: Mapping[str, Any]) -> str:
    """Share of the text that the tokenizer loses, as text; "" for none or unknown."""
    try:
        return round_trip.mark(facts["data"]["valid"])
    except (KeyError, TypeError, AttributeError):
        return ""


def _mfu(facts: Mapping[str, Any], train: Mapping[str, Any]) -> float | None:
    """MFU of the last logged step; None where the peak FLOP/s of the devices is unknown."""
    rate, peak = train.get("tokens_per_second"), facts.get("peak_flops")
    flops = facts.get("flops_per_token")
    return rate * flops / peak if rate and flops and peak else None


def _last_lines(log: Path) -> dict[str, dict[str, Any]]:
    """{split: its last complete line} from the end of a log."""
    try:
        with open_regular(log) as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            lines = file.read().split(b"\n")
    except OSError:
        return {}
    found: dict[str, dict[str, Any]] = {}
    for text in reversed(lines):
        if {"train", "valid"} <= set(found):
            break
        if any(f'"split": "{name}"'.encode() in text[:80] for name in found):
            continue
        try:
            line = jsonl.parse(text)
        except ValueError:
            continue
        numbers = {name: value for name, value in line.items() if jsonl.is_number(value)}
        found.setdefault(str(line.get("split")), numbers)
    return found


def embedded_requests(index: RunIndex) -> Iterable[tuple[str, dict[str, str]]]:
    """The requests whose answers a report embeds."""
    yield "runs", {}
    yield "configs", {}
    for key in index.runs():
        yield "run", {"run": key}
        yield "config", {"run": key}
