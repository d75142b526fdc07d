"""From a node of the config to the object it describes."""

from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig


def build(node: DictConfig | ListConfig) -> Any:
    """What `_target_` names, with plain lists and dicts inside.

    OmegaConf would otherwise wrap them, and take a dataclass in a list for a config of its own.
    """
    return instantiate(node, _convert_="all")
