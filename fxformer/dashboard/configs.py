"""Flat configs of all runs: shared values, differing values, and groups of seeds."""

import contextlib
import hashlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fxformer import jsonl
from fxformer.dashboard.run_index import RunIndex
from fxformer.energy.carbon import CARBON_OPTIONS, Carbon
from fxformer.files import read_text
from fxformer.track.redact import Redactor
from fxformer.track.run_reader import StoredRun
from fxformer.track.show import carbon_from

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SEEDS = ("seed", "name", "runs", "resume")  # runs that differ in these only are seeds of one setup
_reading = threading.Lock()
_memory: dict[Path, dict[str, dict[str, Any]]] = {}
_MIN_NEW = 20  # configs read since the cache was written, before it is written again


def configs(index: RunIndex, params: Mapping[str, str]) -> dict[str, Any]:
    """{"shared": {key: value}, "differing": [keys], "own": {run: {key: value}}, "alike": {run: id}}

    own: only the differing keys that the config of a run has
    alike: runs with the same id differ at most in their seed
    """
    flat = _kept(index, index.runs())
    names = sorted({name for one in flat.values() for name in one})
    missing = object()
    shared = {}
    for name in names:
        values = [one.get(name, missing) for one in flat.values()]
        if all(value is not missing and value == values[0] for value in values):
            shared[name] = values[0]
    differing = [name for name in names if name not in shared]
    own = {key: {n: one[n] for n in differing if n in one} for key, one in flat.items()}
    alike = {key: _alike(one) for key, one in flat.items()}
    return {"shared": shared, "differing": differing, "own": own, "alike": alike}


def config(index: RunIndex, params: Mapping[str, str]) -> dict[str, Any]:
    """{key: value} of one run."""
    key = params.get("run", "")
    return _kept(index, {key: index.run(key)})[key]


def _alike(flat: Mapping[str, Any]) -> str:
    kept = {
        name: value
        for name, value in flat.items()
        if name not in _SEEDS and not name.startswith(("code.", "machine.", "package."))
    }
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()[:12]


def carbon(index: RunIndex, key: str) -> Carbon:
    """The carbon settings (grid, PUE) in the config of a run."""
    run = index.run(key)
    flat = _kept(index, {key: run})[key]
    return carbon_from({name: flat.get(f"energy.{name}") for name in CARBON_OPTIONS}, run.folder)


def _kept(index: RunIndex, runs: Mapping[str, StoredRun]) -> dict[str, dict[str, Any]]:
    """{run: its flat config}, from memory or the cache where its files have not changed: parsing
    YAML takes ten times as long as the rest."""
    cache = index.cache("configs.json")
    with _reading:
        if cache not in _memory:
            _memory[cache] = _load(cache) if index.keep else {}
        kept, fresh = _memory[cache], 0
        for key, run in runs.items():
            revision = _revision(run)
            if kept.get(key, {}).get("revision") != revision:
                kept[key] = {"revision": revision, "flat": _flat(run)}
                fresh += 1
        if fresh > _MIN_NEW and index.keep:
            with contextlib.suppress(OSError):
                cache.parent.mkdir(parents=True, exist_ok=True)
                jsonl.replace(cache, json.dumps(kept))
        return {key: kept[key]["flat"] for key in runs}


def _load(cache: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        value = json.loads(cache.read_text(encoding="utf-8"))
        if isinstance(value, dict):
            return value
    return {}


def _revision(run: StoredRun) -> list[int]:
    stats = []
    for name in ("config.yaml", "run.json"):
        try:
            stat = (run.folder / name).stat()
            stats += [stat.st_mtime_ns, stat.st_size]
        except OSError:
            stats += [0, 0]
    return stats


def _flat(run: StoredRun) -> dict[str, Any]:
    """Config, code, machine and package versions as {dotted key: plain value}, secrets redacted."""
    try:
        text = read_text(run.folder / "config.yaml")
        given = yaml.load(text, _LOADER)
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        given = None  # reported by `StoredRun.problems`
    facts = run.facts
    redactor, found = Redactor(), {}
    _spread(redactor.value(given if isinstance(given, dict) else {}), "", found)
    found.pop("runs", None)
    code, machine = facts.get("code") or {}, facts.get("machine") or {}
    for name, value in (
        ("code.commit", (code.get("commit") or "")[:12]),
        ("code.dirty", code.get("dirty")),
        ("machine.cpu", machine.get("cpu")),
        ("machine.devices", ", ".join(sorted(set(facts.get("devices") or [])))),
    ):
        if value not in (None, ""):
            found[name] = value
    for name, version in sorted((facts.get("packages") or {}).items()):
        found[f"package.{name}"] = version
    return found


def _spread(value: Any, key: str, found: dict[str, Any]) -> None:
    if isinstance(value, dict) and value:
        for name, one in value.items():
            _spread(one, f"{key}.{name}" if key else str(name), found)
    elif value is None or isinstance(value, (bool, int, float, str)):
        found[key] = value
    else:
        found[key] = json.dumps(value, ensure_ascii=False, default=str)
