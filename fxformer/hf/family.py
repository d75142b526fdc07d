"""A family of published models: what its files say, declared once and read in both directions."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from fxformer.config.type_check import nearest
from fxformer.hf import families
from fxformer.hf.config_map import COMMON, Config, ConfigMismatch, Field, Silent
from fxformer.hf.weight_map import Entry


@dataclasses.dataclass(frozen=True)
class Form:
    """One class of transformers: a body with certain heads.

    architecture: its name there
    needs: names that its files have and others have not
    overrides: what it is here
    labels: (a tensor with a row for each class, the classifier they are the classes of)
    when: what else must hold
    config: what it adds to config.json
    names: entries of this form alone (buffers that only some classes save)
    fields: fields of config.json that say something of this form alone
    base: a prefix of the body's names; "" for a bare body, None: as the family writes them
    """

    architecture: str
    needs: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    labels: tuple[str, str] | None = None
    when: Callable[["Names", Config], bool] = lambda names, config: True
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    names: Callable[[Config], list[Entry]] = lambda config: []
    fields: tuple[Field, ...] = ()
    base: str | None = None

    @property
    def has_words(self) -> bool:
        """Whether it answers with words."""
        return not {"model/head=none", "model/head=rtd"} & set(self.overrides)


@dataclasses.dataclass(frozen=True)
class Family:
    """All that the bridge knows of a family.

    types: its `model_type`s; the first is written
    model: our preset, a yaml of conf/model
    base: the prefix of the body's names, which files may lack
    fields: every field of its config.json (those of `fields.COMMON` besides)
    names: config.json -> the name map
    forms: the classes it comes as, the richest first
    ignore: regexes of names that carry no weights (buffers), or weights nothing reads
    renames: (regex, replacement) pairs that turn old names into new ones
    modern: brings an old config.json to the form that `fields` reads
    written: the inverse: a config.json as every version of transformers reads it
    answers: what transformers calls the answer of a classifier, where it is unlike BERT's
    positions: `row`, where the first place of a row is position 0, be it padding; `segments`,
        where the first token is
    when: which config.jsons of its types are its own, where two families share a type
    derived: names of `fields` that no config.json has: `modern` adds them, `written` removes them
    vocabularies: fields that count words -> the tensor whose rows they count, "": the word table
    caveats: sentences for whoever exports a config.json that some versions of transformers read
        otherwise than it is meant
    """

    types: tuple[str, ...]
    model: str
    base: str
    fields: tuple[Field, ...]
    names: Callable[[Config], list[Entry]]
    forms: tuple[Form, ...]
    ignore: tuple[str, ...] = ()
    renames: tuple[tuple[str, str], ...] = ()
    modern: Callable[[Config], Config] = lambda config: config
    written: Callable[[Config], Config] = lambda config: config
    answers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    positions: Literal["row", "segments"] = "segments"
    when: Callable[[Config], bool] = lambda config: True
    derived: tuple[str, ...] = ()
    vocabularies: Mapping[str, str] = dataclasses.field(default_factory=lambda: {"vocab_size": ""})
    caveats: Callable[[Config], list[str]] = lambda config: []

    @property
    def known(self) -> set[str]:
        """The names of `fields` and of the fields that all families have."""
        names: set[str] = set()
        for field in (*self.fields, *COMMON):
            names.update(field.files if isinstance(field, Silent) else (field.file,))
        return names

    def meaning(self, config: Config) -> list[str]:
        """What a config.json says of the model, as words of our command line."""
        config = self.modern({k: v for k, v in config.items() if k not in self.derived})
        return [w for field in (*self.fields, *COMMON) for w in field.overrides(config)]


class Names(Protocol):
    """What forms ask of the files they may be of; convert.Source answers."""

    def __contains__(self, name: str) -> bool:
        """Whether there is a tensor of this name."""

    def differ(self, name: str, other: str) -> bool:
        """Whether two tensors are not equal."""

    def zero(self, name: str) -> bool:
        """Whether a tensor is 0 everywhere."""


def untied(output: str, words: str) -> Callable[[Names, Config], bool]:
    """Whether the output table is one of its own: it says so, or it differs from the words'."""

    def when(names: Names, config: Config) -> bool:
        if output not in names:
            return False
        if words not in names:
            return False  # only the copy was saved: it serves as both
        return config.get("tie_word_embeddings") is False or names.differ(output, words)

    return when


def all_families() -> list[Family]:
    """Every Family that a file of hf/families declares."""
    modules = sorted(m.name for m in pkgutil.iter_modules(families.__path__))
    loaded = [importlib.import_module(f"{families.__name__}.{name}") for name in modules]
    found = [value for m in loaded for value in vars(m).values() if isinstance(value, Family)]
    return list({id(one): one for one in found}.values())


def family_of(config: Config) -> Family:
    """The family of a config.json. ConfigMismatch with the nearest name where there is none."""
    kind = config.get("model_type")
    if kind is None:
        raise ConfigMismatch("config.json has no model_type: write which family it is, e.g. bert")
    for family in all_families():
        if kind in family.types and family.when(config):
            return family
    known = sorted({t for family in all_families() for t in family.types})
    near = nearest(str(kind), known) or f"; there are {', '.join(known)}"
    raise ConfigMismatch(f"config.json: model_type {kind!r} is no family known here{near}")
