"""The gate before anything is built: every key must name a knob, every value must fit it.

All problems are found at once. Nodes that are only references (`${model.norm}`) are judged where
they stand, so a wrong value is reported once, under the name one would override.
"""

import difflib
import math
import re
from typing import Any, cast

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from fxformer.config import folders, packages
from fxformer.config.bounds import excess
from fxformer.config.compatibility import incompatibilities
from fxformer.config.target import ConfigError, Signature, signature
from fxformer.config.type_check import nearest, type_problem

PLACES = re.compile(
    r"runs|name|.*\.(path|files|valid_files|test_files|cache_dir|compile_cache|from)"
)
DIRECTIVES = ("_target_", "_partial_", "_recursive_", "_convert_", "_args_")


def check(cfg: DictConfig, top: tuple[set, set] | None = None) -> None:
    """Raise one ConfigError that lists everything wrong with a composed config, or return."""
    if found := problems(cfg, top):
        raise ConfigError("\n".join(found))


def problems(cfg: DictConfig, top: tuple[set, set] | None = None) -> list[str]:
    """Everything wrong with a composed config, a line each: `key: what, and what to write`.

    top: the top-level keys that may be there and those that must; default: conf/train.yaml's
    """
    given = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(given, dict)
    if found := folders.clashes() + packages.undeclared(given.get("packages")):
        return found
    found = _top(cfg, *(folders.top_keys() if top is None else top))
    found += values(cfg)
    return list(dict.fromkeys(found)) or incompatibilities(cfg)  # combinations of sound parts only


def values(node: DictConfig | ListConfig, path: str = "") -> list[str]:
    """What is wrong with the parts and values of a node, whatever keys it has: a line each.

    path: the key at which the node stands
    """
    return _walk(node, path)


def _top(cfg: DictConfig, may: set, must: set) -> list[str]:
    from fxformer.types import Natural

    hints = {"seed": Natural, "name": str | None, "resume": str | None, "runs": str}
    hints["packages"] = list[str]
    found = [
        f"{k}: there is no such group or key{nearest(str(k), may)}" for k in cfg if k not in may
    ]
    found += [f"{k}: is missing; choose one with {k}=NAME" for k in sorted(must) if k not in cfg]
    for key, hint in hints.items():
        value = cfg.get(key)
        plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        if key in cfg and (wrong := type_problem(plain, hint)):
            found.append(f"{key}: {wrong}")
    return found


def _walk(node: DictConfig | ListConfig, path: str) -> list[str]:
    keys = range(len(node)) if isinstance(node, ListConfig) else list(node)
    found, given = [], {}
    for key in keys:
        place = f"{path}[{key}]" if isinstance(node, ListConfig) else f"{path}.{key}".lstrip(".")
        where = _origin(node, key) or place
        wrong, value, sound = _value(node, key, where, place)
        found += wrong
        given[key] = (where, value, sound)
    if "_target_" in given:
        found += _part(path, given)
    return found


def _value(node: DictConfig | ListConfig, key, where: str, place: str):
    """What is wrong inside a key's value, that value as plain python, and whether it is sound.

    place: where the key stands; where: the key to override, another one if this is a reference
    """
    if OmegaConf.is_missing(node, key):
        return [f"{where}: must be given"], None, False
    inside = None
    try:
        child = node[key]
        if not OmegaConf.is_config(child):
            wrong = _leaf(where, child)
            return [f"{where}: {wrong}"] if wrong else [], child, not wrong
        inside = [] if OmegaConf.is_interpolation(node, key) else _walk(child, where)
        return inside, OmegaConf.to_container(child, resolve=True), not inside
    except InterpolationKeyError as error:
        missing = str(error).split("'")[1]
        if inside is not None or where not in (place, missing):
            return inside or [], None, False  # said where the reference itself stands
        return [f"{place}: {_dangling(missing, place)}"], None, False
    except OmegaConfBaseException as error:
        return inside or [f"{where}: {str(error).splitlines()[0]}"], None, False


def _dangling(missing: str, place: str) -> str:
    """What is wrong with a reference at `place` to a key that the config lacks."""
    groups = [key.rpartition(".")[0].replace(".", "/") for key in (missing, place)]
    groups = [g for g in dict.fromkeys(groups) if g and folders.is_group(g)]
    choose = f", or choose another {' or '.join(groups)}" if groups else ""
    return f"refers to {missing}, which is not in this config; write {place}=VALUE{choose}"


def _leaf(where: str, value) -> str | None:
    """What is wrong with a plain value, whatever its knob's annotation."""
    if isinstance(value, str) and not value.strip() and PLACES.fullmatch(where):
        return f"is blank; write {where}=VALUE, or leave it out"
    if isinstance(value, float) and not math.isfinite(value):
        return f"expected a finite number, got {value!r}"
    return excess(where, value) if isinstance(value, (int, float)) else None


def _origin(node: DictConfig | ListConfig, key) -> str | None:
    """The key a plain reference `${a.b}` points at: the one to override."""
    if not OmegaConf.is_interpolation(node, key):
        return None
    raw = str(cast(Any, OmegaConf.to_container(node, resolve=False))[key])
    inner = raw[2:-1]
    plain = raw[-1] == "}" and inner.replace(".", "").isidentifier()
    return inner if plain and not inner.startswith(".") else None  # `.a`: beside this key


def _part(path: str, given: dict) -> list[str]:
    """given: {key: (where, plain value, whether it is sound)} of a node with a `_target_`."""
    try:
        target = signature(str(given["_target_"][1]))
    except ConfigError as error:
        return [f"{path}._target_: {error}".lstrip(".")]
    found = []
    for key, (where, value, sound) in given.items():
        if key not in target.knobs:
            if key not in DIRECTIVES and not target.open:
                found.append(f"{path}.{key}: {_unknown(key, target)}".lstrip("."))
        elif sound and (wrong := type_problem(value, target.hints.get(key, object))):
            found.append(f"{where}: {wrong}{_as_group(where, value)}")
    if not given.get("_partial_", ("", False))[1] and "_args_" not in given:
        found += [f"{path}.{k}: {target.name} needs it" for k in target.needed if k not in given]
    return found


def _as_group(where: str, value) -> str:
    """What to write where a group's option was given as if it were a value."""
    names = [path.stem for path in folders.option_files(where.replace(".", "/"))]
    if not isinstance(value, str) or not names:
        return ""
    best = value if value in names else next(iter(difflib.get_close_matches(value, names, 1)), None)
    if best is None:
        return f"; {where.replace('.', '/')}= takes {', '.join(names)}"
    return f"; write {where.replace('.', '/')}={best}"


def _unknown(key: str, target: Signature) -> str:
    near = nearest(key, target.knobs)
    own = ", ".join(k for k in target.knobs if k not in ("dim", "rngs")) or "none"
    return f"{target.name} has no such knob{near or f'; it has: {own}'}"
