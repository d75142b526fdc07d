"""`python -m benchmarks text`: text prepared by several processes, the same batches for 1, 2 and 4.

The text is generated: words of a Zipf distribution in lines. Each step runs in a process of its
own, of which minutes, processor seconds and peak memory are measured.
"""

import argparse
import datetime
import functools
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine

RESULTS = Path(__file__).parent / "results" / "text.json"
FILE = 64 << 20  # bytes of a file of the text
VOCABULARY, LINE = 50_000, 40  # words that there are, and in a line
LETTERS = np.array(list("etaoinshrdlucmfwypvbgk"))
ROWS, LENGTH = 64, 512  # of a batch
COUNTS = (1, 2, 4)  # processes that make the batches
EVERY = 0.2  # seconds between two measurements of the memory of a process and its children


@functools.cache
def words() -> list[str]:
    """Different words of 2 to 9 letters, the shorter ones first, as in Zipf's law."""
    random, found = np.random.default_rng(0), dict[str, None]()
    for size, wanted in ((2, 100), (3, 1000), (4, 5000), (6, 20_000), (9, VOCABULARY)):
        letters = LETTERS[random.integers(0, len(LETTERS), (2 * wanted, size))]
        found |= dict.fromkeys("".join(line) for line in letters)
        found = dict.fromkeys(list(found)[:wanted])
    return list(found)


