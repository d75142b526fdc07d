"""From a node of the config to the object it describes."""

import keyword
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf


def build(node: DictConfig | ListConfig) -> Any:
    """What `_target_` names, with plain lists and dicts inside.

    OmegaConf would otherwise wrap them, and take a dataclass in a list for a config of its own.
    A knob that Python keeps a word for (`from`) reaches the target as `from_`.
    """
    if isinstance(node, DictConfig) and any(keyword.iskeyword(str(key)) for key in node):
        known = OmegaConf.to_container(node, resolve=True)
        node = OmegaConf.create(
            {f"{k}_" if keyword.iskeyword(str(k)) else k: v for k, v in known.items()}
        )
    return instantiate(node, _convert_="all")
