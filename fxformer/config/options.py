"""Which option of a config group a resolved piece of config is."""

from collections.abc import Iterable
from copy import deepcopy
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, cast

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, ListConfig, OmegaConf

from fxformer.config import folders, packages


def composed(name: str | None, overrides: Iterable[str]) -> DictConfig:
    """conf/NAME.yaml (None: nothing) with these overrides; outside of any running Hydra job.

    A command that opens a model composes the same several times, at 0.3 s each: those are kept.
    """
    own = (folders.conf_folder(), folders.experiments_folder())
    declared = [packages.folders(kind).values() for kind in ("conf", "experiments")]
    return deepcopy(_composed(name, tuple(overrides), (*own, *chain(*declared))))


@lru_cache(128)
def _composed(name: str | None, overrides: tuple[str, ...], places: tuple[Path, ...]) -> DictConfig:
    """places: where the yaml files lie"""
    folders.register()
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(folders.conf_folder()), version_base="1.3"):
            return compose(name, list(overrides))
    finally:
        GlobalHydra.instance().hydra = before


def plain(node: Any) -> Any:
    """A node as plain python, references resolved."""
    if isinstance(node, (DictConfig, ListConfig)):
        return OmegaConf.to_container(node, resolve=True)
    return node


@cache
def option(group: str, name: str) -> dict:
    """An option of a group with its defaults, references as they are written."""
    node = cast(Any, OmegaConf.to_container(composed(f"{group}/{name}", ()), resolve=False))
    for part in group.split("/"):
        node = (node[part] or {}) if "_target_" not in node and part in node else node
    return node


def chosen(group: str, node: Any, names: Iterable[str]) -> str | None:
    """The one of `names` that made `node`: of those with its target, the one with most in common.

    A guess, for a caller that composes anew and compares.
    """
    given = plain(node) or {}

    def common(name: str) -> int:
        return sum(given.get(key, ...) == value for key, value in option(group, name).items())

    alike = [n for n in sorted(names) if option(group, n).get("_target_") == given.get("_target_")]
    return max(alike, key=common, default=None)
