"""Whether a value fits a knob's annotation, and what to write instead."""

import collections.abc as abc
import difflib
import enum
import math
import types
import typing
from typing import Any

NAMES = {int: "int", float: "float", bool: "true or false", str: "string"}


def nearest(word: str, words) -> str:
    """`; did you mean 'x'?` for the word that looks most like `word`, or nothing."""
    near = difflib.get_close_matches(str(word), [str(w) for w in words], 1, 0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def type_problem(value: Any, hint: Any) -> str | None:
    """What is wrong with `value` for the annotation `hint`; None when it fits.

    value: plain python as a yaml holds it: None, bool, int, float, str, list, dict
    hint: a type, a union, a Literal, Annotated with a range, a container; what cannot be judged
        (a type variable, a jax array) takes anything
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint in (Any, object) or isinstance(hint, (str, typing.TypeVar, typing.ForwardRef)):
        return None
    if origin is typing.Annotated:
        return type_problem(value, args[0]) or _outside(value, args[1:])
    if origin in (typing.Union, types.UnionType):
        return _union(value, args)
    if origin is typing.Literal:
        return _literal(value, args)
    if isinstance(value, dict) and "_target_" in value:
        return f"expected {spell(hint)}, got a part" if hint in (*NAMES, None, type(None)) else None
    if hint in (None, type(None)):
        return None if value is None else f"expected null, got {value!r}"
    if hint in NAMES:
        return _scalar(value, hint)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _literal(value, tuple(hint.__members__))
    return _container(value, hint, origin or hint, args)


def _outside(value: Any, marks: tuple) -> str | None:
    """Ranges judge numbers only; a mark without `holds` says nothing to us."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    for mark in marks:
        if hasattr(mark, "holds") and not mark.holds(value):
            return f"must lie in {mark}, got {value!r}"
    return None


def _union(value: Any, args: tuple) -> str | None:
    complaints = [type_problem(value, arg) for arg in args]
    if None in complaints:
        return None
    real = [c for c, arg in zip(complaints, args, strict=True) if c and arg is not type(None)]
    if len(real) == 1:
        return real[0].removesuffix(" (or null)") + (" (or null)" if len(args) > 1 else "")
    # a number outside a range says more than a list of types
    ranged = [c for c in real if c.startswith("must lie")]
    return ranged[0] if ranged else f"expected {spell(typing.Union[args])}, got {value!r}"  # noqa: UP007


def _literal(value: Any, args: tuple) -> str | None:
    if any(value == arg and type(value) is type(arg) for arg in args):
        return None
    options = ", ".join("null" if arg is None else str(arg) for arg in args)
    return f"expected one of {options}, got {value!r}{nearest(str(value), args)}"


def _scalar(value: Any, hint: type) -> str | None:
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return None if _finite(value) else f"expected a finite number, got {value!r}"
    if isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return None
    return f"expected {NAMES[hint]}, got {value!r}{_advice(value, hint)}"


def _finite(value: float) -> bool:
    """Also of an int too large for a float, which is not."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _advice(value: Any, hint: type) -> str:
    """What the writer most likely meant."""
    if hint is int and isinstance(value, float) and math.isfinite(value):
        return f"; write {int(value)}" if value.is_integer() else ""
    if hint is str and not isinstance(value, (list, dict, type(None))):
        return f"; write '{value}' in quotes"
    if hint in (int, float) and isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return ""
        if hint is float:  # YAML 1.1 reads 3e-4 as text: it wants the point
            mantissa, _, exponent = value.strip().lower().partition("e")
            mantissa += "" if "." in mantissa or not exponent else ".0"
            return f"; write {mantissa}{'e' + exponent if exponent else ''}"
        return f"; write {int(number)}" if number.is_integer() else ""
    if hint is bool and value in (0, 1):
        return f"; write {'true' if value else 'false'}"
    return ""


def _container(value: Any, hint: Any, origin: Any, args: tuple) -> str | None:
    if origin is abc.Callable:
        return f"expected a part (a mapping with _target_), got {value!r}"
    if not isinstance(origin, type):
        return None
    if issubclass(origin, tuple) and not hasattr(origin, "_fields"):
        return _sequence(value, hint, args)
    if issubclass(origin, (abc.Sequence, abc.Set)) or origin is abc.Iterable:
        return _sequence(value, hint, (args[0], ...) if args else ())
    if issubclass(origin, abc.Mapping):
        return _mapping(value, hint, args)
    if origin.__module__.startswith("fxformer."):
        return f"expected {origin.__name__} (a mapping with _target_), got {value!r}"
    return None  # a path, a dtype, an array: its own class judges


def _sequence(value: Any, hint: Any, args: tuple) -> str | None:
    if not isinstance(value, (list, tuple)):
        return f"expected a list {spell(hint)}, got {value!r}"
    if not args:
        return None
    each = args[:1] * len(value) if args[-1] is Ellipsis else args
    if len(each) != len(value):
        return f"expected {len(each)} values, got {len(value)}: {value!r}"
    for place, (item, want) in enumerate(zip(value, each, strict=True)):
        if wrong := type_problem(item, want):
            return f"entry {place}: {wrong}"
    return None


def _mapping(value: Any, hint: Any, args: tuple) -> str | None:
    if not isinstance(value, dict):
        return f"expected a mapping ({spell(hint)}), got {value!r}"
    for key, item in value.items() if args else ():
        if wrong := type_problem(key, args[0]) or type_problem(item, args[1]):
            return f"entry {key!r}: {wrong}"
    return None


def spell(hint: Any) -> str:
    """An annotation in a user's words: `a whole number or null`."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return f"{spell(args[0])} in {args[1]}" if hasattr(args[1], "holds") else spell(args[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(spell(arg) for arg in args)
    if hint in (None, type(None)):
        return "null"
    if hint in NAMES:
        return NAMES[hint]
    if origin is abc.Callable or hint is abc.Callable:
        return "a part"
    if origin is typing.Literal:
        return "one of " + ", ".join(str(arg) for arg in args)
    if isinstance(origin, type) and issubclass(origin, abc.Mapping) and len(args) == 2:
        return f"{spell(args[1])} by name"
    if isinstance(origin, type) and issubclass(origin, abc.Collection) and args:
        each = args[:1] if args[-1] is Ellipsis else args
        return "[" + ", ".join(spell(arg) for arg in each) + (", …]" if len(each) == 1 else "]")
    return str(hint).replace("typing.", "") if origin else getattr(hint, "__name__", str(hint))
