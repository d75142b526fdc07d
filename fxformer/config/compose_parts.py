"""Composition of parts of a config without Hydra's own config, which costs as much again."""

from collections.abc import Sequence

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.defaults_list import create_defaults_list
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException


def has_hydra(name: str | None, overrides: Sequence[str]) -> bool:
    """Whether a composition may choose or set something of Hydra itself: that of a command does
    (conf/train.yaml), and a recipe and an override may.

    name: of the yaml that is composed; None: of none
    """
    command = name is not None and "/" not in name
    keys = [word.partition("=")[0].lstrip("+~") for word in overrides]
    return command or any(key.partition("@")[0] == "experiment" or "hydra" in key for key in keys)


def compose_parts(name: str | None, overrides: Sequence[str]) -> DictConfig:
    """What `hydra.compose` returns where `has_hydra` is false; Hydra must be initialized.

    Its steps, but for the node `hydra`, which `hydra.compose` builds and deletes.
    Raises what `hydra.compose` raises.
    """
    loader = GlobalHydra.instance().config_loader()
    assert isinstance(loader, ConfigLoaderImpl)
    try:
        parsed, repo = loader._parse_overrides_and_create_caching_repo(name, list(overrides))
        loader.validate_sweep_overrides_legal(parsed, RunMode.RUN, from_shell=False)
        found = create_defaults_list(repo, name, parsed, prepend_hydra=False, skip_missing=False)
        cfg = loader._compose_config_from_defaults_list(found.defaults, repo)
        OmegaConf.set_struct(cfg, True)
        ConfigLoaderImpl._apply_overrides_to_config(found.config_overrides, cfg)
    except OmegaConfBaseException as error:
        raise ConfigCompositionException() from error
    return cfg
