"""TensorBoard as a mirror: event files in the run's folder, written without TensorFlow."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from fxformer.errors import UserError
from fxformer.track.run import Run
from fxformer.types import Positive


class TensorBoardTracker:
    """Mirrors metrics as <split>/<name> into <run>/tensorboard.

    flush_seconds: between two writes to disk
    """

    def __init__(self, *, flush_seconds: Positive = 10.0):
        self._flush = flush_seconds
        self._writer: Any = None

    def start(self, config: Mapping[str, Any], run: Run) -> None:
        """Open the event file, hiding what a resume redoes; UserError names the pip line."""
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise UserError("tracker=tensorboard needs `pip install tensorboardX`") from error
        purge = None if run.rewound is None else run.rewound + 1
        self._writer = SummaryWriter(
            str(run.folder / "tensorboard"), purge_step=purge, flush_secs=cast(int, self._flush)
        )
        self.text("config", OmegaConf.to_yaml(OmegaConf.create(dict(config))))

    def log(self, step: int, split: str, metrics: Mapping[str, float]) -> None:
        """Numbers as scalars; what is not a number is left out."""
        for name, value in metrics.items():
            if isinstance(value, (int, float)):
                self._writer.add_scalar(f"{split}/{name}", value, step)

    def text(self, name: str, text: str) -> None:
        """A text panel, as a code block."""
        self._writer.add_text(name, "".join(f"    {line}\n" for line in text.splitlines()))

    def artifact(self, name: str, path: Path) -> None:
        """Only its place is noted."""
        self._writer.add_text(f"artifact/{name}", str(path))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """The summary as text, then the end."""
        self.text("summary", "\n".join(f"{k}: {v}" for k, v in summary.items()))
        self._writer.close()
