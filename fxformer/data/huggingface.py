"""Datasets of the Hugging Face hub, or in its formats on disk."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from fxformer.data import codes
from fxformer.data.corpus_text import HeldOut
from fxformer.types import Natural


@dataclasses.dataclass(kw_only=True)
class HuggingFace(HeldOut):
    """A document is a value of `column`, its control code one of `code`.

    path: name on the hub ("roneneldan/TinyStories"), or a local folder: one that save_to_disk has
        written, or one of data files
    name: the configuration, where the dataset has several
    revision: branch, tag or commit; name one where a run must be repeatable
    valid_split: None holds out a share of `train_split`
    streaming: read over the network as it goes instead of downloading everything first
    limit: documents of each split to read at most; 0: all
    """

    path: str | None
    name: str | None = None
    revision: str | None = None
    column: str = "text"
    train_split: str = "train"
    valid_split: str | None = None
    streaming: bool = False
    limit: Natural = 0

    def contents(self) -> str:
        asked = [self.path, self.name, self.revision, self.column, self.train_split,
                 self.valid_split, self.limit]  # fmt: skip
        if not self.streaming:  # a fingerprint follows the content; a stream has none
            splits = [self.train_split] + [self.valid_split] * (self.valid_split is not None)
            asked += [self._load(split)._fingerprint for split in splits]
        return json.dumps(asked)

    def stream(self) -> Iterator[str]:
        return self._texts(self.train_split)

    def given_valid(self) -> Callable[[], Iterator[str]] | None:
        if self.valid_split is None:
            return None
        return lambda: self._texts(self.valid_split)

    def _texts(self, split: str) -> Iterator[str]:
        for number, record in enumerate(self._load(split)):
            if self.limit and number >= self.limit:
                return
            if self.column not in record:
                known = ", ".join(record)
                raise ValueError(f"{self.path}: no column {self.column!r} (data.column): {known}")
            text = record[self.column]
            if not isinstance(text, str | None):
                raise ValueError(f"{self.path}: column {self.column!r} is {type(text).__name__}")
            if text and text.strip() and self.code is not None:
                text = codes.Coded(text, codes.field_of(record, self.code, str(self.path)))
            if text and text.strip():
                yield text

    def _load(self, split: str):
        try:
            import datasets
        except ImportError as problem:
            raise ValueError("data=huggingface needs datasets: pip install datasets") from problem
        if self.path is None:
            raise ValueError("data.path is not given: the name of a dataset, or a folder")
        try:
            if (Path(self.path) / "dataset_dict.json").is_file():
                return datasets.load_from_disk(self.path)[split]
            return datasets.load_dataset(
                self.path, self.name, split=split, revision=self.revision, streaming=self.streaming
            )
        except KeyError:
            known = ", ".join(datasets.load_from_disk(self.path))
            raise ValueError(f"{self.path} has no split {split!r}; it has: {known}") from None
        except (OSError, ValueError) as problem:
            raise ValueError(f"data.path={self.path}, split {split!r}: {problem}") from problem
