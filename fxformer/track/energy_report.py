"""`fxformer energy [FOLDER]`: what all runs of a folder used, by run, search, phase and device.

Every attempt counts: finished, interrupted, failed, killed (up to its last line), of every process.
What a killed one used after its last line is estimated and told beside the sum.
"""

import dataclasses
import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

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
class Spent:
    """One run's account.

    kwh, gco2e: with the building's overhead and the grid of the run's own config
    per_token, per_step: joules of the training phase alone; None before the first step
    per_tenth: kWh for each 0.1 nats that the held-out loss fell below its first value; None where
        it was not evaluated twice or did not fall
    lost: [joules] that each killed attempt used after its last line, estimated; in no sum
    unattributed: joules that an equal split of a shared device has given
    """

    run: StoredRun
    totals: EnergyTotals
    kwh: float
    gco2e: float
    per_token: float | None
    per_step: float | None
    per_tenth: float | None
    lost: tuple[float, ...] = ()
    unattributed: float = 0.0


@dataclasses.dataclass(frozen=True)
class Starts:
    """The attempts that ended before their run had a folder, together."""

    attempts: int = 0
    totals: EnergyTotals = dataclasses.field(default_factory=EnergyTotals)
    kwh: float = 0.0
    gco2e: float = 0.0
    lost: tuple[float, ...] = ()

    @classmethod
    def of(cls, root: str | Path) -> "Starts":
        """Those of a folder of runs."""
        lines = list(ledger.early_attempts(root).values())
        prices = [ledger.early_cost(line) for line in lines]
        totals = sum((EnergyTotals.from_json(line) for line in lines), EnergyTotals())
        kwh, grams = (sum(column) for column in zip(*prices, strict=True)) if prices else (0.0, 0.0)
        killed = (line for line in lines if not line.get("final"))
        return cls(len(lines), totals, kwh, grams, tuple(map(ledger.estimate_lost, killed)))


def account(run: StoredRun, grid: Mapping[str, str] | None = None) -> Spent:
    """What a run used, and what it got for it.

    grid: knobs of `Carbon` for an hourly file, instead of what the run's own config says
    """
    carbon = carbon_of(run)
    carbon = carbon if grid is None else Carbon(pue=carbon.pue, **grid)
    train, losses = run.metrics("train"), run.metrics("valid").get("loss", np.empty(0))
    reached = {name: _last(train, name) for name in ("tokens", "step")}
    told = accounted(run, run.energy(), carbon, losses=losses, **reached)
    file = run.folder / "energy.jsonl"
    killed = [one for one in ledger.attempts(file).values() if ledger.was_killed(one)]
    return dataclasses.replace(
        told,
        lost=tuple(ledger.estimate_lost(one) for one in killed),
        unattributed=sum(ledger.unattributed(file).values()),
    )


def accounted(
    run: StoredRun,
    totals: EnergyTotals,
    carbon: Carbon,
    *,
    tokens: float | None,
    step: float | None,
    losses: np.ndarray,
) -> Spent:
    """The account, where all it needs is known: tokens and step reached, held-out losses [N]."""
    worked = totals.by("phase").get("train")
    losses = losses[~np.isnan(losses)]
    gain = float(losses[0] - losses.min()) if len(losses) > 1 else 0.0
    kwh, grams = carbon.kwh(totals.joules), carbon.gco2e(totals.joules, totals.hours)
    return Spent(
        run,
        totals,
        kwh,
        grams,
        worked.joules / tokens if worked and tokens else None,
        worked.joules / step if worked and step else None,
        kwh / (gain / 0.1) if gain > 0 else None,
    )


def _last(columns: dict[str, np.ndarray], name: str) -> float | None:
    values = columns.get(name, np.empty(0))
    values = values[np.isfinite(values)]
    return float(values[-1]) if len(values) else None


def by_search(accounts: Sequence[Spent]) -> dict[str, list[Spent]]:
    """The runs of each search (-m), by its name; runs alone are left out."""
    groups: dict[str, list[Spent]] = {}
    for one in accounts:
        if name := one.run.facts.get("sweep"):
            groups.setdefault(str(name), []).append(one)
    return groups


def print_report(accounts: Sequence[Spent], starts: Starts, console: Console) -> None:
    total = sum((one.totals for one in accounts), starts.totals)
    table = _table("run", "status", "energy", "± 1σ", "gCO2e", "J/step", "mJ/token", "Wh/0.1 nats")
    for one in sorted(accounts, key=lambda one: -one.totals.joules):
        table.add_row(*(Text(cell) for cell in _cells(one)))
    console.print(table)
    for name, some in by_search(accounts).items():
        console.print(Text(f"search {formatting.safe(name)}: {_together(some)}"))
    for field in FIELDS:
        table = _table(field, "energy", "± 1σ", "share")
        for name, part in total.by(field).items():
            share = formatting.percent(part.joules / total.joules)
            cells = (name, formatting.si(part.joules, "J"), formatting.si(part.sigma, "J"), share)
            table.add_row(*(Text(formatting.safe(cell)) for cell in cells))
        console.print(table)
    console.print(_sum(accounts, starts, total.total))
    for words in _notes(accounts, starts):
        console.print(Text(words))
    for one in accounts:
        for why in one.run.problems():
            words = formatting.safe(f"{one.run.id}: unreadable: {why}")
            console.print(Text(words, style="red"), soft_wrap=True)


