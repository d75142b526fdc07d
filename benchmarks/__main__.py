"""`python -m benchmarks NAME [ARGUMENT …]`: one of the benchmarks of this folder."""

import ast
import difflib
import runpy
import sys
from pathlib import Path

NAMES = (
    "step", "gpu", "attention", "finetune", "generate", "corruption", "dashboard", "first_steps",
    "intervals", "meter", "nvml", "overheads", "plans", "random_search", "scaling", "step_table",
    "text", "trial",
)  # fmt: skip


def main() -> None:
    """Run the benchmark that is named, or list all."""
    name, rest = (sys.argv[1:2] or [""])[0], sys.argv[2:]
    if name in ("", "-h", "--help"):
        print("python -m benchmarks NAME [ARGUMENT …]; NAME --help shows the arguments\n")
        for one in NAMES:
            print(f"  {one:14s} {summary(one)}")
    elif name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(NAMES)}"
        print(f"there is no benchmark {name!r}: {hint}", file=sys.stderr)
        raise SystemExit(2)
    else:
        sys.argv = [f"python -m benchmarks {name}", *rest]
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")


def summary(name: str) -> str:
    """First sentence of a benchmark's docstring, without its command."""
    tree = ast.parse(Path(__file__).with_name(f"{name}.py").read_text())
    first = (ast.get_docstring(tree) or "").splitlines()[0]
    return first.split(": ", 1)[-1] if first.startswith("`") else first


if __name__ == "__main__":
    main()
