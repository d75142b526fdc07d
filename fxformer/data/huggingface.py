"""Corpus of a Hugging Face dataset, from the hub or from disk."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fxformer.data.record_files import field_text
from fxformer.data.records import RecordCorpus
from fxformer.data.survey import Survey
from fxformer.data.text_files import ReadStats
from fxformer.data.units import Unit, row_units
from fxformer.errors import UserError
from fxformer.types import Natural


@dataclasses.dataclass(kw_only=True)
class HuggingFace(RecordCorpus):
    """Hugging Face dataset: a document is a value of `column`, its control code one of `code`.

    "a.b" is the field b of the struct a. Null and blank texts are skipped. Needs datasets.

    path: name on the hub ("roneneldan/TinyStories"), or a local folder, written by `save_to_disk`
        of a DatasetDict or of a Dataset (which becomes `train_split`), or of data files
    name: configuration, where the dataset has several
    revision: branch, tag or commit; give one to make a run reproducible
    valid_split: None holds out a share of `train_split`
    streaming: stream over the network instead of downloading everything first
    limit: maximum number of documents per split; 0: all
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
        identity = [self.path, self.name, self.revision, self.column, self.train_split,
                 self.valid_split, self.limit]  # fmt: skip
        if not self.streaming:  # the fingerprint depends on the content; a stream has none
            splits = [one for one in (self.train_split, self.valid_split) if one is not None]
            identity += [self._load(split)._fingerprint for split in splits]
        return json.dumps(identity)

    def stream(self) -> Iterator[str]:
        for unit in self.units("train"):
            yield from self.unit_texts(unit, self.new_stats())

    def given_valid(self) -> Callable[[], Iterator[str]] | None:
        return None if self.valid_split is None else lambda: self.documents("valid")

    def units(self, split: str) -> list[Unit]:
        split = split if self.valid_split is not None else "train"
        if self.streaming:
            return [Unit(split)]
        rows = len(self._load(self._name(split)))
        return row_units(split, min(rows, self.limit) if self.limit else rows)

    def _name(self, split: str) -> str:
        held_out = self.valid_split if split == "valid" else None
        return self.train_split if held_out is None else held_out

    def unit_texts(self, unit: Unit, stats: ReadStats) -> Iterator[str]:
        loaded = self._load(self._name(unit.split))
        if unit.rows is None:
            loaded = itertools.islice(loaded, self.limit or None)
        else:
            loaded = loaded.select(range(*unit.rows))
        for record in loaded:
            text = field_text(record, self.column, str(self.path), "data.column")
            made = self.document(record, text, str(self.path))
            if made is None:
                stats.blank += 1
            else:
                yield made

    def notes(self, stats: ReadStats, found: Survey) -> dict:
        return super().notes(stats, found) | {"records_blank": stats.blank}

    def _load(self, split: str) -> Any:
        """The split: a datasets.Dataset, or an IterableDataset with `streaming`."""
        if self.path is None:
            raise UserError("data.path is not given: the name of a dataset, or a folder")
        found = load_dataset(
            self.path, self.name, split=split, revision=self.revision, streaming=self.streaming
        )
        if not isinstance(found, dict):
            whole = (Path(self.path) / "state.json").is_file()
            return self._whole(found, split) if whole else found
        if split not in found:
            known = ", ".join(map(str, found))
            raise UserError(f"{self.path} has no split {split!r}; it has: {known}")
        return found[split]

    def _whole(self, dataset, split: str):
        """A Dataset saved without splits. Raises UserError unless `split` is the train split."""
        if split != self.train_split:
            raise UserError(
                f"it holds one dataset without splits, so write data.valid_split=null and "
                f"data.valid_share={self.valid_share:g}"
            )
        return dataset


def load_dataset(
    path: str,
    name: str | None = None,
    *,
    split: str | None = None,
    revision: str | None = None,
    streaming: bool = False,
) -> Any:
    """A dataset of the hub or of a folder: a datasets.Dataset (IterableDataset with `streaming`),
    or a dict of these by split.

    path: as in HuggingFace; split: the one that is loaded, of the hub and of data files; None: all.
        Of a folder of `save_to_disk` everything is loaded. Needs datasets.
    """
    try:
        import datasets
    except ImportError as problem:
        raise UserError("datasets of Hugging Face need datasets: pip install datasets") from problem
    try:
        if any((Path(path) / one).is_file() for one in ("dataset_dict.json", "state.json")):
            return datasets.load_from_disk(path)
        return datasets.load_dataset(
            path, name, split=split, revision=revision, streaming=streaming
        )
    except (OSError, ValueError) as problem:
        which = "" if split is None else f", split {split!r}"
        raise UserError(f"data.path={path}{which}: {problem}") from problem
