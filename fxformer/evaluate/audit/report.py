"""Results of an audit, for the terminal and as JSON."""

import dataclasses
import json
import math
import os
import platform
from pathlib import Path
from typing import Any

from fxformer.evaluate.audit.check import Finding
from fxformer.evaluate.audit.draw import Drawn
from fxformer.evaluate.audit.texts import Example


@dataclasses.dataclass(frozen=True)
class Report:
    """One audit.

    name: of the objective, as chosen
    alpha: probability of calling a right objective wrong, all rules together
    shape: rows and tokens of the batch that was timed
    corrupt_ms, step_ms: milliseconds of `corrupt` and of a training step, the latter if measured
    facts: seed, data and machine, for the record
    """

    name: str
    drawn: Drawn
    alpha: float
    shape: tuple[int, int]
    corrupt_ms: float
    step_ms: float | None
    examples: tuple[Example, ...]
    facts: dict[str, Any]

    @property
    def holds(self) -> bool:
        """Whether there are rules and every one does."""
        return bool(self.drawn.findings) and not self.drawn.broken

    def as_json(self) -> dict[str, Any]:
        """Plain lists, mappings, numbers and texts."""
        return {
            "objective": self.name,
            "holds": self.holds,
            "alpha": self.alpha,
            "alpha_per_check": self.alpha / max(len(self.drawn.findings), 1),
            "examples_drawn": self.drawn.examples,
            "tokens_drawn": self.drawn.tokens,
            "epochs": self.drawn.epochs,
            "rules": [_rule(finding) for finding in self.drawn.findings],
            "left_out": self.drawn.tally,
            "batch": {"rows": self.shape[0], "length": self.shape[1]},
            "corrupt_ms": self.corrupt_ms,
            "step_ms": self.step_ms,
            "examples": [example.plain() for example in self.examples],
            **self.facts,
        }

    def save(self, file: str | Path) -> None:
        """Write the JSON; a reader never sees half of it."""
        file = Path(file).expanduser()
        part = file.with_name(f".{file.name}.{os.getpid()}")
        part.write_text(json.dumps(self.as_json(), indent=1, allow_nan=False) + "\n", "utf-8")
        part.replace(file)


def machine() -> dict[str, Any]:
    """Where it was measured."""
    from fxformer.energy.host_usage import cpu_name

    return {"cpu": cpu_name(), "threads": os.cpu_count(), "python": platform.python_version()}


def _rule(finding: Finding) -> dict[str, Any]:
    values = ("nominal", "kind")
    rule = {"name": finding.check.name} | {name: getattr(finding.check, name) for name in values}
    for name in ("observed", "low", "high", "p_value", "draws", "holds"):
        value = getattr(finding, name)
        rule[name] = None if isinstance(value, float) and math.isnan(value) else value
    return rule
