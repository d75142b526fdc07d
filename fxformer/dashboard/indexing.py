"""Reads the logs ahead of the page, the newest first, so that curves are there when asked for."""

import threading
import time

from fxformer.dashboard.curves import AXES
from fxformer.dashboard.run_index import Shelf

_CALM = 0.7  # seconds without a request after which the next log is read


def read_ahead(shelf: Shelf, stop: threading.Event) -> None:
    """Read the loss and the ledger of every run ahead, until all are read or `stop` is set.

    Requests of pages come first."""
    for key in reversed(shelf.runs()):
        shelf.names(key)
    for key in reversed(shelf.runs()):
        while (wait := shelf.asked + _CALM - time.monotonic()) > 0:
            if stop.wait(wait):
                return
        if stop.is_set():
            return
        try:
            shelf.columns(key).split("train", "loss", *AXES)
            shelf.totals(key)
        except (OSError, ValueError):  # deleted meanwhile
            continue
