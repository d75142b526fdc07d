"""A folder of a published model, read: its config as our choices, its weights as our arrays."""

import dataclasses
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
from flax import nnx
from omegaconf import DictConfig

from fxformer.config.build import build
from fxformer.config.options import composed
from fxformer.config.type_check import nearest
from fxformer.hf.config_map import COMMON, Config, ConfigMismatch, Knob
from fxformer.hf.conversion_report import ReportLine
from fxformer.hf.convert import Converted, check, load
from fxformer.hf.family import Family, Form, family_of
from fxformer.hf.tensor_files import TensorFiles, check_links
from fxformer.hf.tensor_source import Source
from fxformer.hf.weight_map import Entry
from fxformer.rules import named

LONGEST_CONFIG = 10_000_000
WORDS = re.compile(r"words/(tables/\d+/)?embedding")  # where word vectors lie in a model
COUNTED = re.compile(r"layers|groups|\.inner")  # each has a tensor at least


@dataclasses.dataclass(frozen=True)
class Published:
    """A model of a folder, its headers checked, its data not yet read.

    config: its config.json in the form the family reads
    overrides: what it is here, as words of our command line
    vocab: rows of its word table
    """

    folder: Path
    config: Config
    family: Family
    form: Form
    source: Source
    overrides: tuple[str, ...]
    vocab: int

    @property
    def entries(self) -> list[Entry]:
        """The name map of this model."""
        return [*self.family.names(self.config), *self.form.names(self.config)]

    def compose(self, more: Sequence[str] = ()) -> DictConfig:
        """Our config of the model alone, {model: …}."""
        return composed(None, [f"+model={self.family.model}", *self.overrides, *more])

    def load(
        self, shapes: dict, fresh: Iterable[str] = (), spare: tuple[str, ...] = ()
    ) -> Converted:
        """The arrays of a model with these shapes, by path, and the bill of materials."""
        return load(self.source, self.entries, shapes, fresh, spare)

    def check(self, shapes: dict, fresh: Iterable[str] = (), spare: tuple[str, ...] = ()) -> None:
        """Raise what `load` would raise for headers; no data are read."""
        check(self.source, self.entries, shapes, fresh, spare)


def read(
    folder: str | Path, *, ignore: Sequence[str] = (), option: str = "--ignore {}"
) -> Published:
    """What lies in a folder. No weights are read and nothing is built.

    ignore: fields of config.json that the family does not know and the caller vouches for
    option: how the caller's user writes `ignore`, for the message about an unknown field
    Raises ValueError for whatever this bridge cannot carry over exactly.
    """
    folder = Path(folder)
    if folder.is_dir():
        check_links(folder)
    config = read_config(folder)
    family = family_of(config)
    try:
        return _read(folder, family, config, ignore, option)
    except (TypeError, AttributeError, LookupError, ArithmeticError) as error:
        raise ConfigMismatch(
            f"{folder / 'config.json'} is none of a {family.types[0]}: {error!r}"
        ) from error


def _read(
    folder: Path, family: Family, stated: Config, ignore: Sequence[str], option: str
) -> Published:
    config = family.modern({k: v for k, v in stated.items() if k not in family.derived})
    fields = (*family.fields, *COMMON)
    _check_known(stated, config, family, ignore, option)
    files = TensorFiles(folder)
    _check_sizes(config, family, files)
    source = Source(files, family, config)
    form = _form(family, source, config)
    overrides = [word for field in fields for word in field.overrides(config)]
    overrides += [*form.overrides, *(w for field in form.fields for w in field.overrides(config))]
    if form.labels:
        tensor, name = form.labels
        overrides.append(f"model.classifiers.{name}.classes={source.shape(tensor)[0]}")
    _check_classes(stated, form, source)
    vocab = _vocab(source, family.names(config))
    _check_vocabularies(stated, family, source, vocab)
    return Published(folder, config, family, form, source, tuple(overrides), vocab)


def _vocab(source: Source, entries: list[Entry]) -> int:
    """Rows of the word table, or of all tables of words."""
    rows = 0
    for entry in entries:
        if WORDS.fullmatch(entry.paths[0]):
            found = [name for name in (entry.file, *entry.copies) if name in source]
            if not found:
                raise ConfigMismatch(f"{entry.file} is missing{nearest(entry.file, source.raw)}")
            rows += source.shape(found[0])[0]
    return rows


