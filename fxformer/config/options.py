"""Which option of a config group a resolved piece of config is."""

from collections.abc import Iterable
from copy import deepcopy
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, cast

from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, ListConfig, OmegaConf

from fxformer.config import folders, packages
from fxformer.config.compose_parts import compose_parts, has_hydra
from fxformer.config.parsed_files import parse_once


def composed(name: str | None, overrides: Iterable[str]) -> DictConfig:
    """conf/NAME.yaml (None: nothing) with these overrides; outside of any running Hydra job.

    Composing costs 0.2 s and depends on the choices of groups alone: those are kept, and Hydra's
    own function sets the values in a copy, as it does after composing.
    """
    words = tuple(overrides)
    values = [word for word in words if not _is_choice(word)]
    parsed = OverridesParser.create().parse_overrides(values)
    places = (
        *(folders.conf_folder(), folders.experiments_folder()),
        *chain(*(packages.folders(kind).values() for kind in ("conf", "experiments"))),
    )
    if any(one.is_sweep_override() or one.is_hydra_override() for one in parsed):
        return deepcopy(_composed(name, words, places))
    choices = tuple(word for word in words if _is_choice(word))
    cfg = deepcopy(_composed(name, choices, places))
    ConfigLoaderImpl._apply_overrides_to_config(parsed, cfg)
    return cfg


def _is_choice(word: str) -> bool:
    """Whether an override chooses an option of a group, and does not set a value."""
    key = word.partition("=")[0].lstrip("+~")
    return "/" in key or "@" in key or key == "experiment" or folders.is_group(key)


@lru_cache(512)  # a search or a look for the family of a model composes many
def _composed(name: str | None, overrides: tuple[str, ...], places: tuple[Path, ...]) -> DictConfig:
    """places: where the yaml files lie"""
    folders.register()
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(folders.conf_folder()), version_base="1.3"):
            parse_once()
            build = compose if has_hydra(name, overrides) else compose_parts
            return build(name, list(overrides))
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
