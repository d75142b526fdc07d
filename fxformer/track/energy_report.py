"""Energy report of a folder of runs (`fxformer energy`): by run, search, phase and device.

Every attempt counts: finished, interrupted, failed, killed (up to its last line), of every process.
What a killed one used after its last line is estimated and reported next to the sum.
"""

import dataclasses
import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fxformer.energy import ledger
from fxformer.energy.carbon import Carbon
from fxformer.energy.totals import EnergySum, EnergyTotals
from fxformer.track import formatting
from fxformer.track.run_reader import StoredRun
from fxformer.track.show import carbon_of

FIELDS = ("phase", "device", "provenance")


@dataclasses.dataclass(frozen=True)
class RunEnergy:
    """Energy of one run, and per token, step and 0.1 nats.

    kwh, gco2e: with PUE and carbon intensity of the run's own config
    joules_per_token, joules_per_step: of the training phase; None before the first step
    kwh_per_tenth_nat: kWh for each 0.1 nats that the held-out loss fell below its first value; None
        where it was not evaluated twice or did not fall
    lost: estimated joules of each killed attempt after its last line; in no sum
    unattributed: joules from an equal split of a shared device
    """

    run: StoredRun
    totals: EnergyTotals
    kwh: float
    gco2e: float
    joules_per_token: float | None
    joules_per_step: float | None
    kwh_per_tenth_nat: float | None
    lost: tuple[float, ...] = ()
    unattributed: float = 0.0


@dataclasses.dataclass(frozen=True)
class EarlyAttempts:
    """Sums over the attempts that ended before their run had a folder."""

    attempts: int = 0
    totals: EnergyTotals = dataclasses.field(default_factory=EnergyTotals)
    kwh: float = 0.0
    gco2e: float = 0.0
    lost: tuple[float, ...] = ()

    @classmethod
    def read(cls, root: str | Path) -> "EarlyAttempts":
        """Those below a folder of runs."""
        lines = list(ledger.early_attempts(root).values())
        costs = [ledger.early_cost(line) for line in lines]
        totals = sum((EnergyTotals.from_json(line) for line in lines), EnergyTotals())
        kwh, grams = (sum(column) for column in zip(*costs, strict=True)) if costs else (0.0, 0.0)
        killed = (line for line in lines if not line.get("final"))
        return cls(len(lines), totals, kwh, grams, tuple(map(ledger.estimate_lost, killed)))


def run_energy(run: StoredRun, grid: Mapping[str, Any] | None = None) -> RunEnergy:
    """Energy of a run, from its ledger, metrics and config.

    grid: options of `Carbon` for an hourly file, instead of those in the run's config
    """
    carbon = carbon_of(run)
    carbon = carbon if grid is None else Carbon(pue=carbon.pue, **grid)
    train, losses = run.metrics("train"), run.metrics("valid").get("loss", np.empty(0))
    reached = {name: _last(train, name) for name in ("tokens", "step")}
    found = compute_energy(run, run.energy(), carbon, losses=losses, **reached)
    file = run.folder / "energy.jsonl"
    killed = [one for one in ledger.attempts(file).values() if ledger.was_killed(one)]
    return dataclasses.replace(
        found,
        lost=tuple(ledger.estimate_lost(one) for one in killed),
        unattributed=sum(ledger.unattributed(file).values()),
    )


def compute_energy(
    run: StoredRun,
    totals: EnergyTotals,
    carbon: Carbon,
    *,
    tokens: float | None,
    step: float | None,
    losses: np.ndarray,
) -> RunEnergy:
    """Energy of a run from its totals, tokens and step reached, and held-out losses [N]."""
    training = totals.by("phase").get("train")
    losses = losses[~np.isnan(losses)]
    gain = float(losses[0] - losses.min()) if len(losses) > 1 else 0.0
    kwh, grams = carbon.kwh(totals.joules), carbon.gco2e(totals.joules, totals.hours)
    return RunEnergy(
        run,
        totals,
        kwh,
        grams,
        training.joules / tokens if training and tokens else None,
        training.joules / step if training and step else None,
        kwh / (gain / 0.1) if gain > 0 else None,
    )


def _last(columns: dict[str, np.ndarray], name: str) -> float | None:
    values = columns.get(name, np.empty(0))
    values = values[np.isfinite(values)]
    return float(values[-1]) if len(values) else None


def by_search(runs: Sequence[RunEnergy]) -> dict[str, list[RunEnergy]]:
    """The runs of each search (-m), by its name; runs alone are left out."""
    groups: dict[str, list[RunEnergy]] = {}
    for one in runs:
        if name := one.run.facts.get("sweep"):
            groups.setdefault(str(name), []).append(one)
    return groups


def print_report(runs: Sequence[RunEnergy], early: EarlyAttempts, console: Console) -> None:
    total = sum((one.totals for one in runs), early.totals)
    table = _table("run", "status", "energy", "± 1σ", "gCO2e", "J/step", "mJ/token", "Wh/0.1 nats")
    for one in sorted(runs, key=lambda one: -one.totals.joules):
        table.add_row(*(Text(cell) for cell in _cells(one)))
    console.print(table)
    for name, some in by_search(runs).items():
        console.print(Text(f"search {formatting.safe(name)}: {_together(some)}"))
    for field in FIELDS:
        table = _table(field, "energy", "± 1σ", "share")
        for name, part in total.by(field).items():
            share = formatting.percent(part.joules / total.joules)
            cells = (name, formatting.si(part.joules, "J"), formatting.si(part.sigma, "J"), share)
            table.add_row(*(Text(formatting.safe(cell)) for cell in cells))
        console.print(table)
    console.print(_sum(runs, early, total.total))
    for words in _notes(runs, early):
        console.print(Text(words))
    for one in runs:
        for why in one.run.problems():
            words = formatting.safe(f"{one.run.id}: unreadable: {why}")
            console.print(Text(words, style="red"), soft_wrap=True)


