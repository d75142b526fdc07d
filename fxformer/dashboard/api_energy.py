"""API of energy: totals of all runs, cumulative energy, energy per 0.1 nats, carbon intensities."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fxformer.dashboard import configs
from fxformer.dashboard.curves import significant
from fxformer.dashboard.run_index import RunIndex
from fxformer.energy.carbon import regions as table_of_regions
from fxformer.energy.totals import EnergySum, EnergyTotals
from fxformer.track.energy_report import RunEnergy, compute_energy

_STEP = 0.1  # nats
_MAX_POINTS = 600  # of the cumulative curve


def energy(index: RunIndex, params: Mapping[str, str]) -> dict[str, Any]:
    """{"total", "phases", "devices", "provenances", "cells", "runs": […]}: the energy of all runs.

    total and the groups: {"joules", "sigma", "shares": {provenance: joules}}, added as by the
    meter: linearly for one sensor, in quadrature for different ones
    cells: [[phase, device, provenance, joules], …]
    """
    accounts, runs = {}, index.runs()
    for key in runs:
        accounts[key] = _account(index, key)
        index.progress = (len(accounts), len(runs))
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
        "runs": [_row(index, key, one) for key, one in accounts.items()],
    }


def progress(index: RunIndex, params: Mapping[str, str]) -> list[int]:
    """[number of runs that `energy` has summed, number of runs], polled while `energy` runs."""
    return list(index.progress)


def cumulative(index: RunIndex, params: Mapping[str, str]) -> dict[str, list[float]]:
    """{"time": [unix seconds], "gco2e": […], "kwh": […]}: cumulative over all runs."""
    steps = []
    for key in index.runs():
        carbon = configs.carbon(index, key)
        for one in index.ledger(key).growth():
            grams = carbon.gco2e(one.joules, one.hours)
            steps.append((one.time, carbon.kwh(one.joules), grams))
    rows = np.array(sorted(steps), np.float64).reshape(-1, 3)
    rows[:, 1:] = rows[:, 1:].cumsum(axis=0)
    picked = np.unique(np.linspace(0, len(rows) - 1, min(_MAX_POINTS, len(rows))).astype(int))
    time, kwh, grams = rows[picked].T
    return {
        "time": time.tolist(),
        "kwh": significant(kwh).tolist(),
        "gco2e": significant(grams).tolist(),
    }


def cost_per_nat(index: RunIndex, params: Mapping[str, str]) -> dict[str, list[float]]:
    """Energy of a run (param run) per 0.1 nats of held-out loss: {"nats": loss reached, descending
    in steps of 0.1, "kwh": energy of that step}. The loss is interpolated between evaluations."""
    key = params.get("run", "")
    valid = index.columns(key).split("valid", "loss", "joules")
    kept = np.isfinite(valid["loss"]) & np.isfinite(valid["joules"])
    nats, joules = joules_per_step(valid["loss"][kept], valid["joules"][kept])
    carbon = configs.carbon(index, key)
    return {
        "nats": np.round(nats, 6).tolist(),
        "kwh": [float(carbon.kwh(value)) for value in significant(joules)],
    }


def joules_per_step(loss: np.ndarray, joules: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(losses reached, in steps of 0.1 below the first; joules of each step), both [N].

    loss, joules: [M], held-out loss and cumulative energy at the evaluations
    """
    lowest = np.minimum.accumulate(loss) if len(loss) else loss
    first = np.concatenate(([True], np.diff(lowest) < 0)) if len(loss) else np.zeros(0, bool)
    lowest, joules = lowest[first], joules[first]
    if len(lowest) < 2:
        return np.zeros(0), np.zeros(0)
    count = int((lowest[0] - lowest[-1]) / _STEP + 1e-9)
    levels = lowest[0] - _STEP * np.arange(count + 1)
    at = np.interp(levels, lowest[::-1], joules[::-1])
    return levels[1:], np.diff(at)


def regions(index: RunIndex, params: Mapping[str, str]) -> list[list[Any]]:
    """[[code, name, gCO2e/kWh, year, source], …], by ascending intensity."""
    rows = [
        [code, grid.name, grid.gco2e_per_kwh, grid.year, grid.source]
        for code, grid in table_of_regions().items()
    ]
    return sorted(rows, key=lambda row: row[2])


def _account(index: RunIndex, key: str) -> RunEnergy:
    columns = index.columns(key)
    made = columns.split("train", "tokens", "step")
    return compute_energy(
        index.run(key),
        index.totals(key),
        configs.carbon(index, key),
        tokens=_last(made["tokens"]),
        step=_last(made["step"]),
        losses=columns.split("valid", "loss")["loss"],
    )


def _last(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(values[-1]) if len(values) else None


def _row(index: RunIndex, key: str, one: RunEnergy) -> dict[str, Any]:
    grid = configs.carbon(index, key)
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


def embedded_requests(index: RunIndex) -> Iterable[tuple[str, dict[str, str]]]:
    """The requests whose answers a report embeds."""
    yield from ((path, {}) for path in ("energy", "cumulative", "regions", "progress"))
    yield from (("cost_per_nat", {"run": key}) for key in index.runs())
