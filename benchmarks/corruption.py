"""`python -m benchmarks corruption [PRESET …]`: milliseconds of `corrupt` for each objective.

For 32 rows of 512 tokens (pairs: as long as they are), one thread, the quickest of 41 batches.
"""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from fxformer.cli.objectives_doc import presets, timed, words


def main(names: Sequence[str]) -> int:
    """Time the named presets, or all. Returns the exit code."""
    if unknown := set(names) - set(presets()):
        print(f"{sorted(unknown)} are no objectives; there are {', '.join(presets())}")
        return 2
    table = Table(box=None, header_style="dim", padding=(0, 2))
    for column in ("objective", "batch", "ms", "tokens/s"):
        table.add_column(column, justify="left" if column == "objective" else "right")
    console = Console()
    for name in names or presets():
        with console.status(name):
            (rows, length), ms = timed(words(name))
        speed = f"{rows * length / ms / 1e3:.1f} M"
        table.add_row(name, f"{rows} × {length}", f"{ms:.2f}", speed)
    console.print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
