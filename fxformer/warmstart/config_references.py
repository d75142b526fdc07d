"""Restoring the `${model.…}` references of a resolved model config.

A run stores its config resolved. With the references restored, an override such as
`model.dropout=0` reaches every module that the preset connects to it.
"""

from functools import cache
from typing import Any, cast

from omegaconf import OmegaConf

from fxformer.config.options import composed
from fxformer.config.resume import flat

# between them they contain every reference
PRESETS = "encoder decoder seq2seq bert t5 prophetnet transfo_xl modernbert".split()
HEADS = "classification,multiple_choice,next_sentence,pooler,span,token_classification"


def referenced(model: dict[str, Any]) -> dict[str, Any]:
    """A resolved `model` node with its references restored, e.g. `${model.dropout}`.

    A value that differs from the value of its reference was set separately and stays.
    """
    found = _references()
    made = {"model": model}
    for path in sorted(found, key=lambda path: path.count(".")):
        here = _at(made, path)  # absent if a parent has become a reference
        for reference in sorted(found[path]):
            if here is not ... and here == _at({"model": model}, reference[2:-1]):
                made = _put(made, path.split("."), reference)
    return made["model"]


@cache
def _references() -> dict[str, set[str]]:
    """{path: references it has in some preset}."""
    found: dict[str, set[str]] = {}
    for name in PRESETS:
        raw = composed(None, [f"+model={name}", f"model/task_head=[{HEADS}]"])
        for path, value in flat(OmegaConf.to_container(raw, resolve=False)).items():
            if isinstance(value, str) and value.startswith("${model.") and value.endswith("}"):
                found.setdefault(path, set()).add(value)
    return found


def resolved(model: dict[str, Any]) -> dict[str, Any]:
    """The inverse: a `model` node with every reference replaced by its value."""
    made = OmegaConf.to_container(OmegaConf.create({"model": model}), resolve=True)
    return cast(dict[str, Any], made)["model"]


def _put(tree: dict, path: list[str], value: Any) -> dict:
    """A copy of the tree with `value` at the path."""
    key, *rest = path
    return {**tree, key: _put(tree[key], rest, value) if rest else value}


def _at(tree: Any, path: str) -> Any:
    for part in path.split("."):
        if not isinstance(tree, dict) or part not in tree:
            return ...
        tree = tree[part]
    return tree
