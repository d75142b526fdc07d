"""Weights & Biases as a mirror: offline by default (no account), or online."""

import logging
import shlex
import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from fxformer.errors import UserError
from fxformer.track.run import Run
from fxformer.types import Positive

_log = logging.getLogger(__name__)


def sync_command(folder: Path, name: str | None) -> str | None:
    """The command that sends what wandb wrote offline below a run's folder; None where all is sent.

    A resumed run has one offline folder for each attempt, all of one id (`name`). Sent one by one
    the last replaces the others, so all are sent together, also those that were sent before:
    with --id wandb appends them in the order of their start.
    """
    there = sorted(path for path in folder.glob("wandb/offline-run-*") if path.is_dir())
    unsent = [path for path in there if not list(path.glob("*.wandb.synced"))]
    if not unsent:
        return None
    together = ["--include-synced", "--id", name] if len(there) > 1 and name else []
    return shlex.join(["wandb", "sync", *together, *(str(path) for path in there)])


class WandbTracker:
    """Mirrors metrics as <split>/<name> against "step". A resumed run keeps its id.

    mode: "offline" writes <run>/wandb/, sent later with `wandb sync`; "online" needs WANDB_API_KEY
        and falls back to offline when the server does not answer in `init_seconds`
    project, entity, group, tags: as wandb means them
    """

    def __init__(
        self,
        *,
        mode: Literal["offline", "online"] = "offline",
        project: str = "fxformer",
        entity: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        init_seconds: Positive = 15.0,
    ):
        self._mode, self._project, self._entity = mode, project, entity
        self._group, self._tags, self._seconds = group, list(tags), init_seconds
        self._wandb: Any = None
        self._unsent: str | None = None  # the command that sends the run

    def start(self, config: Mapping[str, Any], run: Run) -> None:
        """Open the run; UserError names the pip line."""
        try:
            import wandb
        except ImportError as error:
            raise UserError("tracker=wandb needs `pip install wandb`") from error
        known = run.facts.get("wandb_id")
        name = known or uuid.uuid4().hex[:12]
        arguments = {
            "id": name,
            "resume": "allow" if known else None,
            "dir": str(run.folder),
            "project": self._project,
            "entity": self._entity,
            "group": self._group,
            "tags": self._tags,
            "name": run.folder.name,
            "config": dict(config),
        }
        # wandb would note the command line, the git remote and the console: secrets live there
        quiet = {
            "console": "off",
            "disable_git": True,
            "disable_code": True,
            "silent": True,
            "x_disable_meta": True,
            "x_disable_stats": True,
            "x_disable_machine_info": True,
        }
        online = self._mode == "online" and self._online(wandb, arguments, quiet)
        self._wandb = online or wandb.init(
            mode="offline", settings=wandb.Settings(**quiet), **arguments
        )
        self._unsent = None
        if not online:
            again = sync_command(run.folder, name) if known else None
            self._unsent = again or f"wandb sync {run.folder}/wandb/offline-run-*"
        self._wandb.define_metric("*", step_metric="step")  # a resume may log a step again
        run.update(wandb_id=name)

    def _online(self, wandb: Any, arguments: dict[str, Any], quiet: dict[str, Any]) -> Any:
        """wandb.init within the time; None when it fails. It runs aside, for it may hang."""
        answer: list[Any] = []
        settings = wandb.Settings(**quiet, init_timeout=max(1.0, self._seconds - 3))

        def init() -> None:
            try:
                answer.append(wandb.init(mode="online", settings=settings, **arguments))
            except BaseException as error:  # noqa: BLE001 - whatever it is, we go offline
                answer.append(error)

        aside = threading.Thread(target=init, daemon=True, name="wandb:init")
        aside.start()
        aside.join(self._seconds)
        if answer and not isinstance(answer[0], BaseException):
            return answer[0]
        why = f"{type(answer[0]).__name__}" if answer else "no answer"
        _log.warning(
            "wandb is offline (%s after at most %g s); send it later with "
            "`wandb sync %s/wandb/offline-run-*`",
            why,
            self._seconds,
            arguments["dir"],
        )
        wandb.teardown()  # else the service holds the id for the run that was not begun
        return None

    def log(self, step: int, split: str, metrics: Mapping[str, float]) -> None:
        """Numbers as <split>/<name>."""
        self._wandb.log({"step": step, **{f"{split}/{k}": v for k, v in metrics.items()}})

    def text(self, name: str, text: str) -> None:
        """Shown as preformatted HTML, escaped."""
        import html

        import wandb

        self._wandb.log({name: wandb.Html(f"<pre>{html.escape(text)}</pre>", inject=False)})

    def artifact(self, name: str, path: Path) -> None:
        """Only its place is noted: checkpoints are large, and the folder has them."""
        self._wandb.summary[f"artifact/{name}"] = str(path)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Summary, then the end."""
        self._wandb.summary.update(dict(summary))
        self._wandb.finish()
        if self._unsent:
            _log.info("the wandb run is offline; with an account: %s", self._unsent)
