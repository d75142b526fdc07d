"""Data loader: batches in a deterministic order, prepared ahead of time by threads."""

import collections
import functools
import time
from collections.abc import Callable, Iterator, Sized
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from fxformer.batch import Batch, Rows
from fxformer.data.packing import Packed
from fxformer.data.permutation import Permutation
from fxformer.errors import UserError


class Batches(Protocol):
    """Sequence of batches: Rows [batch, row length], a function of the seed and the number.

    steps_per_epoch: number of batches of one pass over the rows
    """

    steps_per_epoch: int

    def __getitem__(self, n: int) -> Rows: ...

    def epoch(self, n: int) -> int:
        """Epoch of batch n, from 0."""
        ...


class OnePass(Batches, Sized, Protocol):
    """Batches of one pass, so many."""


def check_enough(packed: Packed, batch: int) -> None:
    """Raise UserError where there are fewer rows than `batch`."""
    if len(packed) < batch:
        facts = packed.facts()
        raise UserError(
            f"the training text fills {len(packed)} rows of {facts['row_length']} tokens: "
            f"no batch of {batch}: data.batch={max(len(packed), 1)} at most, a smaller "
            "data.length, or more text"
        )


class Shuffled:
    """Endless shuffled batches: a new permutation of all rows in every epoch (permutation.py).

    The last rows of an epoch that do not fill a batch are dropped; they differ between epochs.
    Raises UserError where there are fewer rows than `batch`.

    own: numbers of the rows of each batch that are made: those of this process, where several
        train together; None: all
    """

    def __init__(self, packed: Packed, batch: int, seed: int, own: np.ndarray | None = None):
        check_enough(packed, batch)
        self.packed, self.batch, self.seed, self.own = packed, batch, seed, own
        self.steps_per_epoch = len(packed) // batch
        self._order = functools.lru_cache(2)(self._shuffle)

    def _shuffle(self, epoch: int) -> Permutation:
        return Permutation(len(self.packed), self.seed, epoch)

    def epoch(self, n: int) -> int:
        return n // self.steps_per_epoch

    def __getitem__(self, n: int) -> Rows:
        if n < 0:
            raise IndexError(f"batch {n}")
        epoch, step = divmod(n, self.steps_per_epoch)
        places = np.arange(step * self.batch, (step + 1) * self.batch)
        which = self._order(epoch)(places if self.own is None else places[self.own])
        return self.packed.rows(which, self.seed, epoch)


class InOrder:
    """Batches of every row exactly once, in order; the last one is filled with rows of padding.

    Seed and epoch are constant, so every evaluation of every run uses the same batches.

    own: as in Shuffled
    """

    seed = 0

    def __init__(self, packed: Packed, batch: int, own: np.ndarray | None = None):
        self.packed, self.batch, self.own = packed, batch, own
        self.steps_per_epoch = -(-len(packed) // batch)

    def __len__(self) -> int:
        return self.steps_per_epoch

    def epoch(self, n: int) -> int:
        return 0

    def __getitem__(self, n: int) -> Rows:
        if not 0 <= n < len(self):
            raise IndexError(f"batch {n} of {len(self)}")
        which = np.arange(n * self.batch, (n + 1) * self.batch)
        which = which if self.own is None else which[self.own]
        return self.packed.rows(np.where(which < len(self.packed), which, -1))


class Loader:
    """Iterates over (n, corrupt(batches[n])) for n = start, start + 1, …, stop - 1.

    stop: None: the number of batches, endless where they are endless
    workers: threads; with 0 the main thread prepares each batch. The batches are the same
    prefetch: number of batches prepared ahead
    check: called with each Batch; raises for an invalid one
    waited: seconds that the iteration has waited for data so far

    An exception in a worker is raised in place of its batch. Use as a context manager, or `close`.
    """

    def __init__(
        self,
        batches: Batches,
        corrupt: Callable[[Rows], Batch],
        *,
        start: int = 0,
        stop: int | None = None,
        workers: int = 2,
        prefetch: int = 4,
        check: Callable[[Batch], None] | None = None,
    ):
        self.batches, self.corrupt, self.check = batches, corrupt, check
        self.start, self.stop = start, stop
        if stop is None and isinstance(batches, Sized):
            self.stop = len(batches)
        self.ahead = max(prefetch, 1)
        self.waited = 0.0
        self._pool = ThreadPoolExecutor(workers, "loader") if workers else None

    def _make(self, n: int) -> Batch:
        batch = self.corrupt(self.batches[n])
        if self.check:
            self.check(batch)
        return batch

    def __iter__(self) -> Iterator[tuple[int, Batch]]:
        submitted, queue = self.start, collections.deque()
        while self.stop is None or self.start < self.stop:
            began = time.perf_counter()
            if self._pool is None:
                batch = self._make(self.start)
            else:
                while len(queue) < self.ahead and (self.stop is None or submitted < self.stop):
                    queue.append(self._pool.submit(self._make, submitted))
                    submitted += 1
                batch = queue.popleft().result()
            self.waited += time.perf_counter() - began
            n, self.start = self.start, self.start + 1
            yield n, batch

    def close(self) -> None:
        """Stop the threads; batches not yet begun are cancelled."""
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def check_batch(batch: Batch, vocab_size: int, source_vocab_size: int | None = None) -> None:
    """Raise UserError if an id of tokens, targets or source is outside its vocabulary.

    On the device such an id would silently be clamped or yield NaN.

    source_vocab_size: size of the vocabulary of the source, where it is another one
    """
    for name in ("tokens", "targets", "source"):
        ids = getattr(batch, name)
        if ids is None or not np.size(ids):
            continue
        ids, size = np.asarray(ids), vocab_size
        if name == "source" and source_vocab_size is not None:
            size = source_vocab_size
        if ids.min() < 0 or ids.max() >= size:
            row, position = np.argwhere((ids < 0) | (ids >= size))[0]
            raise UserError(
                f"{name} holds id {ids[row, position]} in row {row}, position {position}; the "
                f"vocabulary has {size} ids (0 to {size - 1})"
            )
