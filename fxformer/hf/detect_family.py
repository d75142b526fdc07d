"""Detect the transformers family that computes the same as a model, and write its config.json.

The result is verified by a round trip: the family's config.json is built from the model config, and
the config built from that must be equal in canonical form. So no choice is silently lost.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

from fxformer.config.options import composed, plain
from fxformer.hf.canonical_config import canonicalize, differences
from fxformer.hf.config_map import Config, ConfigMismatch, Field, Implied, Value
from fxformer.hf.family import Family, HeadVariant, all_families

Model = dict[str, Any]  # our `model` node, plain
HEADS = ("network.head", "network.task_heads")


@dataclasses.dataclass(frozen=True)
class FamilyMatch:
    """A family's variant that computes the same as a model, and its config.json."""

    family: Family
    variant: HeadVariant
    config: Config


def detect_family(model: Model, *, model_type: str | None = None) -> FamilyMatch:
    """The family and head variant of a model.

    model: the resolved `model` node of a config
    model_type: the family to use if several compute the same
    Raises ConfigMismatch naming what differs from the nearest family.
    """
    ours = canonicalize(model)
    nearest: tuple[int, str] | None = None
    for family in _candidates(ours, model_type):
        config, unsaid = _config(family, ours)
        try:
            able, lost = _variant(family, ours, config)
        except ConfigMismatch as error:
            able, lost = None, [str(error)]
        if unsaid:  # count other differences too, to find the nearest family
            able, lost = None, [*unsaid, *lost]
        if able is not None:
            return FamilyMatch(family, able, config | _said(able.config_map, ours))
        if nearest is None or len(lost) < nearest[0]:
            nearest = (len(lost), f"{family.types[0]}: " + "; ".join(lost[:6]))
    raise ConfigMismatch(
        "no family of transformers computes the same as this model"
        + (f"; the nearest is {nearest[1]}" if nearest else "")
    )


def _candidates(ours: Model, model_type: str | None) -> list[Family]:
    """Families with the same network and number of stacks."""
    found = []
    for family in all_families():
        if model_type is not None and model_type not in family.types:
            continue
        if _kinds(_preset(family.model, *_stack_choices(family))) == _kinds(ours):
            found.append(family)
    if not found:
        kind = ours["network"]["_target_"].rpartition(".")[2]
        raise ConfigMismatch(
            f"no family{f' {model_type}' if model_type else ''} is a {kind} like this model"
        )
    return found


def _kinds(model: Model) -> tuple[str, str | None]:
    """Targets of the network and of the decoder."""
    return model["network"]["_target_"], (model.get("decoder") or {}).get("_target_")


def _stack_choices(family: Family) -> list[str]:
    """The overrides that all models of a family need, where they choose another class of stack."""
    words = [w for field in family.config_map if isinstance(field, Implied) for w in field.words]
    return words if any(word.startswith("model/stack@") for word in words) else []


@functools.cache
def _preset(name: str, *words: str) -> Model:
    """A preset of conf/model, with these overrides, as plain data."""
    return plain(composed(None, [f"+model={name}", *words]).model)


def _config(family: Family, ours: Model) -> tuple[Config, list[str]]:
    """(fields of config.json that determine the outputs, in the format that `config_map` reads;
    problems with choices that no field expresses)."""
    config, unsaid = {}, []
    for field in family.config_map:
        try:
            config |= field.values(ours)
        except ConfigMismatch as error:
            unsaid.append(str(error))
    return config, unsaid


def _said(fields: Sequence[Field], ours: Model) -> Config:
    return {k: v for field in fields for k, v in field.values(ours).items()}


def _variant(family: Family, ours: Model, config: Config) -> tuple[HeadVariant | None, list[str]]:
    """(variant that computes the same or None, differences of the nearest one)."""
    body = [word for field in family.config_map for word in field.overrides(config)]
    lost = _lost(ours, _made(family, body), HEADS)
    if lost:
        return None, lost
    tried = []
    for variant in family.variants:
        said = _said(variant.config_map, ours)
        words = [
            *body,
            *variant.overrides,
            *(w for f in variant.config_map for w in f.overrides(said)),
        ]
        if variant.labels:
            classes = ours["task_head"].get(variant.labels[1], {}).get("classes")
            if classes is None:
                continue
            words.append(f"model.task_head.{variant.labels[1]}.classes={classes}")
        lost = _lost(ours, _made(family, words), ())
        if not lost:
            return variant, []
        tried.append(lost)
    return None, min(tried, key=len, default=["no class has these heads"])


def _made(family: Family, words: Sequence[str]) -> Model:
    return canonicalize(plain(composed(None, [f"+model={family.model}", *words]).model))


def _lost(ours: Model, theirs: Model, but: tuple[str, ...]) -> list[str]:
    """Differences of the networks, one sentence each."""
    found = differences({"network": ours["network"]}, {"network": theirs["network"]})
    return [
        f"{_key(key)} is {_short(here)} in this model and {_short(there)} in the family"
        for key, (here, there) in found.items()
        if not key.startswith(but) or not but
    ]


def _key(key: str) -> str:
    return key.replace("network.transformer.", "model.").replace("network.", "model.")


def _short(value: Any) -> str:
    if isinstance(value, dict) and "_target_" in value:
        return value["_target_"].rpartition(".")[2]
    return repr(value)


def free_values(family: Family, model: Model) -> Config:
    """Fields of config.json that do not affect the outputs (dropout, initialisation)."""
    ours = canonicalize(model)
    free = [field for field in family.config_map if isinstance(field, Value) and field.free]
    return {k: v for field in free for k, v in field.values(ours).items() if v is not None}
