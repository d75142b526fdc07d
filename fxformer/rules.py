"""Ordered rules over the paths of a pytree: whatever is orthogonal to the modules is said here.

A path is what leads to a leaf, joined by "/": `model/encoder/stack/blocks/attention/q/kernel`.
A rule is a pair (regex, value); the regex is searched anywhere in the path; the first that matches
wins. A rule that decides nothing is a mistake, and is told with the path it was nearest to; but a
general one may follow a special one that leaves it nothing.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax

from fxformer.errors import UserError

STACK = "/blocks/"  # a path through it is a stack: its leaves carry all layers on a leading axis L
ADAPTER = "adapter"  # the part of a state's parameters that an adapter has added (train/adapter.py)
DISTILLATION = "distillation"  # the part that distillation trains beside the student

Rules = Sequence[tuple[str, Any]]


class RuleError(UserError):
    """A rule that is not a pair, not a regex, or decides nothing."""


def path_of(keys: tuple) -> str:
    """The "/"-path of a jax key path."""
    return jax.tree_util.keystr(keys, simple=True, separator="/")


def named(tree: Any) -> dict[str, Any]:
    """All leaves by path, in the tree's order."""
    return {path_of(keys): leaf for keys, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def named_map(change: Callable[[str, Any], Any], tree: Any) -> Any:
    """A tree of the same structure with change(path, leaf) at each leaf."""
    return jax.tree_util.tree_map_with_path(lambda keys, leaf: change(path_of(keys), leaf), tree)


def nested(leaves: Mapping[str, Any]) -> dict:
    """{path: leaf} as a nested dict: the inverse of `named` for dicts with string keys."""
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *parents, last = path.split("/")
        node = tree
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = leaf
    return tree


def is_stacked(path: str) -> bool:
    """Whether the leaf at `path` has a leading axis of layers."""
    return STACK in f"/{path}"


def decide(rules: Rules, paths: Iterable[str], *, what: str = "rules") -> dict[str, Any]:
    """{path: value of the first rule that matches it}; paths that no rule matches are absent.

    what: the name of the knob the rules come from, for the message.
    Raises RuleError for a malformed rule and for one that decides no path.
    """
    compiled = [_compiled(rule, what) for rule in rules]
    paths, used, found = list(paths), set(), {}
    for path in paths:
        for index, (pattern, value) in enumerate(compiled):
            if pattern.search(path):
                found[path] = value
                used.add(index)
                break
    for index, (pattern, _) in enumerate(compiled):
        if index not in used and not _falls_back(pattern, compiled[:index], paths):
            raise RuleError(_idle(what, pattern, index, compiled, paths))
    return found


def assign(rules: Rules, tree: Any, default: Any, *, what: str = "rules") -> Any:
    """A tree of values, one per leaf. `default`: a value, or a function of (path, leaf)."""
    found = decide(rules, named(tree), what=what)

    def value(path: str, leaf: Any) -> Any:
        if path in found:
            return found[path]
        return default(path, leaf) if callable(default) else default

    return named_map(value, tree)


def select(patterns: Sequence[str], tree: Any, *, what: str = "patterns") -> Any:
    """A tree of booleans: whether any of `patterns` matches the leaf's path."""
    return assign([(pattern, True) for pattern in patterns], tree, False, what=what)


def _compiled(rule: Any, what: str) -> tuple[re.Pattern, Any]:
    pair = isinstance(rule, Sequence) and not isinstance(rule, str) and len(rule) == 2
    if not pair or not isinstance(rule[0], str):
        raise RuleError(f"{what}: a rule is a pair [regex, value], got {rule!r}")
    try:
        return re.compile(rule[0]), rule[1]
    except re.error as error:
        raise RuleError(f"{what}: {rule[0]!r} is not a regular expression: {error}") from None


def _falls_back(pattern: re.Pattern, before: list, paths: list[str]) -> bool:
    """Whether a rule only says again, in more general words, what rules before it have decided:
    `embedding$` after `position/table/embedding$` is for tables that this model does not have."""
    hidden = [path for path in paths if pattern.search(path)]
    return bool(hidden) and all(
        any(pattern.pattern in other.pattern and other.search(path) for other, _ in before)
        for path in hidden
    )


def _idle(what: str, pattern: re.Pattern, index: int, compiled: list, paths: list[str]) -> str:
    hidden = [path for path in paths if pattern.search(path)]
    if hidden:
        first = next(other.pattern for other, _ in compiled[:index] if other.search(hidden[0]))
        return (
            f"{what}: rule {pattern.pattern!r} decides nothing: {hidden[0]} is already decided by "
            f"{first!r}, which stands before it; put the narrower rule first"
        )
    near = _nearest(pattern.pattern, paths)
    hint = f"; the nearest path is {near}" if near else "; there are no paths at all"
    return f"{what}: rule {pattern.pattern!r} matches no parameter{hint}"


def _nearest(pattern: str, paths: list[str]) -> str | None:
    plain = re.sub(r"[\\^$()?*+\[\]{}|]|\.\*", "", pattern)

    def likeness(path: str) -> float:
        # A pattern is most often a piece of a path: compare it with every run of as many parts.
        parts, width = path.split("/"), plain.strip("/").count("/") + 1
        runs = ["/".join(parts[i : i + width]) for i in range(max(1, len(parts) - width + 1))]
        return max(difflib.SequenceMatcher(None, plain.strip("/"), run).ratio() for run in runs)

    return max(paths, key=likeness, default=None)
