"""Energy: the project's account, the course of it, what each 0.1 nats cost, and other grids."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fxformer.dashboard import configs, thin
from fxformer.dashboard.run_index import Shelf
from fxformer.energy.carbon import regions as table_of_regions
from fxformer.energy.totals import EnergySum, EnergyTotals
from fxformer.track.energy_report import RunEnergy, compute_energy

_STEP = 0.1  # nats
_COURSE = 600  # points of the whole project's course


def energy(shelf: Shelf, params: Mapping[str, str]) -> dict[str, Any]:
    """{"total", "phases", "devices", "provenances", "cells", "runs": […]}: all runs' account.

    total and the groups: {"joules", "sigma", "shares": {provenance: joules}}, as the meter adds up:
    errors of one source straight, of different ones in squares
    cells: [[phase, device, provenance, joules], …]
    """
    accounts, runs = {}, shelf.runs()
    for key in runs:
        accounts[key] = _account(shelf, key)
        shelf.progress = (len(accounts), len(runs))
    total = sum((one.totals for one in accounts.values()), EnergyTotals())
    cells: dict[tuple, float] = {}
    for entry in total.entries:
        place = (entry.phase, entry.device, entry.provenance)
        cells[place] = cells.get(place, 0.0) + entry.joules
    return {
        "total": _joules(total.total),
        "kwh": sum(one.kwh for one in accounts.values()),
        "gco2e": sum(one.gco2e for one in accounts.values()),
        "phases": {
            name: _joules(part) | {"seconds": total.seconds.get(name)}
            for name, part in total.by("phase").items()
        },
        "devices": {name: _joules(part) for name, part in total.by("device").items()},
        "provenances": {name: _joules(part) for name, part in total.by("provenance").items()},
        "cells": [[*place, joules] for place, joules in cells.items()],
        "runs": [_row(shelf, key, one) for key, one in accounts.items()],
    }


def progress(shelf: Shelf, params: Mapping[str, str]) -> list[int]:
    """[runs that `energy` has added up, of how many]: asked for while `energy` is awaited."""
    return list(shelf.progress)


def course(shelf: Shelf, params: Mapping[str, str]) -> dict[str, list[float]]:
    """{"time": [unix seconds], "gco2e": […], "kwh": […]}: the sum over all runs, as it grew."""
    steps = []
    for key in shelf.runs():
        carbon = configs.carbon(shelf, key)
        for one in shelf.ledger(key).growth():
            grams = carbon.gco2e(one.joules, one.hours)
            steps.append((one.time, carbon.kwh(one.joules), grams))
    grown = np.array(sorted(steps), np.float64).reshape(-1, 3)
    grown[:, 1:] = grown[:, 1:].cumsum(axis=0)
    picked = np.unique(np.linspace(0, len(grown) - 1, min(_COURSE, len(grown))).astype(int))
    time, kwh, grams = grown[picked].T
    return {
        "time": time.tolist(),
        "kwh": thin.significant(kwh).tolist(),
        "gco2e": thin.significant(grams).tolist(),
    }


def tenths(shelf: Shelf, params: Mapping[str, str]) -> dict[str, list[float]]:
    """What each 0.1 nats of held-out loss cost a run (param run): {"nats": loss reached, falling in
    steps of 0.1, "kwh": for that step}. Between evaluations the loss is taken to fall evenly."""
    key = params.get("run", "")
    held = shelf.columns(key).split("valid", "loss", "joules")
    kept = np.isfinite(held["loss"]) & np.isfinite(held["joules"])
    nats, joules = cost_of_steps(held["loss"][kept], held["joules"][kept])
    carbon = configs.carbon(shelf, key)
    return {
        "nats": np.round(nats, 6).tolist(),
        "kwh": [float(carbon.kwh(value)) for value in thin.significant(joules)],
    }


def cost_of_steps(loss: np.ndarray, joules: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(losses reached, falling by 0.1 from the first one; joules that each 0.1 took), both [N]."""
    lowest = np.minimum.accumulate(loss) if len(loss) else loss
    first = np.concatenate(([True], np.diff(lowest) < 0)) if len(loss) else np.zeros(0, bool)
    lowest, joules = lowest[first], joules[first]
    if len(lowest) < 2:
        return np.zeros(0), np.zeros(0)
    count = int((lowest[0] - lowest[-1]) / _STEP + 1e-9)
    levels = lowest[0] - _STEP * np.arange(count + 1)
    at = np.interp(levels, lowest[::-1], joules[::-1])
    return levels[1:], np.diff(at)


def regions(shelf: Shelf, params: Mapping[str, str]) -> list[list[Any]]:
    """[[code, name, gCO2e/kWh, year, source], …], the cleanest first."""
    rows = [
        [code, grid.name, grid.gco2e_per_kwh, grid.year, grid.source]
        for code, grid in table_of_regions().items()
    ]
    return sorted(rows, key=lambda row: row[2])


def _account(shelf: Shelf, key: str) -> RunEnergy:
    columns = shelf.columns(key)
    made = columns.split("train", "tokens", "step")
    return compute_energy(
        shelf.run(key),
        shelf.totals(key),
        configs.carbon(shelf, key),
        tokens=_last(made["tokens"]),
        step=_last(made["step"]),
        losses=columns.split("valid", "loss")["loss"],
    )


def _last(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(values[-1]) if len(values) else None


def _row(shelf: Shelf, key: str, one: RunEnergy) -> dict[str, Any]:
    grid = configs.carbon(shelf, key)
    return {
        "key": key,
        "status": one.run.status,
        "sweep": one.run.facts.get("sweep"),
        "kwh": one.kwh,
        "gco2e": one.gco2e,
        "per_token": one.joules_per_token,
        "per_step": one.joules_per_step,
        "per_tenth": one.kwh_per_tenth_nat,
        "pue": grid.pue,
        "grid": grid.grid.name,
        "gco2e_per_kwh": grid.grid.gco2e_per_kwh,
        **_joules(one.totals.total),
        "phases": {name: part.joules for name, part in one.totals.by("phase").items()},
    }


def _joules(part: EnergySum) -> dict[str, Any]:
    return {
        "joules": part.joules,
        "sigma": part.sigma,
        "shares": dict(part.shares),
        "provenance": part.provenance,
    }


def questions(shelf: Shelf) -> Iterable[tuple[str, dict[str, str]]]:
    """What a report holds of this."""
    yield from ((path, {}) for path in ("energy", "course", "regions", "progress"))
    yield from (("tenths", {"run": key}) for key in shelf.runs())
