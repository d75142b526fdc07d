"""Processes that work on units of a corpus: `Workers`, and the program that each of them is.

A worker reads messages from its standard input: "task SIZE" and a pickled task of so many bytes, or
"unit NUMBER", which it answers with lines of JSON: {"done": bytes} …, {"finished": number}, or
{"error": …} where it fails. It ends as soon as its standard input does, which the death of its
parent ends too.
"""

import contextlib
import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

from fxformer.data.preparation_tasks import PreparationTask
from fxformer.errors import UserError


class Workers:
    """Processes that are started when there is work for several, and end with the context."""

    def __init__(self, processes: int):
        self.processes = processes
        self._workers: list[_Worker] = []

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_) -> None:
        for worker in self._workers:
            worker.close()

    def run(
        self, task: PreparationTask, numbers: Sequence[int], report: Callable[[int], None]
    ) -> None:
        """Work on the units of these numbers, in their order where there is one process.

        report: called with the bytes that are done, from this thread
        """
        if self.processes < 2 or len(numbers) < 2:
            for number in numbers:
                task(number, report)
            return
        while len(self._workers) < min(self.processes, len(numbers)):
            self._workers.append(_Worker())
        free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        done: queue.SimpleQueue[int] = queue.SimpleQueue()
        content = pickle.dumps(task)
        for worker in self._workers:
            worker.task = content
            free.put(worker)

        def one(number: int) -> None:
            worker = free.get()
            try:
                worker.work(number, done.put)
            finally:
                free.put(worker)

        pool = ThreadPoolExecutor(len(self._workers), "preparation")
        try:
            left = {pool.submit(one, number) for number in numbers}
            while left:
                finished, left = wait(left, timeout=0.5, return_when=FIRST_COMPLETED)
                while not done.empty():
                    report(done.get())
                for future in finished:
                    future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class _Worker:
    """A process that works on one unit at a time. task: pickled, to be sent before the next"""

    task: bytes | None = None

    def __init__(self):
        paths = os.pathsep.join(path for path in sys.path if path)
        one = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fxformer.data.preparation_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | one | {"PYTHONPATH": paths, "JAX_PLATFORMS": "cpu"},
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout

    def work(self, number: int, report: Callable[[int], None]) -> None:
        """Have a unit worked on. Raises UserError as the task does, RuntimeError where the worker
        has died."""
        try:
            if self.task is not None:
                self._to.write(f"task {len(self.task)}\n".encode() + self.task)
                self.task = None
            self._to.write(f"unit {number}\n".encode())
            self._to.flush()
        except BrokenPipeError:
            raise RuntimeError(self._ended()) from None
        while line := self._from.readline():
            answer = json.loads(line)
            if "done" in answer:
                report(answer["done"])
            elif "finished" in answer:
                return
            elif answer["user"]:
                raise UserError(answer["error"])
            else:
                raise RuntimeError(f"a process that prepares text failed:\n{answer['error']}")
        raise RuntimeError(self._ended())

    def _ended(self) -> str:
        code = self._process.wait()
        why = f"by signal {-code}" if code < 0 else f"with status {code}"
        hint = "; where memory is short, write a smaller data.processes" if code == -9 else ""
        return (
            f"a process that prepares text was ended {why}{hint}; what is done is kept: give the "
            "same command again"
        )

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._to, self._from):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def main() -> None:
    """The program of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    messages: queue.SimpleQueue[int | bytes] = queue.SimpleQueue()

    def read() -> None:
        source = sys.stdin.buffer
        while line := source.readline():
            kind, number = line.split()
            messages.put(int(number) if kind == b"unit" else source.read(int(number)))
        os._exit(0)

    def answer(**facts: Any) -> None:
        out.write(json.dumps(facts) + "\n")

    threading.Thread(target=read, daemon=True).start()
    task: PreparationTask | None = None
    while True:
        message = messages.get()
        if isinstance(message, bytes):
            task = pickle.loads(message)
            continue
        assert task is not None  # is sent first
        try:
            task(message, lambda done: answer(done=done))
            answer(finished=message)
        except UserError as problem:
            answer(error=str(problem), user=True)
        except Exception:
            answer(error=traceback.format_exc(), user=False)


if __name__ == "__main__":
    main()
