"""Reading a published model: config.json as config overrides, tensors as parameters."""

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
from fxformer.hf.config_map import COMMON, Config, ConfigMismatch, Value
from fxformer.hf.conversion_report import ReportLine
from fxformer.hf.convert import Converted, Shapes, check, load
from fxformer.hf.family import Family, HeadVariant, family_of
from fxformer.hf.tensor_files import TensorFiles, check_links
from fxformer.hf.tensor_source import TensorSource
from fxformer.hf.weight_map import WeightEntry
from fxformer.rules import named

LONGEST_CONFIG = 10_000_000  # bytes
EMBEDDING = re.compile(r"token_embedding/(tables/\d+/)?embedding")  # paths of token embeddings
COUNTED = re.compile(r"layers|groups|\.inner")  # keys with at least one tensor each


@dataclasses.dataclass(frozen=True)
class PublishedModel:
    """A published model with validated headers; tensors are not read yet.

    config: its config.json, normalised by the family
    overrides: config overrides that build it
    vocab: number of rows of its token embedding
    """

    folder: Path
    config: Config
    family: Family
    variant: HeadVariant
    source: TensorSource
    overrides: tuple[str, ...]
    vocab: int

    @property
    def entries(self) -> list[WeightEntry]:
        """The weight map of this model."""
        return [*self.family.weight_map(self.config), *self.variant.weight_map(self.config)]

    def compose(self, more: Sequence[str] = ()) -> DictConfig:
        """The config of the model alone, {model: …}."""
        return composed(None, [f"+model={self.family.model}", *self.overrides, *more])

    def load(
        self, shapes: Shapes, fresh: Iterable[str] = (), optional: tuple[str, ...] = ()
    ) -> Converted:
        """({path: array} for a model with these shapes, conversion report); see convert.load."""
        return load(self.source, self.entries, shapes, fresh, optional)

    def check(
        self, shapes: Shapes, fresh: Iterable[str] = (), optional: tuple[str, ...] = ()
    ) -> None:
        """Raise what `load` would raise; reads headers only."""
        check(self.source, self.entries, shapes, fresh, optional)


