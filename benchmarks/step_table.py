"""`python -m benchmarks step_table`: writes the table of training steps from the files of results.

It replaces the lines between the two markers in docs/performance.md and README.md.
"""

import json
from pathlib import Path

from benchmarks.work import FAMILIES, SHAPES

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = ("docs/performance.md", "README.md")
BEGIN, END = "<!-- python -m benchmarks step_table -->", "<!-- end of the table -->"
HEAD = ("shape", "dropout", "ours beside", "wall time", "processor time", "peak memory, MB")


def results() -> list[dict]:
    """The files of `python -m benchmarks step`, in the order of shapes, dropout and families."""
    found = [json.loads(path.read_text()) for path in RESULTS.glob("step-*-dropout-*.json")]

    def order(one: dict) -> tuple:
        family = min(list(FAMILIES).index(name) for name in one["families"])
        return list(SHAPES).index(one["shape_name"]), one["shape"]["dropout"], family

    return sorted(found, key=order)


def rows(one: dict) -> list[tuple[str, ...]]:
    """A row for each peer in a file."""
    found = []
    for family, sides in one["families"].items():
        ours = sides["fxformer"]
        for name, facts in sides.items():
            if name == "fxformer":
                continue
            ratios = ("{median:.2f} ({low:.2f}–{high:.2f})".format(**facts[key])
                      for key in ("ratio", "ratio_cpu"))  # fmt: skip
            memory = f"{ours['peak_bytes'] / 1e6:,.0f} / {facts['peak_bytes'] / 1e6:,.0f}"
            dropout = f"{one['shape']['dropout']:g}"
            found.append((one["shape_name"], dropout, f"{family} / {name}", *ratios, memory))
    return found


def table(found: list[dict]) -> str:
    """Markdown."""
    lines = [HEAD, tuple("---" for _ in HEAD), *(row for one in found for row in rows(one))]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def written(page: str, text: str) -> str:
    """The page with `text` between its markers."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}"


def main() -> None:
    """Write the pages."""
    for name in PAGES:
        path = ROOT / name
        path.write_text(written(path.read_text(), table(results())))


if __name__ == "__main__":
    main()
