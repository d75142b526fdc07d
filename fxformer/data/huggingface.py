"""Datasets of the Hugging Face hub, or in its formats on disk."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from fxformer.data import records
from fxformer.data.corpus_records import RecordCorpus
from fxformer.errors import UserError
from fxformer.types import Natural


@dataclasses.dataclass(kw_only=True)
class HuggingFace(RecordCorpus):
    """A document is a value of `column`, its control code one of `code`, where "a.b" is the field b
    of the struct a; null and blank ones are left out.

    path: name on the hub ("roneneldan/TinyStories"), or a local folder: one that `save_to_disk` of
        a DatasetDict or of a Dataset (which is `train_split`) has written, or one of data files
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

    def __post_init__(self) -> None:
        self._blank: dict[str, int] = {}

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
        blank = 0
        some = itertools.islice(self._load(split), self.limit or None)
        for record in some:
            text = records.text(record, self.column, str(self.path), "data.column")
            made = self.document(record, text, str(self.path))
            if made is None:
                blank += 1
            else:
                yield made
        self._blank[split] = blank

    def notes(self) -> dict:
        return super().notes() | {"records_blank": sum(self._blank.values())}

    def _load(self, split: str):
        try:
            import datasets
        except ImportError as problem:
            raise UserError("data=huggingface needs datasets: pip install datasets") from problem
        if self.path is None:
            raise UserError("data.path is not given: the name of a dataset, or a folder")
        try:
            if (Path(self.path) / "dataset_dict.json").is_file():
                return datasets.load_from_disk(self.path)[split]
            if (Path(self.path) / "state.json").is_file():
                return self._whole(datasets.load_from_disk(self.path), split)
            return datasets.load_dataset(
                self.path, self.name, split=split, revision=self.revision, streaming=self.streaming
            )
        except KeyError:
            known = ", ".join(datasets.load_from_disk(self.path))
            raise UserError(f"{self.path} has no split {split!r}; it has: {known}") from None
        except (OSError, ValueError) as problem:
            raise UserError(f"data.path={self.path}, split {split!r}: {problem}") from problem

    def _whole(self, dataset, split: str):
        """A Dataset that was saved without splits. UserError where another one is asked for."""
        if split != self.train_split:
            raise UserError(
                f"it holds one dataset without splits, so write data.valid_split=null and "
                f"data.valid_share={self.valid_share:g}"
            )
        return dataset
