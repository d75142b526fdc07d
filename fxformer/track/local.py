"""The default tracker: the run's own folder. It needs no account, no server and no thread."""

import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fxformer import jsonl
from fxformer.track.run import Run

_log = logging.getLogger(__name__)


class LocalTracker:
    """Appends to the folder. A disk that refuses is warned of once a spell, and tried again at the
    next line: it never stops a run."""

    def __init__(self) -> None:
        self._run: Run | None = None
        self._refused = 0

    def start(self, config: Mapping[str, Any], run: Run) -> None:
        """The folder has its config already."""
        self._run = run

    def log(self, step: int, split: str, metrics: Mapping[str, Any]) -> None:
        """One line of metrics.jsonl."""
        self._try(lambda run: run.log(step, split, metrics))

    def text(self, name: str, text: str) -> None:
        """<name>.md, replaced at each call."""
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "text"
        self._try(lambda run: jsonl.replace(run.folder / f"{plain}.md", text))

    def artifact(self, name: str, path: Path) -> None:
        """A line in events.jsonl that says where it is."""
        self._try(lambda run: run.event("artifact", name=name, path=str(path)))

    def event(self, kind: str, **facts: Any) -> None:
        """A line in events.jsonl."""
        self._try(lambda run: run.event(kind, **facts))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """The summary goes into run.json."""
        self._try(lambda run: run.update(summary=dict(summary)))

    def _try(self, write: Callable[[Run], Any]) -> None:
        if self._run is None:
            raise RuntimeError("the tracker was not started")
        try:
            write(self._run)
        except OSError as error:
            if not self._refused:
                _log.warning("the run's folder cannot be written (%s); the run goes on", error)
            self._refused += 1
            return
        if self._refused:
            _log.warning("the run's folder is written again; %d lines are lost", self._refused)
            self._refused = 0
