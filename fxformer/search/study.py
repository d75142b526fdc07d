"""A study: the folder of one search, the records in it, and their reading. Never writes.

<runs>/.searches/<name>/
    study.json          what is searched; written once, changed only in what may grow
    trials/00003.json   one trial, replaced atomically: the truth
    logs/00003.log      what its processes printed, all attempts
    claims/00003.1      who took up trial 3 for the first time; renewed while it lives
    optuna.journal      the same as an Optuna study, for optuna-dashboard; made anew if damaged
"""

import dataclasses
import math
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from fxformer import jsonl
from fxformer.config.type_check import type_problem
from fxformer.errors import UserError
from fxformer.track.run_lock import is_alive

FOLDER = ".searches"  # in the folder of the runs
State = Literal[
    "waiting", "running", "complete", "pruned", "failed", "interrupted", "stopped", "skipped"
]
WHOLE = ("kwh", "joules", "gco2e", "seconds")  # objectives that are of the whole trial


@dataclasses.dataclass(frozen=True)
class Dimension:
    """One key of the space.

    kind: "interval" (floats), "integer" or "choice"
    low, high: both ends belong to it; None for a choice
    log: drawn evenly in the logarithm
    choices: plain values (None, bool, int, float, str), as in Trial.params
    words: the same as the command line writes them, quotes and all
    """

    key: str
    kind: Literal["interval", "integer", "choice"]
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    words: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Trial:
    """One slot of the search; its file holds these fields under these names.

    slot: 0, 1, …; its parameters follow from the seed and it alone (or are recorded, see samplers)
    params: {key: plain value}; {} while they are not drawn
    overrides: the same as words of a command line; `Study.overrides` come before them
    state: waiting | running | complete | pruned | failed | interrupted (goes on from its
        checkpoint when it is taken up again) | stopped (the same; the budget was spent) | skipped
        (its config cannot run, search.skip_illegal)
    reason: why it is so, in words
    values: of the study's objectives in their order; [] unless complete or pruned
    reports: [[step, value, kwh], …] of the first objective, one per evaluation, steps ascending;
        kwh is what the trial had used by then. A value may be NaN
    joules, kwh, gco2e, seconds: all attempts, crashed ones too; wall time of all phases
    spent: {run folder: [joules, kwh, gco2e, seconds]}, which these are the sums of
    run: the latest run's folder, relative to the folder of the runs; None before there is one
    attempts: how often it was taken up; failures: how many of these failed
    code: exit code of the last process; negative: the signal that killed it
    worker: name of who took it up last; owner: its process, see track.run_lock
    started, ended: ISO 8601, UTC; of the first attempt, of the last
    """

    slot: int
    params: dict[str, Any] = dataclasses.field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    state: State = "waiting"
    reason: str | None = None
    values: tuple[float, ...] = ()
    reports: tuple[tuple[int, float, float], ...] = ()
    joules: float = 0.0
    kwh: float = 0.0
    gco2e: float = 0.0
    seconds: float = 0.0
    spent: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    run: str | None = None
    attempts: int = 0
    failures: int = 0
    code: int | None = None
    worker: str | None = None
    owner: dict[str, Any] | None = None
    started: str | None = None
    ended: str | None = None

    @property
    def value(self) -> float | None:
        """Of the first objective, None where there is none."""
        return self.values[0] if self.values else None

    @property
    def status(self) -> State:
        """`state`; a running trial whose worker is known to be dead is interrupted."""
        if self.state == "running" and not is_alive(self.owner or {}):
            return "interrupted"
        return self.state

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` undoes it. NaN and infinities are strings, as in jsonl."""
        return jsonl.encode(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Self:
        """What `to_json` gave; fields of later versions are passed over. UserError: no trial."""
        try:
            kept = _typed(cls, given, skip=("values", "reports"))
            kept["values"] = tuple(float(value) for value in kept.get("values", ()))
            kept["overrides"] = tuple(kept.get("overrides", ()))
            kept["reports"] = tuple(
                (int(step), float(value), float(kwh)) for step, value, kwh in kept["reports"]
            )
            return cls(**kept)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise UserError(f"not a trial: {str(error)[:200]}") from error


@dataclasses.dataclass(frozen=True)
class Study:
    """What study.json holds, and the folder it was found in.

    command: the words after `fxformer` that began it; the same words go on with it
    overrides: those of them that every trial has
    sampler, pruner: the parts as the config has them, with `_target_`; pruner None: none
    total: how many slots there are
    objectives: numbers of the evaluation, or kwh, joules, gco2e, seconds of the whole trial
    maximize: those of them that are to be large
    created: ISO 8601, UTC; versions: {package: version}
    storage: where claims are made: "files", or the address of a database without its password
    """

    folder: Path
    name: str
    command: tuple[str, ...]
    overrides: tuple[str, ...]
    space: tuple[Dimension, ...]
    sampler: dict[str, Any]
    pruner: dict[str, Any] | None
    seed: int
    total: int
    objectives: tuple[str, ...]
    maximize: tuple[str, ...] = ()
    budget_kwh: float | None = None
    created: str = ""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    storage: str = "files"

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """UserError where there is no readable study."""
        try:
            given = jsonl.load(Path(folder, "study.json"))
        except (OSError, ValueError) as error:
            raise UserError(f"{folder} is not a study: {error}") from error
        return cls.from_json(folder, given)

    @classmethod
    def from_json(cls, folder: str | Path, given: dict[str, Any]) -> Self:
        """What `to_json` gave; fields of later versions are passed over. UserError: no study."""
        try:
            fields = _typed(cls, given, skip=("space", "folder"))
            fields.pop("folder", None)
            fields["space"] = tuple(
                Dimension(**one | {key: tuple(one[key]) for key in ("choices", "words")})
                for one in (_typed(Dimension, dimension) for dimension in given["space"])
            )
            for key in ("command", "overrides", "objectives", "maximize"):
                fields[key] = tuple(given[key])
            for one in fields["space"]:
                if one.kind != "choice" and (one.low is None or one.high is None):
                    raise ValueError(f"space: {one.key} has no low or no high end")
            return cls(folder=Path(folder), **fields)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{folder} is not a study: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """Plain values, all but the folder."""
        body = jsonl.encode(dataclasses.asdict(self))
        del body["folder"]
        return body

    @property
    def runs(self) -> Path:
        """The folder of the runs."""
        return self.folder.parent.parent

    @property
    def journal(self) -> Path:
        """The Optuna storage beside the trials: `optuna-dashboard PATH` opens it."""
        return self.folder / "optuna.journal"

    def path(self, slot: int) -> Path:
        """The file of a trial."""
        return self.folder / "trials" / f"{slot:05d}.json"

    def log(self, slot: int) -> Path:
        """What a trial's processes printed."""
        return self.folder / "logs" / f"{slot:05d}.log"

    def trial(self, slot: int) -> Trial:
        """The trial of a slot, a waiting one where it has no readable file."""
        try:
            return Trial.from_json(jsonl.load(self.path(slot)))
        except (OSError, ValueError):
            return Trial(slot)

    def trials(self) -> list[Trial]:
        """All slots in order, also those that nobody has taken up."""
        return [self.trial(slot) for slot in range(self.total)]

    def ranked(self, trials: Sequence[Trial]) -> list[Trial]:
        """The complete ones by the first objective, the best first; NaN is the worst there is."""
        ended = [trial for trial in trials if trial.state == "complete" and trial.values]
        return sorted(ended, key=lambda trial: (self.cost(trial.values[0]), trial.slot))

    def best(self, trials: Sequence[Trial]) -> Trial | None:
        """The first of `ranked`."""
        return next(iter(self.ranked(trials)), None)

    def cost(self, value: float, objective: int = 0) -> float:
        """A value as something to make small: -value where it is to be large; inf for NaN."""
        sign = -1.0 if self.objectives[objective] in self.maximize else 1.0
        return math.inf if math.isnan(value) else sign * value


def _typed(cls: type, given: Any, skip: Sequence[str] = ()) -> dict[str, Any]:
    """The fields of a dataclass out of JSON, those of later versions left out. ValueError names the
    first one of a wrong type; `skip`: fields that are judged elsewhere."""
    if not isinstance(given, dict):
        raise ValueError(f"a JSON object is expected, got {str(given)[:60]}")
    hints = typing.get_type_hints(cls)
    known = {key: given[key] for key in (field.name for field in dataclasses.fields(cls))
             if key in given}  # fmt: skip
    for key, value in known.items():
        if key not in skip and (why := type_problem(value, hints[key])):
            raise ValueError(f"{key} {why}")
    return known


def unreadable(root: str | Path) -> dict[str, str]:
    """{name: why} of the studies of a folder of runs that `studies` passes over."""
    found = {}
    for file in sorted(Path(root, FOLDER).glob("*/study.json")):
        try:
            Study.open(file.parent)
        except UserError as error:
            found[file.parent.name] = str(error)
    return found


def studies(root: str | Path) -> list[Study]:
    """The studies of a folder of runs, the oldest first; what cannot be read is passed over."""
    found = []
    for file in Path(root, FOLDER).glob("*/study.json"):
        try:
            found.append(Study.open(file.parent))
        except UserError:
            continue
    return sorted(found, key=lambda study: (study.created, study.name))


def find(root: str | Path, which: str) -> Study:
    """The study called `which`: a folder, a name, the beginning of one, or "last". UserError."""
    if (Path(which) / "study.json").exists():
        return Study.open(which)
    there = studies(root)
    if which == "last" and there:
        return there[-1]
    exact = [study for study in there if study.name == which]
    close = exact or [study for study in there if study.name.startswith(which)]
    if len(close) != 1:
        names = ", ".join(study.name for study in there) or "none"
        raise UserError(f"no study {which!r} in {Path(root)}/; there are: {names}")
    return close[0]
