"""Batches made ahead of time by threads, always in the same order."""

import collections
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fxformer.batch import Batch, Rows
from fxformer.data.batches import Batches
from fxformer.errors import UserError


class Loader:
    """Iterates over (n, corrupt(batches[n])) for n = start, start + 1, …, stop - 1.

    stop: None goes on for ever, or to the end of batches that end
    workers: threads; 0 makes each batch when it is asked for. The outcome is the same.
    prefetch: batches made ahead
    check: called with each Batch; raises what is wrong with it
    waited: seconds the iteration has waited for data so far

    An exception of a worker comes up where its batch would have. Use it in a `with`, or `close` it.
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
        if stop is None and hasattr(batches, "__len__"):
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
        todo, queue = self.start, collections.deque()
        while self.stop is None or self.start < self.stop:
            began = time.perf_counter()
            if self._pool is None:
                batch = self._make(self.start)
            else:
                while len(queue) < self.ahead and (self.stop is None or todo < self.stop):
                    queue.append(self._pool.submit(self._make, todo))
                    todo += 1
                batch = queue.popleft().result()
            self.waited += time.perf_counter() - began
            n, self.start = self.start, self.start + 1
            yield n, batch

    def close(self) -> None:
        """Stop the threads; batches not yet begun are given up."""
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def check_batch(batch: Batch, vocab_size: int, source_vocab_size: int | None = None) -> None:
    """UserError if an id of tokens, targets or source is outside its vocabulary: on the device it
    would be clamped, or turn into NaN, without a word.

    source_vocab_size: of the source, where it has a vocabulary of its own
    """
    for name in ("tokens", "targets", "source"):
        ids = getattr(batch, name)
        if ids is None or not np.size(ids):
            continue
        ids, size = np.asarray(ids), vocab_size
        if name == "source" and source_vocab_size is not None:
            size = source_vocab_size
        if ids.min() < 0 or ids.max() >= size:
            row, place = np.argwhere((ids < 0) | (ids >= size))[0]
            raise UserError(
                f"{name} holds id {ids[row, place]} in row {row} at place {place}, but the "
                f"vocabulary has {size} ids (0 to {size - 1})"
            )
