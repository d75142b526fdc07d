"""Reads the logs ahead of the page, the newest first, so that curves are there when asked for."""

import threading
import time

from fxformer.dashboard.curves import AXES
from fxformer.dashboard.shelf import Shelf

_REST = 0.01  # seconds between two logs, for requests to get in


def read_ahead(shelf: Shelf, stop: threading.Event) -> None:
    """Take in the loss of every run, until all are or `stop` is set."""
    for key in reversed(shelf.runs()):
        if stop.is_set():
            return
        try:
            shelf.columns(key).split("train", "loss", *AXES)
        except (OSError, ValueError):  # deleted meanwhile
            continue
        time.sleep(_REST)
