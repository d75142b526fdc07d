"""`python -m benchmarks dashboard [RUNS POINTS]`: how long a person waits for the page.

Writes runs in the real format (500 of 10,000 points unless other numbers are given), opens the page
in Chromium and takes the time until the table of runs is painted and until the curves of 50 runs
are: with logs that were never read, and again with a new server beside the cache of the first.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.machine import facts
from fxformer import jsonl
from fxformer.dashboard.run_index import CACHE

RESULTS = Path(__file__).parent / "results"
REPEATS, CURVES, EVALUATE = 5, 50, 250
PAUSE = 3.0  # seconds that a person looks at the table before the curves


def write_run(root: Path, n: int, points: int) -> str:
    """One run of `points` logged steps; its key."""
    noise = random.Random(n)
    folder = root / f"20260101-{n:06d}-bench{n:03d}"
    folder.mkdir()
    lr = 10 ** noise.uniform(-4, -2)
    config = {
        "seed": n % 5,
        "optimizer": {"lr": lr, "_target_": "optax.adamw"},
        "model": {f"knob{k}": k for k in range(100)},
        "objective": {"_target_": "fxformer.objective.causal.CausalLM"},
        "energy": {"region": "FRA", "pue": 1.0},
    }
    (folder / "config.yaml").write_text(json.dumps(config))
    with open(folder / "metrics.jsonl", "w", encoding="utf-8") as file:
        for step in range(1, points + 1):
            file.write(json.dumps(_line(step, lr, noise)) + "\n")
            if step % EVALUATE == 0:
                line = {
                    "step": step,
                    "split": "valid",
                    "loss": _loss(step, lr),
                    "bits_per_byte": _loss(step, lr) / 3,
                    **_reached(step),
                }
                file.write(json.dumps(line) + "\n")
    entries = [["train", "cpu", "model:cpu", "modelled", 0.4, 4.0 * points]]
    (folder / "energy.jsonl").write_text(
        json.dumps(
            {
                "attempt": "a",
                "time": 1.7e9 + n,
                "joules": 4.0 * points,
                "seconds_by_phase": {"train": 1.0},
                "entries": entries,
                "assumptions": [],
                "unreadable": [],
            }
        )
        + "\n"
    )
    run = {
        "id": folder.name,
        "name": f"bench{n:03d}",
        "status": "done",
        "reason": "done",
        "started": datetime.fromtimestamp(1.7e9 + n, UTC).isoformat(),
        "attempts": [{}],
        "parameters": 10_000_000,
        "flops_per_token": 6e7,
        "architecture": "decoder",
        "command": f"fxformer train seed={n}",
        "peak_flops": 1e12,
        "summary": {
            "valid_loss": _loss(points, lr),
            "best": _loss(points, lr),
            "kwh": 4.0 * points / 3.6e6,
            "gco2e": 1.0,
            **_reached(points),
        },
    }
    (folder / "run.json").write_text(json.dumps(jsonl.encode(run), indent=2))
    return folder.name


def _reached(step: int) -> dict[str, float]:
    return {"seconds": 0.51234567 * step, "tokens": 4096 * step, "joules": 4.0123456 * step}


def _loss(step: int, lr: float) -> float:
    return 2.0 + 8.0 / (1 + 30 * lr * step) ** 0.3


def _line(step: int, lr: float, noise: random.Random) -> dict:
    loss = _loss(step, lr) + noise.gauss(0, 0.05)
    return {
        "step": step,
        "split": "train",
        "accuracy": 1 / loss,
        "gradient_norm": noise.random(),
        "learning_rate": lr * noise.random(),
        "loss": loss,
        "nll": loss,
        "parameter_norm": 37 + noise.random(),
        "skipped": 0.0,
        "streak": 0.0,
        "update_norm": noise.random(),
        "step_seconds": 0.5 + noise.random() / 10,
        "tokens_per_second": 8000 + noise.random(),
        "data_wait_seconds": noise.random() / 100,
        **_reached(step),
    }


def serve(root: Path) -> tuple[subprocess.Popen, str]:
    """A server in a process of its own, as the verb starts it, and its address."""
    command = [sys.executable, "-m", "fxformer", "dashboard", str(root), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    words = process.stdout.readline()
    return process, words.rsplit(" at ", 1)[1].strip()


def waits(engine, root: Path, keys: list[str], pause: float) -> dict[str, float]:
    """Seconds from the navigation to the painted table, and from the click to the painted curves
    of `keys`, as the browser's own timeline has them. pause: between the two, as a person reads."""
    process, url = serve(root)
    page = engine.new_page(viewport={"width": 1280, "height": 900})
    try:
        page.goto(f"{url}#runs")
        found = {"first_view": marked(page, "view runs", 0.0)}
        time.sleep(pause)
        page.evaluate("keys => selection.set(keys)", keys)
        for name in ("valid/loss", "train/loss"):
            began = page.evaluate(
                "name => { location.hash = `curves?panels=${name}`; return performance.now(); }",
                name,
            )
            found[f"curves {name}"] = marked(page, f"curve {name}", began)
            drawn = f".panel[data-panel='{name}'] .chart[data-drawn='{len(keys)}']"
            assert page.locator(f"{drawn} .scatterlayer .trace").count() == len(keys)
        return found
    finally:
        page.close()
        process.kill()
        process.wait()