def _table(*names: str) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 1))
    for name in names:
        left = name in ("run", "status", "phase", "device", "provenance")
        table.add_column(name, justify="left" if left else "right", no_wrap=name != "run")
    return table


def _cells(one: RunEnergy) -> list[str]:
    total = one.totals.total
    mine = [
        one.joules_per_step,
        None if one.joules_per_token is None else 1e3 * one.joules_per_token,
    ]
    mine.append(None if one.kwh_per_tenth_nat is None else 1e3 * one.kwh_per_tenth_nat)
    return [
        formatting.safe(one.run.id),
        one.run.status,
        formatting.si(total.joules, "J"),
        formatting.si(total.sigma, "J"),
        formatting.si(one.gco2e, "g"),
        *("–" if value is None else f"{value:.3g}" for value in mine),
    ]


def _notes(runs: Sequence[RunEnergy], early: EarlyAttempts) -> list[str]:
    """Notes on the sum: early attempts in it, killed attempts, joules from equal splits."""
    notes = []
    if early.attempts:
        notes.append(
            f"of these {formatting.si(early.totals.joules, 'J')} of "
            f"{_count(early.attempts, 'attempt')} that ended before the run had a folder"
        )
    if lost := [*(joules for one in runs for joules in one.lost), *early.lost]:
        notes.append(
            f"killed: {_count(len(lost), 'attempt')}; the energy after the ledger's last line, "
            f"about {formatting.si(sum(lost), 'J')} (estimated), is not in the sum"
        )
    if equal := sum(one.unattributed for one in runs):
        notes.append(
            f"{formatting.si(equal, 'J')} of shared devices are an equal split among "
            "processes: right in sum, not attributable to single runs"
        )
    return notes


def _sum(runs: Sequence[RunEnergy], early: EarlyAttempts, total: EnergySum) -> Text:
    kwh = early.kwh + sum(one.kwh for one in runs)
    grams = early.gco2e + sum(one.gco2e for one in runs)
    joules, spread = formatting.si(total.joules, "J"), formatting.percent(total.relative)
    wh, co2e = formatting.si(1000 * kwh, "Wh"), formatting.si(grams, "g")
    words = f"{_runs(runs)}: {joules} ± {spread} (1σ), {wh} from the grid, {co2e} CO2e"
    return Text(f"{words}; {total.provenance}", style="bold")


def _together(some: Sequence[RunEnergy]) -> str:
    """3 runs (1 failed), 4.00 kJ, 1.11 Wh from the grid, 528 mg CO2e; failed runs are included."""
    states = Counter(one.run.status for one in some)
    wrong = ", ".join(f"{number} {state}" for state, number in states.items() if state != "done")
    sums = _sums(some)
    joules, wh = formatting.si(sums["joules"], "J"), formatting.si(1000 * sums["kwh"], "Wh")
    ended, grams = f" ({wrong})" if wrong else "", formatting.si(sums["gco2e"], "g")
    return f"{_runs(some)}{ended}, {joules}, {wh} from the grid, {grams} CO2e"


def _sums(some: Sequence[RunEnergy]) -> dict[str, float]:
    """Sums over several runs, as JSON values."""
    return {
        "joules": sum(one.totals.joules for one in some),
        "kwh": sum(one.kwh for one in some),
        "gco2e": sum(one.gco2e for one in some),
    }


def _runs(some: Sequence[RunEnergy]) -> str:
    return _count(len(some), "run")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _hour(hour: int) -> str:
    """A UTC hour since 1970 as ISO 8601."""
    when = datetime.datetime.fromtimestamp(3600 * hour, datetime.UTC)
    return when.isoformat(timespec="minutes")


def to_json(runs: Sequence[RunEnergy], early: EarlyAttempts) -> dict:
    """For JSON."""
    total = sum((one.totals for one in runs), early.totals)
    own = {"joules": early.totals.joules, "kwh": early.kwh, "gco2e": early.gco2e}
    lost = [*(joules for one in runs for joules in one.lost), *early.lost]
    return {
        **{name: value + own[name] for name, value in _sums(runs).items()},
        "early_attempts": {"attempts": early.attempts, **own},
        "killed": {"attempts": len(lost), "lost_joules": sum(lost)},
        "sigma": total.total.sigma,
        "by": {f: {n: p.joules for n, p in total.by(f).items()} for f in FIELDS}
        | {"hour": {_hour(hour): joules for hour, joules in sorted(total.hours.items())}},
        "searches": {
            name: _sums(some) | {"runs": [one.run.id for one in some]}
            for name, some in by_search(runs).items()
        },
        "runs": [
            {
                "run": one.run.id,
                "status": one.run.status,
                "unreadable": one.run.problems(),
                "kwh": one.kwh,
                "gco2e": one.gco2e,
                "joules_per_token": one.joules_per_token,
                "joules_per_step": one.joules_per_step,
                "kwh_per_tenth_nat": one.kwh_per_tenth_nat,
                "lost_joules": sum(one.lost),
                "unattributed_joules": one.unattributed,
                **one.totals.to_json(),
            }
            for one in runs
        ],
    }