def generate(folder: Path, size: int) -> int:
    """Write files of `size` bytes together, at least; the bytes written."""
    known = np.array(words(), object)
    steps = np.cumsum(1 / np.arange(1, len(known) + 1))
    written = number = 0
    while written < size:
        random, here = np.random.default_rng([1, number]), 0
        with (folder / f"{number:05d}.txt").open("wb") as file:
            while here < min(FILE, size - written):
                drawn = random.random(LINE * min(2000, 1 + (size - written - here) // 200))
                chosen = known[np.searchsorted(steps, drawn * steps[-1])].reshape(-1, LINE)
                lines = "".join(" ".join(line) + ".\n" for line in chosen)
                here += file.write(lines.encode())
        written, number = written + here, number + 1
    return written


def opened(folder: Path, processes: int, tokenizer: str) -> Any:
    """The corpus, prepared in `folder/cache`."""
    from fxformer.data.packing import Segments
    from fxformer.data.special_tokens import Specials
    from fxformer.data.text import Text
    from fxformer.data.tokenizer_basic import Byte
    from fxformer.data.tokenizer_fast import ByteLevelBPE

    recipe = {"byte": Byte, "bytebpe": ByteLevelBPE}[tokenizer](specials=Specials())
    made = Text(
        tokenizer=recipe, packing=Segments(), length=LENGTH, batch=ROWS, processes=processes,
        files=str(folder / "*.txt"), document_is="line", cache_dir=str(folder / "cache"),
    )  # fmt: skip
    made.source  # noqa: B018 - prepares
    return made


def facts(folder: Path, processes: int, tokenizer: str) -> dict[str, Any]:
    """Prepare; what there is then."""
    source = opened(folder, processes, tokenizer).source
    cache = sum(file.stat().st_size for file in (folder / "cache").rglob("*") if file.is_file())
    train = source.facts["train"]
    return {
        "documents": train["documents"],
        "tokens": train["tokens"],
        "corpus_hash": source.facts["corpus_hash"],
        "cache_bytes": cache,
    }


def rows(folder: Path, process: int, count: int, tokenizer: str) -> dict[str, list[str]]:
    """Digests of the rows that one of so many processes makes of some batches, by their numbers:
    the first ones, one of the middle, the last of an epoch, the first of the next."""
    from fxformer.data.loader import Shuffled

    packed = opened(folder, 1, tokenizer).pack("train", LENGTH)
    own = np.arange(process * ROWS // count, (process + 1) * ROWS // count)
    batches = Shuffled(packed, ROWS, 0, own)
    epoch, found = batches.steps_per_epoch, {}
    for n in sorted({0, 1, epoch // 2, epoch - 1, epoch, epoch + 1}):
        made = batches[n]
        arrays = (made.tokens, made.segments, made.examples)
        found[str(n)] = [
            hashlib.blake2b(b"".join(a[row].tobytes() for a in arrays), digest_size=8).hexdigest()
            for row in range(len(own))
        ]
    return found


def act(given: dict[str, Any]) -> dict[str, Any]:
    """A step in this process. given: its function and arguments"""
    known = {"facts": facts, "rows": rows}
    return known[given["step"]](Path(given["folder"]), *given["arguments"])


def measured(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, float]]:
    """The result of a step in a process of its own; its minutes, processor seconds, peak memory."""
    began, before = time.monotonic(), os.times()
    command = [sys.executable, "-m", "benchmarks", "text", "--step", json.dumps(given)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak, done = {"sum": 0, "largest": 0}, threading.Event()

    def watch() -> None:
        while not done.wait(EVERY):
            sizes = [anonymous(pid) for pid in tree(process.pid)]
            peak["sum"] = max(peak["sum"], sum(sizes))
            peak["largest"] = max(peak["largest"], *sizes, 0)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    out, _ = process.communicate()
    done.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(process.returncode)
    after = os.times()
    seconds = after.children_user + after.children_system
    seconds -= before.children_user + before.children_system
    cost = {"minutes": (time.monotonic() - began) / 60, "cpu_seconds": seconds}
    return json.loads(out.splitlines()[-1]), cost | {
        "peak_bytes": peak["sum"],
        "peak_bytes_of_one": peak["largest"],
    }


def tree(pid: int) -> list[int]:
    """A process and all that it has started. Linux only."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found


def anonymous(pid: int) -> int:
    """Resident bytes of a process without pages of mapped files, which the system can drop."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


def compared(folder: Path, tokenizer: str) -> tuple[int, dict[str, float]]:
    """How many batches 1, 2 and 4 processes made alike, and the cost of the dearest process.
    SystemExit where they did not."""
    expected, worst = None, {}
    for count in COUNTS:
        parts = []
        for process in range(count):
            step = {"step": "rows", "folder": str(folder), "arguments": [process, count, tokenizer]}
            made, cost = measured(step)
            parts.append(made)
            worst = {name: max(worst.get(name, 0), value) for name, value in cost.items()}
        whole = {n: [digest for part in parts for digest in part[n]] for n in parts[0]}
        expected = expected or whole
        if whole != expected:
            raise SystemExit(f"the batches of {count} processes are not those of one")
    assert expected is not None
    return len(expected), worst


def main(argv: list[str] | None = None) -> None:
    """Generate, prepare, compare; print and keep the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks text", description=__doc__)
    parser.add_argument("--megabytes", type=float, default=100, help="of text (default: 100)")
    parser.add_argument("--processes", type=int, default=2, help="that prepare it (default: 2)")
    parser.add_argument("--tokenizer", choices=("bytebpe", "byte"), default="bytebpe")
    parser.add_argument("--folder", help="for the text and its cache (default: a temporary one)")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--results", default=str(RESULTS), help="JSON of the figures")
    given = parser.parse_args(argv)
    if given.step:
        print(json.dumps(act(json.loads(given.step))))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder, known = Path(name), machine.facts()
        began = time.monotonic()
        size = generate(folder, int(given.megabytes * 1e6))
        generated = (time.monotonic() - began) / 60
        arguments = [given.processes, given.tokenizer]
        made, cost = measured({"step": "facts", "folder": name, "arguments": arguments})
        same, of_batches = compared(folder, given.tokenizer)
    found = {"bytes": size, "processes": given.processes, "tokenizer": given.tokenizer}
    found |= {"generate_minutes": generated, **made, "prepare": cost}
    found |= {"same_batches": same, "of_processes": list(COUNTS), "batches": of_batches}
    print("\n".join(lines(found)))
    file = Path(given.results)
    stored = json.loads(file.read_text()) if file.exists() else {}
    stored[f"{given.megabytes:g} MB, {given.processes} processes, {given.tokenizer}"] = found | {
        "machine": known,
        "date": datetime.date.today().isoformat(),
    }
    file.write_text(json.dumps(stored, indent=1) + "\n")


def lines(found: dict[str, Any]) -> list[str]:
    """The figures as sentences."""
    cost, rate = found["prepare"], found["bytes"] / 1e6
    batches = found["batches"]
    return [
        f"{rate:.0f} MB of text generated in {found['generate_minutes']:.1f} minutes",
        f"prepared by {found['processes']} processes with {found['tokenizer']} in "
        f"{cost['minutes']:.1f} minutes, {cost['cpu_seconds']:.0f} processor seconds "
        f"({rate / max(cost['cpu_seconds'], 1e-9):.2f} MB a processor second)",
        f"peak memory {cost['peak_bytes'] / 1e6:.0f} MB of all processes together, "
        f"{cost['peak_bytes_of_one'] / 1e6:.0f} MB of the largest",
        f"{found['tokens']:,} tokens in {found['documents']:,} documents; cache of "
        f"{found['cache_bytes'] / 1e6:.0f} MB",
        f"{found['same_batches']} batches are the same for {found['of_processes']} processes; a "
        f"process took {batches['minutes']:.1f} minutes and {batches['peak_bytes'] / 1e6:.0f} MB",
    ]


if __name__ == "__main__":
    main()
