"""Declaration of a model family of Hugging Face transformers, used for import and export."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from fxformer.config.type_check import nearest
from fxformer.hf import families
from fxformer.hf.config_map import COMMON, Config, ConfigMismatch, Field, Ignored
from fxformer.hf.weight_map import WeightEntry


@dataclasses.dataclass(frozen=True)
class HeadVariant:
    """One class of transformers: a model body with certain heads.

    architecture: name of the class, as in config.json
    needs: tensor names that distinguish its checkpoints
    overrides: config overrides that build it here
    labels: (tensor with one row per class, name of the task head)
    when: further condition on (tensor names, config.json)
    config: fields it adds to config.json
    weight_map: entries of this variant only (buffers that only some classes save)
    config_map: fields of config.json that only this variant has
    base: prefix of the body's tensor names; "" for a bare body, None: that of the family
    """

    architecture: str
    required_tensors: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    labels: tuple[str, str] | None = None
    when: Callable[["TensorNames", Config], bool] = lambda names, config: True
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    weight_map: Callable[[Config], list[WeightEntry]] = lambda config: []
    config_map: tuple[Field, ...] = ()
    base: str | None = None

    @property
    def has_lm_head(self) -> bool:
        """Whether it has a language-model head."""
        return not {"model/head=none", "model/head=rtd"} & set(self.overrides)


@dataclasses.dataclass(frozen=True)
class Family:
    """Declaration of a model family.

    types: its `model_type`s; the first one is written on export
    model: preset in conf/model
    base: prefix of the body's tensor names, which files may lack
    config_map: every field of its config.json (besides config_map.COMMON)
    weight_map: config.json -> entries of the weight map
    variants: its classes, those with most heads first
    ignored_tensors: regexes of tensor names that carry no weights (buffers) or unused ones
    legacy_names: (regex, replacement) pairs that turn old tensor names into current ones
    normalize: converts an old config.json to the format that `config_map` reads
    serialize: the inverse: a config.json that every version of transformers reads
    output_names: names of task head outputs in transformers where they differ from BERT's
    positions: `row`: position 0 is the first token of a row, padding or not; `segments`: the first
        token that is not padding
    when: which config.jsons are of this family, if families share a model_type
    derived: names in `config_map` that no config.json has: added by `normalize`, removed by
        `serialize`
    vocab_sizes: vocabulary size fields -> the tensor with so many rows, "": the token embedding
    caveats: warnings for exports that some versions of transformers read differently
    """

    types: tuple[str, ...]
    model: str
    base: str
    config_map: tuple[Field, ...]
    weight_map: Callable[[Config], list[WeightEntry]]
    variants: tuple[HeadVariant, ...]
    ignored_tensors: tuple[str, ...] = ()
    legacy_names: tuple[tuple[str, str], ...] = ()
    normalize: Callable[[Config], Config] = lambda config: config
    serialize: Callable[[Config], Config] = lambda config: config
    output_names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    positions: Literal["row", "segments"] = "segments"
    when: Callable[[Config], bool] = lambda config: True
    derived: tuple[str, ...] = ()
    vocab_sizes: Mapping[str, str] = dataclasses.field(default_factory=lambda: {"vocab_size": ""})
    caveats: Callable[[Config], list[str]] = lambda config: []

    @property
    def known(self) -> set[str]:
        """Names of the fields in `config_map` and of those that all families have."""
        names: set[str] = set()
        for field in (*self.config_map, *COMMON):
            names.update(field.names if isinstance(field, Ignored) else (field.name,))
        return names

    def overrides(self, config: Config) -> list[str]:
        """Config overrides that build the model of a config.json."""
        config = self.normalize({k: v for k, v in config.items() if k not in self.derived})
        return [w for field in (*self.config_map, *COMMON) for w in field.overrides(config)]


class TensorNames(Protocol):
    """Lookup of tensor names and values in a checkpoint (see tensor_source.TensorSource)."""

    def __contains__(self, name: str) -> bool:
        """Whether there is a tensor of this name."""
        ...

    def differ(self, name: str, other: str) -> bool:
        """Whether two tensors are not equal."""
        ...

    def zero(self, name: str) -> bool:
        """Whether a tensor is 0 everywhere."""
        ...


def multiple_choice(
    architecture: str,
    *required_tensors: str,
    overrides: tuple[str, ...] = (),
    when: Callable[["TensorNames", Config], bool] = lambda names, config: True,
    **more: Any,
) -> HeadVariant:
    """The variant with one logit for each choice.

    Other classes have the same tensors: it applies where config.json states it, and comes before
    them.
    """

    def stated(names: "TensorNames", config: Config) -> bool:
        return architecture in (config.get("architectures") or []) and when(names, config)

    return HeadVariant(
        architecture,
        required_tensors=("classifier.weight", *required_tensors),
        overrides=("model/head=none", "model/task_head=multiple_choice", *overrides),
        when=stated,
        **more,
    )


def untied(output: str, words: str) -> Callable[[TensorNames, Config], bool]:
    """Condition: the output projection is not tied, by config.json or because its values differ."""

    def when(names: TensorNames, config: Config) -> bool:
        if output not in names:
            return False
        if words not in names:
            return False  # only the output projection was saved: it serves as both
        return config.get("tie_word_embeddings") is False or names.differ(output, words)

    return when


def all_families() -> list[Family]:
    """Every Family declared in hf/families."""
    modules = sorted(m.name for m in pkgutil.iter_modules(families.__path__))
    loaded = [importlib.import_module(f"{families.__name__}.{name}") for name in modules]
    found = [value for m in loaded for value in vars(m).values() if isinstance(value, Family)]
    return list({id(one): one for one in found}.values())


def family_of(config: Config) -> Family:
    """The family of a config.json. ConfigMismatch naming the nearest one if there is none."""
    kind = config.get("model_type")
    if kind is None:
        raise ConfigMismatch("config.json has no model_type: add it, e.g. bert")
    for family in all_families():
        if kind in family.types and family.when(config):
            return family
    known = sorted({t for family in all_families() for t in family.types})
    near = nearest(str(kind), known) or f"; supported: {', '.join(known)}"
    raise ConfigMismatch(f"config.json: model_type {kind!r} is not supported{near}")