def marked(page, name: str, since: float) -> float:
    """Seconds after `since` (ms of the page's clock) at which the page noted `name`."""
    while True:
        times = page.evaluate(
            "name => performance.getEntriesByName(name).map(mark => mark.startTime)", name
        )
        if after := [time for time in times if time >= since]:
            return (after[0] - since) / 1000
        page.wait_for_timeout(100)


def measure(root: Path, keys: list[str]) -> dict[str, dict[str, float]]:
    """{what had been read: {what is waited for: seconds}}; the logs' cache is made anew."""
    from playwright.sync_api import sync_playwright

    shutil.rmtree(root / CACHE, ignore_errors=True)
    with sync_playwright() as play:
        engine = play.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        first = waits(engine, root, keys, PAUSE)
        again = [waits(engine, root, keys, PAUSE) for _ in range(REPEATS)]
        engine.close()
    return {
        "never read": first,
        "read before": {name: statistics.median(one[name] for one in again) for name in first},
        "read before, slowest": {name: max(one[name] for one in again) for name in first},
    }


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks dashboard", description=__doc__)
    parser.add_argument("runs", nargs="?", type=int, default=500)
    parser.add_argument("points", nargs="?", type=int, default=10_000)
    parser.add_argument("--folder", help="where the runs are kept for another time")
    given = parser.parse_args()
    root = Path(given.folder or tempfile.mkdtemp(prefix="fxformer-bench-"))
    try:
        root.mkdir(exist_ok=True)
        if not (keys := sorted(path.parent.name for path in root.glob("*/run.json"))):
            keys = [write_run(root, n, given.points) for n in range(given.runs)]
        size = sum(path.stat().st_size for path in root.glob("*/metrics.jsonl"))
        print(f"{len(keys)} runs of {given.points} points, {size / 1e9:.2f} GB of logs")
        chosen = keys[:: max(1, len(keys) // CURVES)][:CURVES]
        before, measured = facts(), measure(root, chosen)
    finally:
        if not given.folder:
            shutil.rmtree(root)
    for what, seconds in measured.items():
        print(what, {name: round(value, 3) for name, value in seconds.items()})
    policy = {os.SCHED_OTHER: "usual", os.SCHED_RR: "real time"}
    record = {"runs": len(keys), "points": given.points, "log_bytes": size, "curves": len(chosen),
              "repeats": REPEATS, "seconds": measured, "machine": before,
              "scheduling": policy.get(os.sched_getscheduler(0), "other")}  # fmt: skip
    file = RESULTS / f"dashboard-{datetime.now(UTC):%Y-%m-%d}.json"
    file.write_text(json.dumps(record, indent=1) + "\n")
    print(file)


if __name__ == "__main__":
    main()
