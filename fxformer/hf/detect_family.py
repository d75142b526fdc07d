"""Which published family a model of ours is, and what its config.json then says.

The answer is tried out: a family's config is made from ours, ours is made from that again, and
both must be the same in everything that counts. So a choice without a counterpart cannot get lost.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

from fxformer.config.options import composed, plain
from fxformer.hf.canonical_config import differences, settled
from fxformer.hf.config_map import Config, ConfigMismatch, Field, Knob
from fxformer.hf.family import Family, Form, all_families

Model = dict[str, Any]  # our `model` node, plain
HEADS = ("network.head", "network.classifiers")


@dataclasses.dataclass(frozen=True)
class Match:
    """A family's form that computes what a model of ours computes, and its config.json."""

    family: Family
    form: Form
    config: Config


def match(model: Model, *, wanted: str | None = None) -> Match:
    """The family and form of a model.

    model: the resolved `model` node of a config
    wanted: the model_type to take where several could be it
    Raises ConfigMismatch naming the choices that the nearest family has no word for.
    """
    ours = settled(model)
    nearest: tuple[int, str] | None = None
    for family in _candidates(ours, wanted):
        config, unsaid = _config(family, ours)
        try:
            able, lost = _forms(family, ours, config)
        except ConfigMismatch as error:
            able, lost = None, [str(error)]
        if unsaid:  # what the other fields lose counts too, or a far family would seem near
            able, lost = None, [*unsaid, *lost]
        if able is not None:
            return Match(family, able, config | _said(able.fields, ours))
        if nearest is None or len(lost) < nearest[0]:
            nearest = (len(lost), f"{family.types[0]}: " + "; ".join(lost[:6]))
    raise ConfigMismatch(
        "no published family computes what this model does"
        + (f"; the nearest is {nearest[1]}" if nearest else "")
    )


def _candidates(ours: Model, wanted: str | None) -> list[Family]:
    """Families with the same network and as many stacks."""
    found = []
    for family in all_families():
        if wanted is not None and wanted not in family.types:
            continue
        if _kinds(_preset(family.model)) == _kinds(ours):
            found.append(family)
    if not found:
        kind = ours["network"]["_target_"].rpartition(".")[2]
        raise ConfigMismatch(f"no family{f' {wanted}' if wanted else ''} is a {kind} like this one")
    return found


def _kinds(model: Model) -> tuple[str, str | None]:
    """What its network is, and its decoder."""
    return model["network"]["_target_"], (model.get("decoder") or {}).get("_target_")


@functools.cache
def _preset(name: str) -> Model:
    """A yaml of conf/model, plain."""
    return plain(composed(None, [f"+model={name}"]).model)


def _config(family: Family, ours: Model) -> tuple[Config, list[str]]:
    """config.json's fields that say how the model computes, in the form the family reads; and what
    its fields have no word for, a sentence each."""
    config, unsaid = {}, []
    for field in family.fields:
        try:
            config |= field.values(ours)
        except ConfigMismatch as error:
            unsaid.append(str(error))
    return config, unsaid


def _said(fields: Sequence[Field], ours: Model) -> Config:
    return {k: v for field in fields for k, v in field.values(ours).items()}


def _forms(family: Family, ours: Model, config: Config) -> tuple[Form | None, list[str]]:
    """The form that computes the same, or what the nearest one differs in."""
    body = [word for field in family.fields for word in field.overrides(config)]
    lost = _lost(ours, _made(family, body), HEADS)
    if lost:
        return None, lost
    tried = []
    for form in family.forms:
        said = _said(form.fields, ours)
        words = [*body, *form.overrides, *(w for f in form.fields for w in f.overrides(said))]
        if form.labels:
            classes = ours["classifiers"].get(form.labels[1], {}).get("classes")
            if classes is None:
                continue
            words.append(f"model.classifiers.{form.labels[1]}.classes={classes}")
        lost = _lost(ours, _made(family, words), ())
        if not lost:
            return form, []
        tried.append(lost)
    return None, min(tried, key=len, default=["none of its classes has these heads"])


def _made(family: Family, words: Sequence[str]) -> Model:
    return settled(plain(composed(None, [f"+model={family.model}", *words]).model))


def _lost(ours: Model, theirs: Model, but: tuple[str, ...]) -> list[str]:
    """What differs in the network, a sentence each."""
    found = differences({"network": ours["network"]}, {"network": theirs["network"]})
    return [
        f"{_key(key)} is {_short(here)} here and {_short(there)} there"
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
    """The knobs that do not change what is computed, as config.json says them."""
    ours = settled(model)
    free = [field for field in family.fields if isinstance(field, Knob) and field.free]
    return {k: v for field in free for k, v in field.values(ours).items() if v is not None}
