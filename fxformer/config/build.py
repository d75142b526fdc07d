"""From a node of the config to the object it describes."""

import keyword
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from fxformer.config.target import ConfigError, locate


def build(node: DictConfig | ListConfig) -> Any:
    """What `_target_` names, with plain lists and dicts inside.

    OmegaConf would otherwise wrap them, and take a dataclass in a list for a config of its own.
    A knob that Python keeps a word for (`from`) reaches the target as `from_`.

    Raises ConfigError, before anything is called, where a `_target_` in it may not run: this is
    the only place where a config turns into code, whoever wrote the config.
    """
    admit(OmegaConf.to_container(node, resolve=True))
    if isinstance(node, DictConfig) and any(keyword.iskeyword(str(key)) for key in node):
        known = OmegaConf.to_container(node, resolve=True)
        assert isinstance(known, dict)
        node = OmegaConf.create(
            {f"{k}_" if keyword.iskeyword(str(k)) else k: v for k, v in known.items()}
        )
    return instantiate(node, _convert_="all")


def cause(error: BaseException) -> BaseException:
    """What a part raised while it was built; Hydra wraps it."""
    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    return error


def admit(node: Any, path: str = "") -> None:
    """Raise ConfigError where a plain node names code that may not run (config/target.py)."""
    if isinstance(node, dict):
        if "_target_" in node:
            target = node["_target_"]
            try:
                if not isinstance(target, str):
                    raise ConfigError(f"expected the dotted name of a part, got {target!r}")
                locate(target)
            except ConfigError as error:
                raise ConfigError(f"{path}._target_: {error}".lstrip(".")) from None
        for key, value in node.items():
            admit(value, f"{path}.{key}".lstrip("."))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            admit(value, f"{path}[{index}]")
