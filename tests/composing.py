"""The config of a command line, with the choices of its groups composed once for all tests."""

import copy
import functools
from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from fxformer.config import folders


def composed(overrides: Sequence[str]) -> DictConfig:
    """What Hydra makes of a command line. The choices of groups are composed once; the values are
    set by Hydra's own function in a copy, as it does for a whole command line."""
    chosen = _chosen_groups(tuple(word for word in overrides if _is_choice(word)))
    cfg = copy.deepcopy(chosen)
    values = [word for word in overrides if not _is_choice(word)]
    ConfigLoaderImpl._apply_overrides_to_config(
        OverridesParser.create().parse_overrides(values), cfg
    )
    return cfg


def _is_choice(word: str) -> bool:
    """Whether a word is about a group, and not about a value."""
    key = word.partition("=")[0].lstrip("+~")
    if "/" in key or "@" in key or key == "experiment":
        return True
    return (folders.conf_folder() / key).is_dir()


@functools.lru_cache(200)
def _chosen_groups(words: tuple[str, ...]) -> DictConfig:
    """The config of some choices of groups."""
    folders.register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(folders.conf_folder()), version_base="1.3"):
        return compose("train", list(words))
