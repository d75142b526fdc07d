"""Extension packages: Python packages of the user whose classes a config may name.

A package is declared by the environment variable FXFORMER_PACKAGES=a,b, by an entry point of the
group `fxformer.packages`, or by `packages=[a]` on the command line or in a recipe. The options in
its folder `conf/` join the config groups, its `experiments/` join the recipes. A `_target_` may
name what these yaml files name, and nothing else of the package; packages that are not declared
are never imported, whatever the config of a run says.
"""

import functools
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from fxformer.errors import UserError

VARIABLE = "FXFORMER_PACKAGES"
ENTRY_POINTS = "fxformer.packages"


def declared() -> tuple[str, ...]:
    """The names of the declared packages: of the environment first, then of entry points."""
    names = [name.strip() for name in os.environ.get(VARIABLE, "").split(",")]
    names += _entry_points()
    return tuple(dict.fromkeys(name for name in names if name))


@functools.cache  # reads the metadata of every installed distribution
def _entry_points() -> tuple[str, ...]:
    return tuple(point.value for point in importlib.metadata.entry_points(group=ENTRY_POINTS))


def declare(names: Iterable[str]) -> None:
    """Declare packages for this process and those that it starts. UserError where one is none."""
    names = list(names)
    for name in names:
        folder(name)
    known = [name for name in os.environ.get(VARIABLE, "").split(",") if name]
    if names:
        os.environ[VARIABLE] = ",".join(dict.fromkeys([*known, *names]))


def folder(name: str) -> Path:
    """The folder of a package, which is looked for but not imported.

    A package in the current folder is found as well. UserError where it cannot be imported or has
    neither `conf/` nor `experiments/`.
    """
    if not name.isidentifier():
        raise UserError(f"packages: {name!r} is not the name of a Python package")
    here = Path.cwd()
    if (here / name / "__init__.py").is_file() and str(here) not in sys.path:
        if importlib.util.find_spec(name) is None:
            sys.path.append(str(here))
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"packages: there is no package {name!r} to import; install it (pip install -e .), add "
            "its folder to PYTHONPATH, or work in the folder that holds it"
        )
    found = Path(next(iter(spec.submodule_search_locations)))
    if not ((found / "conf").is_dir() or (found / "experiments").is_dir()):
        raise UserError(f"packages: {found} has no folder conf/ with yaml files of config groups")
    return found


def folders(kind: str) -> dict[str, Path]:
    """The folder `kind` ("conf", "experiments") of each declared package that has it, by name."""
    found = {name: folder(name) / kind for name in declared()}
    return {name: path for name, path in found.items() if path.is_dir()}


def in_words(argv: Iterable[str], recipes: Path) -> list[str]:
    """The packages that a command line names: by `packages=[a,b]`, or in the recipe of
    `experiment=NAME` in the folder `recipes`. UserError where they are not a list of names."""
    found: list[str] = []
    for word in argv:
        key, equals, value = word.lstrip("+").partition("=")
        if key == "packages" and equals:
            found += _names(yaml.safe_load(value), word)
        elif key == "experiment" and (file := recipes / value / "recipe.yaml").is_file():
            found += _names((yaml.safe_load(file.read_text("utf-8")) or {}).get("packages"), word)
    return found


def _names(value: Any, word: str) -> list[str]:
    names = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{word}: expected a list of package names, as packages=[my_lab]")
    return names


def used(node: Any) -> list[str]:
    """The declared packages that a plain config names in a `_target_`, sorted."""
    if isinstance(node, dict):
        inside = {name for value in node.values() for name in used(value)}
        home = str(node.get("_target_", "")).partition(".")[0]
        return sorted(inside | ({home} & set(declared())))
    if isinstance(node, list):
        return sorted({name for value in node for name in used(value)})
    return []


def undeclared(names: Any) -> list[str]:
    """A line for each package of a plain config's `packages` that is not declared here."""
    known = declared()
    names = names if isinstance(names, (list, tuple)) else []
    return [
        f"packages: {name} is needed, which is not declared here; if you trust it, write "
        f"packages=[{name}] or set {VARIABLE}={name}"
        for name in names
        if name not in known
    ]


def version(name: str) -> str | None:
    """The version of a package: of its installed distribution, else its `__version__`."""
    for distribution in importlib.metadata.packages_distributions().get(name, ()):
        return importlib.metadata.version(distribution)
    return getattr(sys.modules.get(name), "__version__", None)
