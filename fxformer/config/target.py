"""What a `_target_` names: found by its path, admitted by its package, read by its signature."""

import dataclasses
import functools
import importlib
import inspect
import keyword
import typing
from typing import Any

from fxformer.config.fit import nearest

# A yaml says which code runs, so it may only name ours, optax's and jax.nn's.
ALLOWED = ("fxformer", "optax", "jax.nn")


class ConfigError(ValueError):
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


def locate(path: str) -> Any:
    """The callable at a dotted path, which must be defined in a package of ALLOWED."""
    if not any(path.startswith(package + ".") for package in ALLOWED):
        raise ConfigError(f"{path!r} may not run; targets come from {', '.join(ALLOWED)}")
    parts = path.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        found = _module(".".join(parts[:cut]))
        if found is not None:
            break
    else:
        raise ConfigError(f"there is no {path!r}")
    for part in parts[cut:]:
        if not hasattr(found, part):
            raise ConfigError(f"nothing is called {path!r}{nearest(part, dir(found))}")
        found = getattr(found, part)
    # fxformer.some.module.os.system is ours by name only
    homes = {package.partition(".")[0] for package in ALLOWED}
    if not callable(found) or _home(found) not in homes:
        raise ConfigError(f"{path!r} is no class or function of {', '.join(ALLOWED)}")
    return found


def _module(name: str) -> Any:
    """The module of this name; None when there is none. Errors inside a module are not hidden."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            return None
        raise
