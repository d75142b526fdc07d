"""Agreement of processes on the point of the program where all of them act on a request.

A signal, a used-up budget, an interval of the clock: one process knows of it, at any moment. If it
stopped there, the others would wait for it in their next collective operation for ever. So it asks;
a thread of each process answers with the number of the point that its main thread has reached, and
all act at the first point that none has passed. Until somebody asks, a point costs an addition.
"""

import itertools
import threading
from collections.abc import Callable
from typing import Literal

from fxformer.distributed.group import GroupClosedError, ProcessGroup

Kind = Literal["stop", "budget", "save"]
OF_FIRST = ("budget", "save")  # decided by the clock and the meter of process 0 alone


class Agreement:
    """The agreement of one process with itself: a request holds at once."""

    def settled(self, kind: Kind, request: str | None) -> str | None:
        """The request of this kind that is to be acted on now; None: there is none.

        request: that of this process, None for none. All processes make the same calls.
        """
        return request

    def meet(self) -> None:
        """Wait for all processes: after what may take one of them longer than another. Collective
        operations on CPUs fail where a process comes half a minute late."""


ALONE = Agreement()


class GroupAgreement(Agreement):
    """The same for several processes. A "stop" and a used-up "budget" hold for good, a "save" once.

    name: of the loop, so that a later one of the same processes begins anew
    moved: called at each point
    """

    def __init__(self, group: ProcessGroup, name: str, moved: Callable[[], object] = lambda: None):
        self.moved = moved
        self.group, self.name = group, f"agreement/{name}"
        self._here, self._asked = 0, set[str]()
        self._due: dict[int, list[tuple[str, str]]] = {}  # by point
        self._known: dict[str, str] = {}
        self._answered: int | None = None  # the point we told the others, until theirs are known
        self._changed = threading.Condition()
        threading.Thread(target=self._listen, daemon=True, name="agreement").start()

    def settled(self, kind: Kind, request: str | None) -> str | None:
        self.moved()
        if request is not None and (self.group.first or kind not in OF_FIRST):
            self._ask(kind, request)
        with self._changed:
            self._here += 1
            while self._answered is not None and not self.group.closed.is_set():
                self._changed.wait(1.0)
            for point in [p for p in self._due if p <= self._here]:
                for asked, words in self._due.pop(point):
                    self._known.setdefault(asked, words)
            found = self._known.get(kind)
            if kind == "save" and found is not None:
                del self._known[kind]
                self._asked.discard(kind)
        return found

    def meet(self) -> None:
        self.group.barrier(f"{self.name}/meet")

    def _ask(self, kind: str, request: str) -> None:
        if kind in self._asked or kind in self._known:
            return
        self._asked.add(kind)
        for number in itertools.count():
            if self.group.set(f"{self.name}/ask/{number}", [kind, request]):
                return

    def _listen(self) -> None:
        for number in itertools.count():
            try:
                kind, words = self.group.get(f"{self.name}/ask/{number}")
                with self._changed:
                    self._answered = self._here
                points = self.group.exchange(f"{self.name}/point", self._answered)
            except GroupClosedError:
                return
            except Exception:  # noqa: BLE001 - a lost connection is said by the monitor
                return
            with self._changed:
                self._due.setdefault(max(points) + 1, []).append((kind, words))
                self._answered = None
                self._changed.notify_all()