def read_published(
    folder: str | Path, *, ignore: Sequence[str] = (), option: str = "--ignore {}"
) -> PublishedModel:
    """Read the config.json and tensor headers of a folder; no weights are read, nothing is built.

    ignore: unknown fields of config.json that the user declares irrelevant
    option: how the user writes `ignore`, for the message about an unknown field
    Raises UserError for anything that cannot be converted exactly.
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
            f"{folder / 'config.json'} is not a valid {family.types[0]} config: {error!r}"
        ) from error


def _read(
    folder: Path, family: Family, stated: Config, ignore: Sequence[str], option: str
) -> PublishedModel:
    config = family.normalize({k: v for k, v in stated.items() if k not in family.derived})
    fields = (*family.config_map, *COMMON)
    _check_known(stated, config, family, ignore, option)
    files = TensorFiles(folder)
    _check_sizes(config, family, files)
    source = TensorSource(files, family, config)
    variant = _variant(family, source, config)
    overrides = [word for field in fields for word in field.overrides(config)]
    overrides += [
        *variant.overrides,
        *(w for field in variant.config_map for w in field.overrides(config)),
    ]
    if variant.labels:
        tensor, name = variant.labels
        overrides.append(f"model.task_head.{name}.classes={source.shape(tensor)[0]}")
    _check_classes(stated, variant, source)
    vocab = _vocab(source, family.weight_map(config))
    _check_vocabularies(stated, family, source, vocab)
    return PublishedModel(folder, config, family, variant, source, tuple(overrides), vocab)


def _vocab(source: TensorSource, entries: list[WeightEntry]) -> int:
    """Number of rows of the token embedding, or of all its tables."""
    rows = 0
    for entry in entries:
        if EMBEDDING.fullmatch(entry.paths[0]):
            found = [name for name in (entry.file, *entry.copies) if name in source]
            if not found:
                raise ConfigMismatch(f"{entry.file} is missing{nearest(entry.file, source.raw)}")
            rows += source.shape(found[0])[0]
    return rows


def read_config(folder: Path) -> Config:
    """config.json of a folder. ConfigMismatch if it is missing, too large or not a JSON object."""
    file = folder / "config.json"
    if not file.is_file():
        raise ConfigMismatch(f"{folder} has no config.json, so it is not a published model")
    if file.stat().st_size > LONGEST_CONFIG:
        raise ConfigMismatch(f"{file} is too large for a config ({LONGEST_CONFIG} bytes at most)")
    text = file.read_text(encoding="utf-8", errors="replace")
    try:
        config = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ConfigMismatch(f"{file} cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise ConfigMismatch(f"{file} is not a JSON object")
    stated = config.get("architectures") or []
    if not isinstance(stated, list) or not all(isinstance(name, str) for name in stated):
        raise ConfigMismatch(f"config.json: architectures={stated!r} is not a list of names")
    return config


def _once(pairs: list[tuple[str, Any]]) -> Config:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{max(names, key=names.count)!r} appears twice")
    return found


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is not a number")


def parameter_shapes(network, vocab: int) -> dict[str, tuple[int, ...]]:
    """{path: shape} of the parameters of a network; nothing is computed."""
    model = nnx.eval_shape(lambda: network(vocab=vocab, rngs=nnx.Rngs(0)))
    return {p: leaf.shape for p, leaf in named(nnx.to_pure_dict(nnx.split(model)[1])).items()}


def load_model(
    published: PublishedModel, more: Sequence[str] = ()
) -> tuple[nnx.Module, list[ReportLine]]:
    """(the model with its weights, conversion report), for use without a run.

    more: further config overrides
    """
    network = build(published.compose(more).model.network)
    vocab = published.vocab
    graphdef, state = nnx.split(nnx.eval_shape(lambda: network(vocab=vocab, rngs=nnx.Rngs(0))))
    tree = nnx.to_pure_dict(state)
    shapes = {path: leaf.shape for path, leaf in named(tree).items()}
    arrays, lines = published.load(shapes)
    leaves = [jax.numpy.asarray(arrays[path]) for path in shapes]
    return nnx.merge(graphdef, jax.tree.unflatten(jax.tree.structure(tree), leaves)), lines


def _check_known(
    stated: Config, config: Config, family: Family, ignore: Sequence[str], option: str
) -> None:
    """No field without a meaning here, unless the caller vouches for it; null says nothing.

    stated: config.json as it was written; config: as `family.normalize` has it
    """
    said = {name: value for name, value in config.items() if name not in family.derived}
    for name in family.derived:  # exports may contain them, equal to the derived values
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
            "\n".join(lines) + "\nIt may affect the outputs of the model; if you know that it does "
            f"not: {option.format(','.join(strange))}"
        )


def _check_sizes(config: Config, family: Family, files: TensorFiles) -> None:
    """Raise ConfigMismatch for sizes that exceed the tensors, before anything is allocated."""
    total = sum(tensor.size for tensor in files.values())
    for field in family.config_map:
        if not isinstance(field, Value) or field.free:
            continue
        value = config.get(field.name)
        most = len(files) if COUNTED.search(field.key) else max(total, 4096)
        if isinstance(value, int) and not isinstance(value, bool) and not 0 <= value <= most:
            raise ConfigMismatch(
                f"config.json: {field.name}={value} is impossible: the files hold {len(files)} "
                f"tensors with {total} values in total"
            )


def _check_vocabularies(stated: Config, family: Family, source: TensorSource, vocab: int) -> None:
    """Raise ConfigMismatch if a vocabulary size differs from the rows of its table."""
    for name, table in family.vocab_sizes.items():
        rows = source.shape(table)[0] if table in source else vocab
        if stated.get(name) is not None and stated[name] != rows:
            raise ConfigMismatch(
                f"config.json: {name}={stated[name]!r}, but the embedding has {rows} rows"
            )


def _check_classes(stated: Config, variant: HeadVariant, source: TensorSource) -> None:
    """Raise ConfigMismatch if the number of labels differs from the head's outputs."""
    if variant.labels is None:
        return
    names, rows = stated.get("id2label"), source.shape(variant.labels[0])[0]
    said = ("id2label", len(names)) if names else ("num_labels", stated.get("num_labels"))
    if said[1] is not None and said[1] != rows:
        raise ConfigMismatch(
            f"config.json: {said[0]} has {said[1]} labels, but {variant.labels[0]} has {rows} rows"
        )


def _check_stated(
    stated: list[HeadVariant], able: list[HeadVariant], found: HeadVariant, source: TensorSource
) -> None:
    """Raise ConfigMismatch if the stated class needs tensors that the files lack."""
    if not stated or {variant.architecture for variant in stated} & {
        variant.architecture for variant in able
    }:
        return
    lacking = next((name for name in stated[0].required_tensors if name not in source), None)
    if lacking is None and stated[0].has_lm_head and not found.has_lm_head:
        lacking = "an output projection, and embeddings are not tied"
    if lacking is not None:
        raise ConfigMismatch(
            f"config.json: architectures is {stated[0].architecture}, but the files lack {lacking}"
            f'; to import the rest alone, write "architectures": ["{found.architecture}"]'
        )


def _variant(family: Family, source: TensorSource, config: Config) -> HeadVariant:
    """The variant of the files: the one with most heads whose tensors they have."""
    able = [
        variant
        for variant in family.variants
        if all(name in source for name in variant.required_tensors) and variant.when(source, config)
    ]
    if not able:
        raise ConfigMismatch(
            f"{source.files.folder} has the tensors of none of "
            f"{', '.join(dict.fromkeys(variant.architecture for variant in family.variants))}"
        )
    alike = [variant for variant in able if variant.required_tensors == able[0].required_tensors]
    stated = config.get("architectures") or []
    found = next((variant for variant in alike if variant.architecture in stated), alike[0])
    named = [variant for variant in family.variants if variant.architecture in stated]
    _check_stated(named, able, found, source)
    loose = config.get("tie_word_embeddings") is False
    if loose and found.has_lm_head and found.config.get("tie_word_embeddings", True):
        raise ConfigMismatch(
            "config.json: tie_word_embeddings is false, but the files have no output projection"
        )
    return found
