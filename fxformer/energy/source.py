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


class Guarded:
    """A source with stand-ins: when it dies its last reading is kept, and the stand-ins count on
    from there. `died` then says which meter, why, and who counts instead.

    stand_ins: they run in its shadow from the start, so that they also know what was used between
        the last good reading and the death
    """

    def __init__(self, source: Source, stand_ins: Sequence[Source]):
        self.name, self.every = source.name, source.every
        self._source, self._others = source, stand_ins
        self._last: Sequence[Reading] = ()
        self._shadow = self._stand_ins()
        self.died: Unreadable | None = None

    def _stand_ins(self) -> dict[tuple[str, str], Reading]:
        return {(r.device, r.source): r for other in self._others for r in other.read()}

    def read(self) -> Sequence[Reading]:
        """The source's readings, or its last ones and what the stand-ins counted since."""
        if self.died is None:
            try:
                self._last = self._source.read()
                self._shadow = self._stand_ins()
                return self._last
            except Exception as error:  # noqa: BLE001 - any failure is the same to a run
                names = ", ".join(other.name for other in self._others)
                self.died = Unreadable(
                    self.name, f"died while running ({error})", f"{names} counts since")
        since = [
            dataclasses.replace(r, joules=r.joules - self._shadow[key].joules)
            for key, r in self._stand_ins().items()
        ]
        return [*self._last, *since]

    def close(self) -> None:
        """Close all of them."""
        for source in (self._source, *self._others):
            source.close()
