"""What a `_target_` names: found by its path, admitted by where it is defined.

A run's folder is shared between people, so a config must not be able to call whatever it likes.
"""

import dataclasses
import functools
import importlib
import inspect
import keyword
import typing
from typing import Any

from fxformer.config import folders
from fxformer.config import packages as extensions
from fxformer.config.type_check import nearest
from fxformer.errors import UserError

# The packages a `_target_` may name. Of ours, see `_is_part`; of others, what is public in them.
ALLOWED = ("fxformer", "optax", "jax.nn")
# Packages of pure arithmetic: each class and function defined in them may be named. Elsewhere in
# fxformer (files, processes, trackers) only the very targets that a yaml of conf/ spells.
PURE = ("fxformer.nn", "fxformer.model", "fxformer.objective")


class ConfigError(UserError):
    """A configuration that cannot be built; the message holds a line for each problem."""


@dataclasses.dataclass(frozen=True)
class Signature:
    """The knobs of a target.

    knobs: its parameters by name
    hints: the annotations of ours; none for foreign targets, whose annotations need not resolve
    open: whether it takes any keyword
    """

    name: str
    knobs: dict[str, inspect.Parameter]
    hints: dict[str, Any]
    open: bool

    @property
    def needed(self) -> list[str]:
        """Knobs without a default."""
        return [name for name, knob in self.knobs.items() if knob.default is knob.empty]


@functools.cache
def signature(path: str) -> Signature:
    """The signature of the class or function at a dotted path.

    Raises ConfigError when the path lies outside ALLOWED, leads to nothing, or to no callable.
    """
    target = locate(path)
    # nnx's metaclass hides __init__'s signature behind *args, **kwargs
    built = target.__init__ if inspect.isclass(target) else target
    parameters = {} if built is object.__init__ else dict(inspect.signature(built).parameters)
    if inspect.isclass(target) and parameters:
        parameters.pop(next(iter(parameters)))  # self
    kinds = inspect.Parameter
    knobs = {
        written(name): parameter
        for name, parameter in parameters.items()
        if parameter.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)
    }
    loose = any(p.kind is kinds.VAR_KEYWORD for p in parameters.values())
    return Signature(path.rpartition(".")[2], knobs, _hints(target, built), loose)


def written(name: str) -> str:
    """A knob as a yaml writes it: `from` for what Python has to call from_."""
    plain = name.removesuffix("_")
    return plain if keyword.iskeyword(plain) else name


def _hints(target: Any, built: Any) -> dict[str, Any]:
    if not hasattr(built, "__annotations__") or _home(target) in ("optax", "jax"):
        return {}
    try:
        hints = typing.get_type_hints(built, include_extras=True)
        return {written(name): hint for name, hint in hints.items()}
    except NameError:  # a name imported for the type checker only
        return {}


def _home(target: Any) -> str:
    return str(getattr(target, "__module__", "")).partition(".")[0]


@functools.cache
def locate(path: str) -> Any:
    """The callable at a dotted path: a part of ours, or a public name of optax or jax.nn.

    Raises ConfigError when the path lies outside ALLOWED, when ours is not a part (PURE, or
    spelled by a yaml), when it leads to nothing, or to something defined elsewhere.
    """
    packages = [one for one in (*ALLOWED, *extensions.declared()) if path.startswith(one + ".")]
    if not packages:
        raise ConfigError(
            f"{path!r} may not run; targets come from {', '.join(ALLOWED)} and the packages that "
            f"{extensions.VARIABLE} or packages=[…] declares"
        )
    if packages[0] not in ALLOWED:
        extensions.folder(packages[0])  # also in the current folder
    place, _, name = path.rpartition(".")
    module = _module(place)
    if module is None:
        raise ConfigError(f"there is no {path!r}")
    if not hasattr(module, name):
        raise ConfigError(f"nothing is called {path!r}{nearest(name, dir(module))}")
    found = getattr(module, name)
    # an imported os.system or a private helper is not something this package offers
    if not callable(found) or name.startswith("_") or _home(found) != packages[0].split(".")[0]:
        raise ConfigError(f"{path!r} is no class or function of {packages[0]}")
    ours = packages[0] == "fxformer" or packages[0] not in ALLOWED
    if ours and not _is_part(path, found):
        raise ConfigError(
            f"{path!r} may not run: it is not a part, no yaml of conf/ has it as its _target_"
        )
    return found


def _is_part(path: str, found: Any) -> bool:
    if found.__module__.startswith(tuple(package + "." for package in PURE)):
        return True
    return path in folders.targets()


def _module(name: str) -> Any:
    """The module of this name; None when there is none. Errors inside a module are not hidden."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            return None
        raise
