"""Host values inside a module: not traced by jax, and hashable, as keys of jit."""

import collections
import dataclasses
import hashlib
import threading
from typing import Any

import numpy as np


class Held:
    """A host dataclass with arrays in it, compared and hashed by its contents.

    A module's structure is hashed when it keys a compiled function; an array would make that fail,
    and the identity of an object would make two equal modules compile twice.
    """

    def __init__(self, value: Any):
        self.value = value
        self._digest = _digest(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Held) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)

    def __repr__(self) -> str:
        return f"Held({type(self.value).__name__})"


class Tally:
    """Counts of what had to be left out on the host, safe to raise from several loader threads.

    Two tallies are equal whatever they have counted: they are no part of what a module computes.
    """

    def __init__(self):
        self._counts = collections.Counter()
        self._lock = threading.Lock()

    def add(self, name: str, count: int | np.integer) -> None:
        """Count `count` more of `name`; a count of 0 leaves no trace."""
        if count:
            with self._lock:
                self._counts[name] += int(count)

    def counts(self) -> dict[str, int]:
        """All counts so far, by name."""
        with self._lock:
            return dict(self._counts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tally)

    def __hash__(self) -> int:
        return hash(Tally)

    def __deepcopy__(self, memo: dict) -> "Tally":
        return self  # a lock cannot be copied, and a copied module still counts for the same run

    def __reduce__(self):
        return Tally, ()


def _digest(value: Any) -> str:
    """A digest of a dataclass of arrays and plain values."""
    state = hashlib.blake2b(type(value).__name__.encode(), digest_size=16)
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        plain = f"{item.dtype}{item.shape}" if isinstance(item, np.ndarray) else repr(item)
        state.update(f"|{field.name}={plain}:".encode())
        if isinstance(item, np.ndarray):
            state.update(np.ascontiguousarray(item).tobytes())
    return state.hexdigest()
