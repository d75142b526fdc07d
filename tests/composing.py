"""The config of a command line, composed without the command."""

from collections.abc import Sequence

from omegaconf import DictConfig

from fxformer.config import options


def composed(overrides: Sequence[str]) -> DictConfig:
    """What `fxformer train` composes of these words."""
    return options.composed("train", overrides)
