"""The run of a process that does not own its folder: it knows the facts and writes nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fxformer.track.redact import Redactor
from fxformer.track.run import Run, Status


class RunFollower(Run):
    """A run that process 0 of a group writes; the others follow it.

    facts: those of process 0 when it was opened, and what this process adds, in memory
    """

    def __init__(self, folder: Path, config: Any, facts: dict[str, Any]):
        redactor = Redactor(config)
        self.folder, self.config, self.redactor = folder, redactor.config(config), redactor
        self.facts, self.rewound = dict(facts), None

    def log(self, step: int, split: str, metrics: Mapping[str, Any]) -> None:
        """Nothing: process 0 logs."""

    def event(self, kind: str, **facts: Any) -> None:
        """Nothing: process 0 logs."""

    def verify(self) -> None:
        """Nothing: process 0 holds the lock."""

    def marks(self) -> dict[str, list[int]]:
        """None: process 0 stores them."""
        return {}

    def damage(self, marks: Mapping[str, list[int]] | None) -> list[str]:
        """None: process 0 looks for it."""
        return []

    def update(self, **facts: Any) -> None:
        """Remember facts."""
        self.facts |= facts

    def rewind(self, step: int) -> int:
        """Remember the step that was restored."""
        self.rewound = step
        return 0

    def finish(
        self, status: Status, reason: str | None = None, summary: Mapping[str, Any] | None = None
    ) -> None:
        """Nothing: process 0 writes how the run ended."""
