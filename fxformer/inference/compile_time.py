"""Seconds that a thread has spent on compiling programs: tracing, lowering and XLA."""

import functools
import threading
import time
from typing import Any

import jax

EVENTS = ("/jaxpr_trace_duration", "/jaxpr_to_mlir_module_duration", "/backend_compile_duration")
_thread = threading.local()


def compile_seconds() -> float:
    """Seconds of compilation in this thread since its first call of this function."""
    _listen()
    return sum(end - start for start, end in _spans())


def _spans() -> list[tuple[float, float]]:
    """Disjoint spans of time, ascending."""
    if not hasattr(_thread, "spans"):
        _thread.spans = []
    return _thread.spans


@functools.cache
def _listen() -> None:
    """Have JAX tell the duration of each compilation, in the thread that waits for it."""
    jax.monitoring.register_event_duration_secs_listener(_add)


def _add(event: str, duration_secs: float, **_: Any) -> None:
    """Add a duration that ends now; it replaces those inside it, as of a function traced within
    another."""
    if not event.endswith(EVENTS):
        return
    end, spans = time.perf_counter(), _spans()
    start = end - duration_secs
    while spans and spans[-1][0] >= start:
        spans.pop()
    if spans:
        start = max(start, spans[-1][1])
    spans.append((start, end))
