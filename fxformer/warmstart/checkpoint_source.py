"""Sources of pretrained weights: a run, or a published model in a folder or on the hub."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from fxformer.config.type_check import nearest
from fxformer.data.tokenizer import Tokenizer, is_saved, load
from fxformer.errors import UserError
from fxformer.hf.conversion_report import ReportLine
from fxformer.hf.convert import Arrays, Converted, Shapes, WeightMismatch
from fxformer.hf.hub import folder_of
from fxformer.hf.published_model import EMBEDDING, PublishedModel, read_published
from fxformer.hf.run_weights import model_weights
from fxformer.hf.sentencepiece_json import PROBES
from fxformer.hf.tokenizer_files import read_tokenizer
from fxformer.task.label_matching import UNNAMED
from fxformer.track.run_reader import StoredRun, find
from fxformer.warmstart.config_references import referenced, resolved

HEADS = ("head/", "task_heads/")


STARTS = ("pad", "eos", "bos")  # values of objective.start


class CheckpointSource(ABC):
    """A pretrained model: its config, its tokenizer and, on demand, its weights.

    folder: its absolute path
    model: the `model` node of its config, with references
    tokenizer_folder: the folder with its tokenizer files
    """

    folder: Path
    model: dict[str, Any]
    tokenizer_folder: Path

    @cached_property
    def resolved_model(self) -> dict[str, Any]:
        """The `model` node without references."""
        return resolved(self.model)

    @property
    @abstractmethod
    def vocab_rows(self) -> int:
        """Number of rows of its token embedding table."""

    @abstractmethod
    def tokenizer(self) -> Tokenizer | None:
        """Its tokenizer; None if it has none."""

    @abstractmethod
    def start(self) -> str | None:
        """First token of its decoder: pad, eos or bos; None: another one, or not known."""

    def class_names(self) -> list[str] | None:
        """Names of the classes of its task, in the order of its outputs; None: not known."""
        return None

    @abstractmethod
    def check(self, shapes: Shapes, optional: tuple[str, ...] = HEADS) -> None:
        """Raise the WeightMismatch that `load` would raise, without reading weights."""

    @abstractmethod
    def load(self, shapes: Shapes, optional: tuple[str, ...] = HEADS) -> Converted:
        """({path: array} for a model of these shapes, conversion report).

        optional: path prefixes that the source may lack, or that may stay unused
        Raises WeightMismatch if a shape differs or any other array is missing or unused.
        """


@dataclasses.dataclass
class PublishedSource(CheckpointSource):
    """A published model."""

    published: PublishedModel

    def __post_init__(self) -> None:
        self.folder = self.tokenizer_folder = self.published.folder.resolve()
        cfg = self.published.compose()
        self.model = cast(dict[str, Any], OmegaConf.to_container(cfg.model, resolve=False))

    @property
    def vocab_rows(self) -> int:
        return self.published.vocab

    def tokenizer(self) -> Tokenizer | None:
        return read_tokenizer(self.folder, self.vocab_rows)

    def start(self) -> str | None:
        config = self.published.config
        found = config.get("decoder_start_token_id")
        same = (
            one for one in STARTS if found is not None and config.get(f"{one}_token_id") == found
        )
        return next(same, None)

    def class_names(self) -> list[str] | None:
        return published_class_names(self.published.config)

    def check(self, shapes: Shapes, optional: tuple[str, ...] = HEADS) -> None:
        self.published.check(shapes, _may_be_fresh(shapes, optional), optional)

    def load(self, shapes: Shapes, optional: tuple[str, ...] = HEADS) -> Converted:
        return self.published.load(shapes, _may_be_fresh(shapes, optional), optional)


@dataclasses.dataclass
class RunSource(CheckpointSource):
    """A run of fxformer: the newest checkpoint that can be read."""

    run: StoredRun

    def __post_init__(self) -> None:
        self.folder = self.run.folder.resolve()
        self.tokenizer_folder = self.folder / "tokenizer"
        model = self.run.config.get("model")
        if not isinstance(model, dict):
            raise UserError(f"{self.folder / 'config.yaml'} describes no model, so it is no run")
        self.model = referenced(model)

    @cached_property
    def arrays(self) -> Arrays:
        """{path in the model: float32 array}, memory-mapped."""
        return model_weights(self.run)

    @property
    def vocab_rows(self) -> int:
        return sum(x.shape[0] for path, x in self.arrays.items() if EMBEDDING.fullmatch(path))

    def tokenizer(self) -> Tokenizer | None:
        return load(self.tokenizer_folder) if is_saved(self.tokenizer_folder) else None

    def start(self) -> str | None:
        found = (self.run.config.get("objective") or {}).get("start")
        return found if found in STARTS else None

    def class_names(self) -> list[str] | None:
        found = (self.run.config.get("task") or {}).get("labels")
        return None if found is None else list(map(str, found))

    def check(self, shapes: Shapes, optional: tuple[str, ...] = HEADS) -> None:
        found, name = self.arrays, self.run.id
        wrong = [
            f"{p} has shape {list(found[p].shape)} in {name} and {list(s)} in this model"
            for p, s in shapes.items()
            if p in found and found[p].shape != tuple(s)
        ]
        wrong += [
            f"{name} has no {path}{nearest(path, found)}"
            for path in shapes
            if path not in found and not path.startswith(optional)
        ]
        wrong += [
            f"{name} has {path}, which this model lacks{nearest(path, shapes)}"
            for path in found
            if path not in shapes and not path.startswith(optional)
        ]
        if wrong:
            raise WeightMismatch("\n".join(wrong[:12]))

    def load(self, shapes: Shapes, optional: tuple[str, ...] = HEADS) -> Converted:
        self.check(shapes, optional)
        found = self.arrays
        lines = [ReportLine("loaded", p, p, found[p].shape) for p in shapes if p in found]
        lines += [ReportLine("ignored", p, "", found[p].shape) for p in found if p not in shapes]
        lines += [ReportLine("fresh", "", p, shapes[p]) for p in shapes if p not in found]
        return {p: found[p] for p in shapes if p in found}, lines


def open_source(
    which: str,
    runs: str,
    ignore: Sequence[str] = (),
    *,
    option: str = "'warm_start.ignore=[{}]'",
) -> CheckpointSource:
    """The run with this name or path, or the published model in this folder or with this hub id.

    runs: the folder that holds the runs
    ignore: fields of a published config.json that do not affect the outputs
    option: how the user writes `ignore`, for the message about an unknown field
    Raises UserError if there is none, or if it cannot be converted exactly.
    """
    if (Path(which) / "run.json").is_file():
        return RunSource(StoredRun(which))
    if (Path(which) / "config.json").is_file() or "/" in which:
        return PublishedSource(read_published(folder_of(which), ignore=ignore, option=option))
    return RunSource(find(runs, which))


def same_ids(one: Tokenizer, other: Tokenizer) -> bool:
    """Whether two tokenizers are of the same files, or give the same ids to the probe texts, which
    those of data that are ids already cannot read."""
    if one is other or one.hash == other.hash:
        return True
    same = one.vocabulary.size == other.vocabulary.size and one.ids == other.ids
    return same and all(one.encode(t).tolist() == other.encode(t).tolist() for t in PROBES)


def published_class_names(config: Mapping[str, Any]) -> list[str] | None:
    """id2label of a config.json, in the order of the ids; None where it names no class."""
    named = config.get("id2label") or {}
    try:
        names = [str(name) for _, name in sorted((int(n), name) for n, name in named.items())]
    except (AttributeError, TypeError, ValueError):
        return None
    return None if all(UNNAMED.fullmatch(name) for name in names) else names


def _may_be_fresh(shapes: Shapes, optional: tuple[str, ...]) -> list[str]:
    return [path for path in shapes if path.startswith(optional)]
