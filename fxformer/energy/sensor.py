"""What a source of joules is: cumulative readings per device, each with provenance and interval."""

import dataclasses
from collections.abc import Sequence
from typing import Literal, Protocol

Provenance = Literal["measured", "integrated", "modelled"]


@dataclasses.dataclass(frozen=True)
class Reading:
    """Joules of one device since its source was opened.

    device: "cpu", "ram", "gpu:<uuid>" …
    source: whose word it is; readings of one source share their error, those of two do not
    provenance: measured by a counter, integrated from power samples, or modelled
    sigma: one standard deviation, relative to the joules
    """

    device: str
    source: str
    provenance: Provenance
    sigma: float
    joules: float


class Source(Protocol):
    """Something that can be asked for joules. `read` may raise: the meter then asks its stand-in.

    every: seconds that must lie between two reads (0: a read costs microseconds)
    """

    name: str
    every: float

    def read(self) -> Sequence[Reading]:
        """Cumulative readings; never decreasing per (device, source, provenance)."""
        ...

    def close(self) -> None:
        """Let go of files, handles and threads."""
        ...


@dataclasses.dataclass(frozen=True)
class Unreadable:
    """A meter that could not be read: its name, why, and what would make it readable."""

    name: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}; {self.remedy}"


class UnreadableError(RuntimeError):
    """Raised when a source is opened that cannot be read; carries the `Unreadable`."""

    def __init__(self, what: Unreadable):
        super().__init__(str(what))
        self.what = what