def read_config(folder: Path) -> Config:
    """config.json of a folder. ValueError where it is no JSON object of a sane size."""
    file = folder / "config.json"
    if not file.is_file():
        raise ConfigMismatch(f"{folder} has no config.json: it is no folder of a published model")
    if file.stat().st_size > LONGEST_CONFIG:
        raise ConfigMismatch(f"{file} is larger than any config")
    text = file.read_text(encoding="utf-8", errors="replace")
    try:
        config = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ConfigMismatch(f"{file} cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise ConfigMismatch(f"{file} holds no mapping")
    stated = config.get("architectures") or []
    if not isinstance(stated, list) or not all(isinstance(name, str) for name in stated):
        raise ConfigMismatch(f"config.json: architectures={stated!r} is no list of names")
    return config


def _once(pairs: list[tuple[str, Any]]) -> Config:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{max(names, key=names.count)!r} stands twice in it")
    return found


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number")


def shapes_of(network, vocab: int) -> dict[str, tuple[int, ...]]:
    """{path: shape} of the model that a network makes; nothing is computed."""
    model = nnx.eval_shape(lambda: network(vocab=vocab, rngs=nnx.Rngs(0)))
    return {p: leaf.shape for p, leaf in named(nnx.to_pure_dict(nnx.split(model)[1])).items()}


def model_of(published: Published, more: Sequence[str] = ()) -> tuple[nnx.Module, list[ReportLine]]:
    """The model itself, with its weights, and the bill of materials. For use outside of training.

    more: further overrides of the model
    """
    network = build(published.compose(more).model.network)
    vocab = published.vocab
    shape, state = nnx.split(nnx.eval_shape(lambda: network(vocab=vocab, rngs=nnx.Rngs(0))))
    tree = nnx.to_pure_dict(state)
    shapes = {path: leaf.shape for path, leaf in named(tree).items()}
    arrays, lines = published.load(shapes)
    leaves = [jax.numpy.asarray(arrays[path]) for path in shapes]
    return nnx.merge(shape, jax.tree.unflatten(jax.tree.structure(tree), leaves)), lines


def _check_known(
    stated: Config, config: Config, family: Family, ignore: Sequence[str], option: str
) -> None:
    """No field without a meaning here, unless the caller vouches for it; null says nothing.

    stated: config.json as it was written; config: as `family.modern` has it
    """
    said = {name: value for name, value in config.items() if name not in family.derived}
    for name in family.derived:  # our earlier exports had some of them, equal to what is derived
        if stated.get(name) != config.get(name) and name in stated:
            said[name] = stated[name]
    names = family.known - set(family.derived)
    strange = [
        name
        for name, value in said.items()
        if value is not None and name not in names and name not in ignore
    ]
    if strange:
        lines = [
            f"config.json: {name}={said[name]!r} is not known{nearest(name, names)}"
            for name in strange
        ]
        raise ConfigMismatch(
            "\n".join(lines) + "\nit may change what the model computes; if you know that it does "
            f"not: {option.format(','.join(strange))}"
        )


def _check_sizes(config: Config, family: Family, files: TensorFiles) -> None:
    """No size that the files cannot hold: what is built from the config is bounded by them."""
    total = sum(tensor.size for tensor in files.values())
    for field in family.fields:
        value = config.get(field.file) if isinstance(field, Knob) and not field.free else None
        counted = isinstance(field, Knob) and COUNTED.search(field.key)
        most = len(files) if counted else max(total, 4096)
        if isinstance(value, int) and not isinstance(value, bool) and not 0 <= value <= most:
            raise ConfigMismatch(
                f"config.json: {field.file}={value} cannot be: the files hold {len(files)} tensors "
                f"of {total} numbers in all"
            )


def _check_vocabularies(stated: Config, family: Family, source: Source, vocab: int) -> None:
    """As many words as the tables have rows."""
    for name, table in family.vocabularies.items():
        rows = source.shape(table)[0] if table in source else vocab
        if stated.get(name) is not None and stated[name] != rows:
            raise ConfigMismatch(
                f"config.json: {name}={stated[name]!r}, and the files have {rows} rows of words"
            )


def _check_classes(stated: Config, form: Form, source: Source) -> None:
    """As many labels as the classifier has outputs."""
    if form.labels is None:
        return
    names, rows = stated.get("id2label"), source.shape(form.labels[0])[0]
    said = ("id2label", len(names)) if names else ("num_labels", stated.get("num_labels"))
    if said[1] is not None and said[1] != rows:
        raise ConfigMismatch(
            f"config.json: {said[0]} says {said[1]} labels, and {form.labels[0]} has {rows} rows"
        )


def _check_stated(stated: list[Form], able: list[Form], found: Form, source: Source) -> None:
    """No class that is stated and known has more than the files."""
    if not stated or {form.architecture for form in stated} & {form.architecture for form in able}:
        return
    lacking = next((name for name in stated[0].needs if name not in source), None)
    if lacking is None and stated[0].has_words and not found.has_words:
        lacking = "an output table, and its words are not tied"
    if lacking is not None:
        raise ConfigMismatch(
            f"config.json: architectures says {stated[0].architecture} and the files lack {lacking}"
            f'; where the rest alone is meant, write "architectures": ["{found.architecture}"]'
        )


def _form(family: Family, source: Source, config: Config) -> Form:
    """The form of the files: the richest that they have the names of."""
    able = [
        form
        for form in family.forms
        if all(name in source for name in form.needs) and form.when(source, config)
    ]
    if not able:
        raise ConfigMismatch(
            f"{source.files.folder} has the weights of none of "
            f"{', '.join(dict.fromkeys(form.architecture for form in family.forms))}"
        )
    alike = [form for form in able if form.needs == able[0].needs]
    stated = config.get("architectures") or []
    found = next((form for form in alike if form.architecture in stated), alike[0])
    named = [form for form in family.forms if form.architecture in stated]
    _check_stated(named, able, found, source)
    loose = config.get("tie_word_embeddings") is False
    if loose and found.has_words and found.config.get("tie_word_embeddings", True):
        raise ConfigMismatch(
            "config.json: tie_word_embeddings is false, and the files have no output table"
        )
    return found
