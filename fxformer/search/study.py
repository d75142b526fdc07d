"""Study: the folder of a search and the records in it. Reads only; see study_io for writes.

<runs>/.searches/<name>/
    study.json          the search; only its total, budget and storage can change
    trials/00003.json   one trial, replaced atomically; authoritative
    logs/00003.log      output of its processes, all attempts
    leases/00003.1      lease of attempt 1 at trial 3; renewed while its worker lives
    optuna.journal      mirror as an Optuna study, for optuna-dashboard
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
WHOLE = ("kwh", "joules", "gco2e", "seconds")  # objectives of the whole trial


@dataclasses.dataclass(frozen=True)
class Dimension:
    """One key of the search space.

    kind: "interval" (floats), "integer" or "choice"
    low, high: inclusive ends; None for a choice
    log: whether sampled log-uniformly
    choices: plain values (None, bool, int, float, str), as in Trial.params
    literals: the choices in Hydra's override grammar, with quotes
    words: overrides that each choice stands for, of an arm; (): KEY=CHOICE
    """

    key: str
    kind: Literal["interval", "integer", "choice"]
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    literals: tuple[str, ...] = ()
    words: tuple[tuple[str, ...], ...] = ()

    @property
    def ends(self) -> tuple[float, float]:
        """(low, high) of an interval or of integers."""
        assert self.low is not None and self.high is not None
        return self.low, self.high

    def clipped(self, value: float) -> float:
        """A value limited to the ends."""
        low, high = self.ends
        return min(max(value, low), high)


@dataclasses.dataclass(frozen=True)
class Trial:
    """One slot of the search; its file holds these fields under these names.

    slot: 0, 1, …; determines the parameters together with the seed of the study (see `sample`)
    params: {key: plain value}; {} before they are drawn
    overrides: the parameters as overrides; `Study.overrides` precede them
    state: waiting | running | complete | pruned | failed | interrupted (will be resumed from its
        checkpoint) | stopped (likewise; the budget was used up) | skipped (its config cannot run,
        search.skip_illegal)
    reason: of the state, as text
    values: of the objectives of the study; [] unless complete or pruned
    reports: [[step, value, kwh], …] of the first objective, one per evaluation, steps ascending;
        kwh: energy of the trial until then. A value may be NaN
    joules, kwh, gco2e, seconds: of all attempts, including crashed ones; wall time of all phases
    energy_by_run: {run folder: [joules, kwh, gco2e, seconds]}, the summands of these
    run: folder of the latest run, relative to the folder of the runs; None before the first
    attempts: number of starts; failures: number of failed attempts
    code: exit code of the last process; negative: the signal that killed it
    worker: name of the last worker; owner: its process, see track.run_lock
    started, ended: ISO 8601, UTC; of the first and of the last attempt
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
    energy_by_run: dict[str, list[float]] = dataclasses.field(default_factory=dict)
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
        """The value of the first objective, None without one."""
        return self.values[0] if self.values else None

    @property
    def status(self) -> State:
        """`state`; a running trial whose worker is known to be dead is interrupted."""
        if self.state == "running" and not is_alive(self.owner or {}):
            return "interrupted"
        return self.state

    def to_json(self) -> dict[str, Any]:
        """Plain values, the inverse of `from_json`. NaN and infinities are strings, as in jsonl."""
        return jsonl.encode(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Self:
        """A trial from `to_json`; unknown fields are ignored. UserError if it is none."""
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
    """Contents of study.json, and its folder.

    command: arguments after `fxformer` that started it; the same arguments continue it
    overrides: those of them that every trial has
    sampler, pruner: configs of the parts, with `_target_`; pruner None: no pruning
    total: number of slots
    objectives: metrics of the evaluation, or kwh, joules, gco2e, seconds of the whole trial
    maximize: the objectives to be maximized
    created: ISO 8601, UTC; versions: {package: version}
    storage: of the leases: "files", or the address of a database without its password
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
        """Read a study. UserError without a readable study.json."""
        try:
            given = jsonl.load(Path(folder, "study.json"))
        except (OSError, ValueError) as error:
            raise UserError(f"{folder} is not a study: {error}") from error
        return cls.from_json(folder, given)

    @classmethod
    def from_json(cls, folder: str | Path, given: dict[str, Any]) -> Self:
        """A study from `to_json`; unknown fields are ignored. UserError if it is none."""
        try:
            fields = _typed(cls, given, skip=("space", "folder"))
            fields.pop("folder", None)
            fields["space"] = tuple(_dimension(one) for one in given["space"])
            for key in ("command", "overrides", "objectives", "maximize"):
                fields[key] = tuple(given[key])
            for one in fields["space"]:
                if one.kind != "choice" and (one.low is None or one.high is None):
                    raise ValueError(f"space: {one.key} has no low or no high end")
            return cls(folder=Path(folder), **fields)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{folder} is not a study: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the folder."""
        body = jsonl.encode(dataclasses.asdict(self))
        del body["folder"]
        return body

    @property
    def runs(self) -> Path:
        """The folder of the runs."""
        return self.folder.parent.parent

    @property
    def journal(self) -> Path:
        """The Optuna journal of the study; open it with `optuna-dashboard PATH`."""
        return self.folder / "optuna.journal"

    def path(self, slot: int) -> Path:
        """The file of a trial."""
        return self.folder / "trials" / f"{slot:05d}.json"

    def log(self, slot: int) -> Path:
        """The log of a trial: output of its processes."""
        return self.folder / "logs" / f"{slot:05d}.log"

    def trial(self, slot: int) -> Trial:
        """The trial of a slot; a waiting one without a readable file."""
        try:
            return Trial.from_json(jsonl.load(self.path(slot)))
        except (OSError, ValueError):
            return Trial(slot)

    def trials(self) -> list[Trial]:
        """The trials of all slots in order, also of waiting ones."""
        return [self.trial(slot) for slot in range(self.total)]

    def ranked(self, trials: Sequence[Trial]) -> list[Trial]:
        """The complete trials by the first objective, the best first; NaN is the worst."""
        complete = [trial for trial in trials if trial.state == "complete" and trial.values]
        return sorted(complete, key=lambda trial: (self.cost(trial.values[0]), trial.slot))

    def best(self, trials: Sequence[Trial]) -> Trial | None:
        """The best complete trial, None without one."""
        return next(iter(self.ranked(trials)), None)

    def cost(self, value: float, objective: int = 0) -> float:
        """A value to be minimized: -value for objectives to be maximized; inf for NaN."""
        sign = -1.0 if self.objectives[objective] in self.maximize else 1.0
        return math.inf if math.isnan(value) else sign * value


def _dimension(given: Any) -> Dimension:
    known = _typed(Dimension, given)
    known |= {key: tuple(known[key]) for key in ("choices", "literals")}
    known["words"] = tuple(map(tuple, known.get("words", ())))
    return Dimension(**known)


def _typed(cls: type, given: Any, skip: Sequence[str] = ()) -> dict[str, Any]:
    """The known fields of a dataclass in JSON. ValueError names the first of a wrong type.

    skip: fields that are checked elsewhere
    """
    if not isinstance(given, dict):
        raise ValueError(f"a JSON object is expected, got {str(given)[:60]}")
    hints = typing.get_type_hints(cls)
    known = {key: given[key] for key in (field.name for field in dataclasses.fields(cls))
             if key in given}  # fmt: skip
    for key, value in known.items():
        if key not in skip and (why := type_problem(value, hints[key])):
            raise ValueError(f"{key}: {why}")
    return known


def unreadable(root: str | Path) -> dict[str, str]:
    """{name: why} of the unreadable studies of a folder of runs."""
    found = {}
    for file in sorted(Path(root, FOLDER).glob("*/study.json")):
        try:
            Study.open(file.parent)
        except UserError as error:
            found[file.parent.name] = str(error)
    return found


def studies(root: str | Path) -> list[Study]:
    """The readable studies of a folder of runs, the oldest first."""
    found = []
    for file in Path(root, FOLDER).glob("*/study.json"):
        try:
            found.append(Study.open(file.parent))
        except UserError:
            continue
    return sorted(found, key=lambda study: (study.created, study.name))


def find(root: str | Path, which: str) -> Study:
    """The study given by folder, name, prefix of a name, or "last". UserError for none or many."""
    if (Path(which) / "study.json").exists():
        return Study.open(which)
    found = studies(root)
    if which == "last" and found:
        return found[-1]
    exact = [study for study in found if study.name == which]
    close = exact or [study for study in found if study.name.startswith(which)]
    if len(close) != 1:
        names = ", ".join(study.name for study in found) or "none"
        raise UserError(f"no study {which!r} in {Path(root)}/; studies: {names}")
    return close[0]