def _table(*names: str) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 1))
    for name in names:
        left = name in ("run", "status", "phase", "device", "provenance")
        table.add_column(name, justify="left" if left else "right", no_wrap=name != "run")
    return table


def _cells(one: Spent) -> list[str]:
    total = one.totals.total
    mine = [one.per_step, None if one.per_token is None else 1e3 * one.per_token]
    mine.append(None if one.per_tenth is None else 1e3 * one.per_tenth)
    return [
        formatting.safe(one.run.id),
        one.run.status,
        formatting.si(total.joules, "J"),
        formatting.si(total.sigma, "J"),
        formatting.si(one.gco2e, "g"),
        *("–" if value is None else f"{value:.3g}" for value in mine),
    ]


def _notes(accounts: Sequence[Spent], starts: Starts) -> list[str]:
    """What the sum holds besides the runs, what it cannot hold, and what is uncertain in it."""
    notes = []
    if starts.attempts:
        notes.append(
            f"of these {formatting.si(starts.totals.joules, 'J')} of {starts.attempts} "
            "attempts that ended before their run had a folder"
        )
    if lost := [*(joules for one in accounts for joules in one.lost), *starts.lost]:
        notes.append(
            f"{len(lost)} attempts were killed: what they used after their last lines, "
            f"about {formatting.si(sum(lost), 'J')} (estimated), is not in the sum"
        )
    if unsure := sum(one.unattributed for one in accounts):
        notes.append(
            f"{formatting.si(unsure, 'J')} of shared devices are an equal split among "
            "processes: right in sum, not attributable to single runs"
        )
    return notes


def _sum(accounts: Sequence[Spent], starts: Starts, total: EnergySum) -> Text:
    kwh = starts.kwh + sum(one.kwh for one in accounts)
    grams = starts.gco2e + sum(one.gco2e for one in accounts)
    joules, spread = formatting.si(total.joules, "J"), formatting.percent(total.relative)
    wh, co2e = formatting.si(1000 * kwh, "Wh"), formatting.si(grams, "g")
    words = f"{_runs(accounts)}: {joules} ± {spread} (1σ), {wh} from the grid, {co2e} CO2e"
    return Text(f"{words}; {total.provenance}", style="bold")


def _together(some: Sequence[Spent]) -> str:
    """3 runs (1 failed), 4.00 kJ, 1.11 Wh from the grid, 528 mg CO2e; what went wrong counts."""
    states = Counter(one.run.status for one in some)
    wrong = ", ".join(f"{number} {state}" for state, number in states.items() if state != "done")
    sums = _sums(some)
    joules, wh = formatting.si(sums["joules"], "J"), formatting.si(1000 * sums["kwh"], "Wh")
    ended, grams = f" ({wrong})" if wrong else "", formatting.si(sums["gco2e"], "g")
    return f"{_runs(some)}{ended}, {joules}, {wh} from the grid, {grams} CO2e"


def _sums(some: Sequence[Spent]) -> dict[str, float]:
    """Of several runs, as plain numbers."""
    return {
        "joules": sum(one.totals.joules for one in some),
        "kwh": sum(one.kwh for one in some),
        "gco2e": sum(one.gco2e for one in some),
    }


def _runs(some: Sequence[Spent]) -> str:
    return "1 run" if len(some) == 1 else f"{len(some)} runs"


def _hour(hour: int) -> str:
    """A UTC hour since 1970 as ISO 8601."""
    when = datetime.datetime.fromtimestamp(3600 * hour, datetime.UTC)
    return when.isoformat(timespec="minutes")


def to_json(accounts: Sequence[Spent], starts: Starts) -> dict:
    """For JSON."""
    total = sum((one.totals for one in accounts), starts.totals)
    own = {"joules": starts.totals.joules, "kwh": starts.kwh, "gco2e": starts.gco2e}
    lost = [*(joules for one in accounts for joules in one.lost), *starts.lost]
    return {
        **{name: value + own[name] for name, value in _sums(accounts).items()},
        "starts": {"attempts": starts.attempts, **own},
        "killed": {"attempts": len(lost), "lost_joules": sum(lost)},
        "sigma": total.total.sigma,
        "by": {f: {n: p.joules for n, p in total.by(f).items()} for f in FIELDS}
        | {"hour": {_hour(hour): joules for hour, joules in sorted(total.hours.items())}},
        "searches": {
            name: _sums(some) | {"runs": [one.run.id for one in some]}
            for name, some in by_search(accounts).items()
        },
        "runs": [
            {
                "run": one.run.id,
                "status": one.run.status,
                "unreadable": one.run.problems(),
                "kwh": one.kwh,
                "gco2e": one.gco2e,
                "joules_per_token": one.per_token,
                "joules_per_step": one.per_step,
                "kwh_per_tenth_nat": one.per_tenth,
                "lost_joules": sum(one.lost),
                "not_attributable_joules": one.unattributed,
                **one.totals.to_json(),
            }
            for one in accounts
        ],
    }
