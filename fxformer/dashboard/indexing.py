"""Background indexing: reads metrics and energy ledgers before the page requests them."""

import threading
import time

from fxformer.dashboard.curves import AXES
from fxformer.dashboard.run_index import RunIndex

_IDLE = 0.7  # seconds without a request before the next log is read


def read_ahead(index: RunIndex, stop: threading.Event) -> None:
    """Read the loss and the ledger of every run, the newest first, until `stop` is set.

    Pauses while requests arrive.
    """
    for key in reversed(index.runs()):
        index.names(key)
    for key in reversed(index.runs()):
        while (wait := index.last_request + _IDLE - time.monotonic()) > 0:
            if stop.wait(wait):
                return
        if stop.is_set():
            return
        try:
            index.columns(key).split("train", "loss", *AXES)
            index.totals(key)
        except (OSError, ValueError):  # deleted in the meantime
            continue
