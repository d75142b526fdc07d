"""What makes a process a trial of a study. Imports nothing heavy: workers hand it out."""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Self

VARIABLE = "FXFORMER_TRIAL"
RESUMABLE = 75  # exit code of what can be gone on with


@dataclasses.dataclass(frozen=True)
class Ticket:
    """What a process must know to be a trial; travels in the environment.

    parent: pid of the worker that it must not outlive; None: this process is the worker
    """

    study: str
    slot: int
    attempt: int
    parent: int | None

    def environment(self) -> dict[str, str]:
        """For the process that is to be the trial."""
        return {VARIABLE: json.dumps(dataclasses.asdict(self))}

    @classmethod
    def found(cls, environ: Mapping[str, str] = os.environ) -> Self | None:
        """The ticket of this process, if it has one."""
        text = environ.get(VARIABLE)
        return cls(**json.loads(text)) if text else None
