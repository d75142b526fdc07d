"""Group of processes that train one model: values exchanged through JAX's coordination service.

Nothing here runs on a device, so a thread may use it while the main thread is in a training step.
The service is a key-value store in process 0, which every process reaches through one connection.
"""

import itertools
import json
import socket
import threading
from collections import defaultdict
from typing import Any

SLICE_MS = 10_000  # a blocking read is repeated every so often, so that a thread can end


class ProcessGroup:
    """This process and the others; of one process alone, everything here costs nothing.

    index, count: this process, from 0, and how many there are
    client: of JAX's coordination service; None: there is one process
    """

    def __init__(self, index: int = 0, count: int = 1, client: Any = None):
        self.index, self.count, self.client = index, count, client
        self.host = socket.gethostname()
        self.closed = threading.Event()
        self._numbers: defaultdict[str, itertools.count] = defaultdict(itertools.count)

    @property
    def first(self) -> bool:
        """Whether this is process 0, which owns the folder of the run."""
        return self.index == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.count == 1

    def exchange(self, name: str, value: Any) -> list[Any]:
        """The values (JSON) of all processes, in their order.

        All processes call it, in the same order for one name; it waits for the last of them. Where
        one of them never comes, it ends only with this process: see `PeerMonitor`.
        """
        if self.alone:
            return [value]
        found, number = self.gather(f"{name}/all", value), next(self._numbers[name])
        if self.first and number:  # all are here, so all have read the one before
            self.delete(f"{name}/{number - 1}")
        return self._published(f"{name}/{number}", found)

    def gather(self, name: str, value: Any) -> list[Any] | None:
        """The values (JSON) of all processes in process 0, None in the others, which go on."""
        if self.alone:
            return [value]
        number = next(self._numbers[f"{name}/gather"])
        keys = [f"{name}/{number}/{process}" for process in range(self.count)]
        if not self.first:
            self.set(keys[self.index], value)
            return None
        found = [value, *(self.get(key) for key in keys[1:])]
        for key in keys[1:]:
            self.delete(key)
        return found

    def share(self, name: str, value: Any) -> Any:
        """The value (JSON) of process 0. All processes call it, in the same order for one name."""
        if self.alone:
            return value
        return self._published(f"{name}/share/{next(self._numbers[name])}", value)

    def _published(self, key: str, value: Any) -> Any:
        """The value that process 0 stores under a key."""
        if not self.first:
            return self.get(key)
        self.set(key, value)
        return value

    def barrier(self, name: str) -> None:
        """Wait until every process is here."""
        self.exchange(f"barrier/{name}", None)

    def set(self, key: str, value: Any, *, overwrite: bool = False) -> bool:
        """Store a value (JSON). Returns whether it could: another may have set it before."""
        try:
            self.client.key_value_set(key, json.dumps(value), allow_overwrite=overwrite)
        except Exception as error:
            if "ALREADY_EXISTS" in str(error):
                return False
            raise
        return True

    def get(self, key: str) -> Any:
        """The value of a key, once some process has set it. Raises GroupClosedError at the end."""
        while True:
            if self.closed.is_set():
                raise GroupClosedError(key)
            try:
                return json.loads(self.client.blocking_key_value_get(key, SLICE_MS))
            except Exception as error:
                if "DEADLINE_EXCEEDED" not in str(error):
                    raise

    def look(self, key: str) -> Any:
        """The value of a key; None where nobody has set it."""
        try:
            return json.loads(self.client.key_value_try_get(key))
        except Exception as error:
            if "NOT_FOUND" not in str(error):
                raise
            return None

    def folder(self, prefix: str) -> dict[str, Any]:
        """{key: value} of the keys below `prefix/`."""
        found = self.client.key_value_dir_get(f"{prefix}/")
        return {key: json.loads(value) for key, value in found}

    def delete(self, key: str) -> None:
        """Delete a key."""
        self.client.key_value_delete(key)


class GroupClosedError(RuntimeError):
    """A thread waited for a value while its process was ending."""


ONE_PROCESS = ProcessGroup()
