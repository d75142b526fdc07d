"""`python -m benchmarks scaling`: FLOPs and bytes of a step on 1 to 8 devices, from HLO.

Strong scaling divides 32 rows among the devices, weak scaling gives 4 rows to each. The program of
one device is compiled for each mesh; its matrix products and collective operations are counted.
Efficiency is the share of the FLOPs that one device alone would do: 1 where none is done twice.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine

RESULTS = Path(__file__).parent / "results" / "scaling.json"
ROWS, ROWS_EACH, MOST = 32, 4, 8
MESHES = {"data": "mesh=data", "fsdp": "mesh=fsdp", "tensor": "mesh=tensor"}
WORDS = (
    "model=gpt2", "objective=clm", "data=markov", "tokenizer=none", "data.symbols=59",
    "data.length=64", "data.workers=0", "model.dim=64", "model.heads=8", "model.ffn.hidden=256",
    "model.layers=2", "model.network.vocab_multiple=64", "mesh.min_size=256", "energy=tdp",
)  # fmt: skip


def counted(rows: int, *mesh: str) -> dict[str, float]:
    """FLOPs of the matrix products of one device in a step, and bytes that it sends in a ring."""
    from tests.collectives import collectives, product_flops
    from tests.first_state import compiled_step
    from tests.physics.training import ready

    setup = ready(*WORDS, f"data.batch={rows}", f"data.valid_examples={rows}", *mesh)
    batch = setup.put(setup.example_batch)
    text = compiled_step(setup).lower(setup.abstract_state, batch).compile().as_text()
    return {"flops": product_flops(text), "sent": sum(one.moved for one in collectives(text))}


def programs(counts: Sequence[int]) -> list[tuple[int, int, str]]:
    """(rows, devices, mesh) of each program; that of 8 devices serves both scalings.

    counts: numbers of devices above one
    """
    found = [(ROWS, 1, "one"), (ROWS_EACH, 1, "one")]
    for mesh in MESHES:
        for count in counts:
            found += [(rows, count, mesh) for rows in sorted({ROWS, ROWS_EACH * count})]
    return found


def table(found: dict[str, dict[str, float]], counts: Sequence[int]) -> list[str]:
    """The rows of a table in Markdown. found: by "rows devices mesh" """

    def of(rows: int, count: int, mesh: str) -> dict[str, float]:
        return found[f"{rows} {count} {mesh}"]

    lines = [
        "| scaling | mesh | rows | MFLOP a device | efficiency | kB sent a device | B a kFLOP |",
        "|---|---|---|---|---|---|---|",
    ]
    for scaling, rows_of in (("strong", lambda n: ROWS), ("weak", lambda n: ROWS_EACH * n)):
        alone = of(rows_of(1), 1, "one")["flops"]
        lines.append(f"| {scaling} | one device | {rows_of(1)} | {alone / 1e6:.1f} | | | |")
        for mesh in MESHES:
            for count in counts:
                one = of(rows_of(count), count, mesh)
                share = alone * rows_of(count) / rows_of(1) / count / one["flops"]
                rate = 1e3 * one["sent"] / one["flops"]
                lines.append(
                    f"| {scaling} | {mesh} {count} | {rows_of(count)} | {one['flops'] / 1e6:.1f} "
                    f"| {share:.1%} | {one['sent'] / 1e3:.1f} | {rate:.2f} |"
                )
    return lines


def main(argv: list[str] | None = None) -> None:
    """Compile each program in a process with so many devices; print and keep the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scaling", description=__doc__)
    parser.add_argument("--program", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument(
        "--devices", type=int, nargs="+", default=[2, MOST], choices=(2, 4, MOST), metavar="N",
        help="numbers of simulated devices besides one (default: 2 8)",
    )  # fmt: skip
    parser.add_argument("--results", default=str(RESULTS), help="JSON of the figures")
    given = parser.parse_args(argv)
    if given.program:
        rows, *mesh = given.program
        print(json.dumps(counted(int(rows), *mesh)))
        return
    found = {}
    for rows, count, mesh in programs(given.devices):
        words = [str(rows), *([MESHES[mesh]] if mesh in MESHES else [])]
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={count}"
        environ = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
        command = [sys.executable, "-m", "benchmarks", "scaling", "--program", *words]
        out = subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True, check=True)
        found[f"{rows} {count} {mesh}"] = json.loads(out.stdout.splitlines()[-1])
        print(rows, count, mesh, found[f"{rows} {count} {mesh}"], file=sys.stderr)
    print("\n".join(table(found, given.devices)))
    date = datetime.date.today().isoformat()
    body = {"programs": found, "versions": machine.facts()["versions"], "date": date}
    Path(given.results).write_text(json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()
