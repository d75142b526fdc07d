"""Environment variable that makes a process a trial of a study. Imports nothing heavy."""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Self

VARIABLE = "FXFORMER_TRIAL"
RESUMABLE = 75  # exit code of a trial that can be resumed


@dataclasses.dataclass(frozen=True)
class TrialEnv:
    """Identity of the trial that a process runs; passed in the environment.

    study: folder of the study
    parent: pid of the worker, with which the process must exit; None: this process is the worker
    """

    study: str
    slot: int
    attempt: int
    parent: int | None

    def environment(self) -> dict[str, str]:
        """The environment variables of the process of the trial."""
        return {VARIABLE: json.dumps(dataclasses.asdict(self))}

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self | None:
        """The trial of this process; None if it is not a trial."""
        text = environ.get(VARIABLE)
        return cls(**json.loads(text)) if text else None
