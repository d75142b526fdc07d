"""What a training can begin with: a run of ours, or a published model in a folder or on the hub."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from fxformer.config.type_check import nearest
from fxformer.data.tokenizer import Tokenizer, is_saved, load
from fxformer.hf.conversion_report import Line
from fxformer.hf.convert import Arrays, Shapes, WeightMismatch
from fxformer.hf.hub import folder_of
from fxformer.hf.published_model import WORDS, Published, read
from fxformer.hf.run_weights import model_weights
from fxformer.hf.tokenizer_files import read_tokenizer
from fxformer.track.run_reader import StoredRun, find
from fxformer.warmstart.config_references import referenced, resolved

HEADS = ("head/", "classifiers/")


class Origin(ABC):
    """A model that exists: its config, its tokenizer and, when they are asked for, its weights.

    place: its folder, absolute
    model: the `model` node of its config, with references
    tokens: a folder with the files of its tokenizer
    """

    place: Path
    model: dict[str, Any]
    tokens: Path

    @cached_property
    def settled(self) -> dict[str, Any]:
        """The `model` node without references."""
        return resolved(self.model)

    @property
    @abstractmethod
    def rows(self) -> int:
        """Of its word table."""

    @abstractmethod
    def tokenizer(self) -> Tokenizer | None:
        """Its tokenizer; None where it has none."""

    @abstractmethod
    def check(self, shapes: Shapes, spare: tuple[str, ...] = HEADS) -> None:
        """What `load` would refuse, told without reading weights."""

    @abstractmethod
    def load(self, shapes: Shapes, spare: tuple[str, ...] = HEADS) -> tuple[Arrays, list[Line]]:
        """Arrays by path for a model of these shapes, and what became of each.

        spare: beginnings of paths that may be new here, or go unread there
        Raises WeightMismatch where a shape differs or the rest is not whole.
        """


@dataclasses.dataclass
class OfFiles(Origin):
    """A published model."""

    published: Published

    def __post_init__(self) -> None:
        self.place = self.tokens = self.published.folder.resolve()
        cfg = self.published.compose()
        self.model = OmegaConf.to_container(cfg.model, resolve=False)

    @property
    def rows(self) -> int:
        return self.published.vocab

    def tokenizer(self) -> Tokenizer | None:
        return read_tokenizer(self.place, self.rows)

    def check(self, shapes: Shapes, spare: tuple[str, ...] = HEADS) -> None:
        self.published.check(shapes, _new(shapes, spare), spare)

    def load(self, shapes: Shapes, spare: tuple[str, ...] = HEADS) -> tuple[Arrays, list[Line]]:
        return self.published.load(shapes, _new(shapes, spare), spare)


@dataclasses.dataclass
class OfRun(Origin):
    """A run of ours, its newest sound checkpoint."""

    run: StoredRun

    def __post_init__(self) -> None:
        self.place = self.run.folder.resolve()
        self.tokens = self.place / "tokenizer"
        self.model = referenced(self.run.config["model"])

    @cached_property
    def arrays(self) -> Arrays:
        """Mapped files: read when they are looked at."""
        return model_weights(self.run)

    @property
    def rows(self) -> int:
        return sum(x.shape[0] for path, x in self.arrays.items() if WORDS.fullmatch(path))

    def tokenizer(self) -> Tokenizer | None:
        return load(self.tokens) if is_saved(self.tokens) else None

    def check(self, shapes: Shapes, spare: tuple[str, ...] = HEADS) -> None:
        found, name = self.arrays, self.run.id
        wrong = [
            f"{p} is {list(found[p].shape)} in {name} and {list(s)} here"
            for p, s in shapes.items()
            if p in found and found[p].shape != tuple(s)
        ]
        wrong += [
            f"{name} has no {path}{nearest(path, found)}"
            for path in shapes
            if path not in found and not path.startswith(spare)
        ]
        wrong += [
            f"{name} has {path}, this model has not{nearest(path, shapes)}"
            for path in found
            if path not in shapes and not path.startswith(spare)
        ]
        if wrong:
            raise WeightMismatch("\n".join(wrong[:12]))

    def load(self, shapes: Shapes, spare: tuple[str, ...] = HEADS) -> tuple[Arrays, list[Line]]:
        self.check(shapes, spare)
        found = self.arrays
        lines = [Line("loaded", p, p, found[p].shape) for p in shapes if p in found]
        lines += [Line("ignored", p, "", found[p].shape) for p in found if p not in shapes]
        lines += [Line("fresh", "", p, shapes[p]) for p in shapes if p not in found]
        return {p: found[p] for p in shapes if p in found}, lines


def opened(which: str, runs: str, ignore: Sequence[str] = ()) -> Origin:
    """The run of this name or path, or the published model of this folder or hub id.

    ignore: fields of a published config.json that are known to change nothing
    Raises UserError where there is none, or one that cannot be carried over exactly.
    """
    if (Path(which) / "run.json").is_file():
        return OfRun(StoredRun(which))
    if (Path(which) / "config.json").is_file() or "/" in which:
        return OfFiles(read(folder_of(which), ignore=ignore, option="'init.ignore=[{}]'"))
    return OfRun(find(runs, which))


def _new(shapes: Shapes, spare: tuple[str, ...]) -> list[str]:
    return [path for path in shapes if path.startswith(spare)]
