"""LabelledData: the labelled rows of files or of a dataset, by split. conf/data/labelled.yaml."""

import dataclasses
import functools
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from fxformer.data import record_files, text_files
from fxformer.data.labelled import dataset_rows, label_schemes, readers, roles, sources, splits
from fxformer.data.labelled.readers import Format, SourceRecord
from fxformer.data.labelled.roles import Column
from fxformer.data.labelled.rows import BadRow, Row
from fxformer.data.labelled.sources import Files
from fxformer.errors import UserError
from fxformer.types import Natural, Rate

_LOG = logging.getLogger(__name__)
SPLITS = ("train", "valid", "test")


@dataclasses.dataclass(frozen=True)
class Opened:
    """rows: by split, "train", "valid" and, where there is one, "test"
    facts: for JSON: "rows", "left_out" (by split and reason), "shared_inputs" (rows of "valid" and
        "test" with the inputs of a training row), "label_scheme" ({"found", "written", "changed"}
        of labels of words), "bad_bytes" and "files_empty"
    """

    rows: dict[str, list[Row]]
    facts: dict[str, Any]


@dataclasses.dataclass(kw_only=True)
class LabelledData:
    """Labelled rows from files, or from a dataset of Hugging Face. It knows no task, no tokenizer.

    files: glob pattern, or several, of the training rows; ** descends into folders; .gz, .bz2, .xz
        and .zst are decompressed. {LABEL: pattern, …}: files with the rows of one class each
    valid_files, test_files: the same for the other splits; None: a share of `files`
    path: instead of files, a dataset: its name on the hub, or a folder (of `save_to_disk`, or of
        data files); name: its configuration; revision: branch, tag or commit
    format: see readers.py; auto: by suffix, else by content
    columns: role -> name of a column, or its number from 0, or for `choices` a list of these; roles
        are listed in roles.py. A column that is called like its role need not be named
    header: whether the first row of CSV and TSV files has the names of the columns
    delimiter: None: a tab in .tsv and .tab files, a comma in others
    quote: the character around values of CSV and TSV; None: none; auto: " where commas separate,
        none between tabs, where quotation marks are text
    document_is: what a row of a plain text file is
    parallel_files: role -> files of which line n belongs to line n of `files`, which are plain
        text: {label: labels.txt}, {target: train.de}; valid_parallel_files, test_parallel_files
    label_scheme: what labels of words are converted into, from the scheme that they are found in;
        None: they stay as they are, for labels that mark no entities
    label_separator: between the labels of a row in one string; None: it is one label
    split_column: a column that names the split of each row; None: none does
    train_split, valid_split, test_split: names of splits in that column, in a dataset, or in a JSON
        file with a list for each; None: valid, validation, val or dev; and test, if there is one
    valid_share, test_share: shares of the training rows to hold out where nothing else is given
    train_rows: how many rows to train on, in each label's proportion; 0: all
    group_by: role or column whose equal values stay in one split; None: a context, or the inputs
    bad_rows: refuse, with a message, rows that cannot be used, or skip and count them
    encoding_errors: what happens to bytes that are not UTF-8
    """

    files: Files | None = None
    valid_files: Files | None = None
    test_files: Files | None = None
    path: str | None = None
    name: str | None = None
    revision: str | None = None
    format: Format = "auto"
    columns: dict[str, Column] | None = None
    header: bool = True
    delimiter: str | None = None
    quote: str | None = "auto"
    document_is: Literal["file", "line"] = "line"
    parallel_files: dict[str, str | list[str]] | None = None
    valid_parallel_files: dict[str, str | list[str]] | None = None
    test_parallel_files: dict[str, str | list[str]] | None = None
    label_scheme: Literal["IO", "BIO", "BIOES"] | None = "BIO"
    label_separator: str | None = None
    split_column: str | None = None
    train_split: str = "train"
    valid_split: str | None = None
    test_split: str | None = None
    valid_share: Rate = 0.1
    test_share: Rate = 0.0
    train_rows: Natural = 0
    group_by: str | None = None
    bad_rows: Literal["refuse", "skip"] = "refuse"
    encoding_errors: text_files.Errors = "strict"

    def __post_init__(self) -> None:
        record_files.check_delimiters(self.delimiter, None if self.quote == "auto" else self.quote)
        given = [one for one in ("files", "valid_files", "test_files") if getattr(self, one)]
        if self.path is not None and given:
            raise UserError(f"data.path={self.path} and data.{given[0]}: give one of the two")
        if self.path is not None and Path(self.path).is_file():
            raise UserError(f"data.path={self.path} is a file; write data.files={self.path}")
        if self.valid_share + self.test_share >= 1:
            raise UserError(
                f"data.valid_share={self.valid_share:g} and data.test_share={self.test_share:g} "
                "leave nothing to train on"
            )

    def open_rows(self) -> dict[str, list[Row]]:
        """Rows by split, "train", "valid" and, where there is one, "test", in reading order."""
        return self.opened.rows

    def stream(self) -> Iterator[Row]:
        """The usable rows of `files`, or of the dataset, in reading order, without splits.

        Files of lines are read as the rows are taken; labels of words stay as they are written.
        """
        stats = text_files.ReadStats(self.encoding_errors)
        left_out: Counter[str] = Counter()
        yield from self._usable(self._all_records(stats), left_out)
        for reason, count in left_out.items():
            _LOG.warning("%d rows are left out: %s", count, reason)

    def fingerprint(self) -> str:
        """Hex digest of the contents of all files, or of the dataset, and of the options."""
        digest = hashlib.blake2b(digest_size=16)
        options = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(LabelledData)
            if "files" not in field.name
        }
        digest.update(json.dumps(options, sort_keys=True).encode())
        if self.path is not None:
            found = dataset_rows.fingerprint(self.path, self.name, self.revision)
        else:
            found = " ".join(map(sources.fingerprint, self._file_lists()))
        digest.update(found.encode())
        return digest.hexdigest()

    @functools.cached_property
    def opened(self) -> Opened:
        """All rows, read once. Raises UserError for what cannot be used."""
        stats = text_files.ReadStats(self.encoding_errors)
        left_out: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
        rows = self._held_out(self._given(stats, left_out))
        facts: dict[str, Any] = {
            "rows": {split: len(some) for split, some in rows.items()},
            "left_out": {split: dict(counts) for split, counts in left_out.items() if counts},
            "shared_inputs": _shared_inputs(rows),
            "bad_bytes": stats.bad_bytes,
            "files_empty": stats.empty,
        }
        if self.label_scheme is not None:
            if done := label_schemes.unify(sum(rows.values(), []), self.label_scheme):
                facts["label_scheme"] = done.facts()
        return Opened(rows, facts)

    def all_rows(self) -> list[Row]:
        """All rows of `files`, or of the training split of a dataset, of which none is held out.

        Raises UserError for what cannot be used.
        """
        stats = text_files.ReadStats(self.encoding_errors)
        rows = self._given(stats, {split: Counter() for split in SPLITS})["train"]
        if self.label_scheme is not None:
            label_schemes.unify(rows, self.label_scheme)
        return rows

    def _given(
        self, stats: text_files.ReadStats, left_out: Mapping[str, Counter[str]]
    ) -> dict[str, list[Row]]:
        """Usable rows of the splits that are given; counts the others by reason in `left_out`."""
        named = {"train": self.train_split, "valid": self.valid_split, "test": self.test_split}
        return {
            split: self._rows(records, split, left_out[split])
            for split, records in splits.by_name(self._records(stats), named).items()
        }

    def _records(self, stats: text_files.ReadStats) -> dict[str, list[SourceRecord]]:
        """Records of the dataset, under "train", or of each file list that is given."""
        if self.path is not None:
            given = {"train": list(dataset_rows.records(self.path, self.name, self.revision))}
        else:
            lists, options = self._file_lists(), self._read_options()
            sources.check_distinct(lists)
            given = {one.split: list(sources.records(one, options, stats)) for one in lists}
        if self.split_column is not None:
            for record in sum(given.values(), []):
                record.split = sources.split_of(record, self.split_column)
        return given

    def _all_records(self, stats: text_files.ReadStats) -> Iterator[SourceRecord]:
        """Records of the dataset or of the files of the training rows, as they are read."""
        if self.path is not None:
            return iter(dataset_rows.records(self.path, self.name, self.revision))
        return sources.records(self._file_lists()[0], self._read_options(), stats)

    def _read_options(self) -> readers.ReadOptions:
        return readers.ReadOptions(
            format=self.format, columns=self.columns or {}, header=self.header,
            delimiter=self.delimiter, quote=self.quote, document_is=self.document_is,
        )  # fmt: skip

    def _file_lists(self) -> list[sources.FileList]:
        """The file lists that are given, that of train first."""
        lists = [
            sources.FileList("train", "", self.files, self.parallel_files),
            sources.FileList("valid", "valid_", self.valid_files, self.valid_parallel_files),
            sources.FileList("test", "test_", self.test_files, self.test_parallel_files),
        ]
        return [one for one in lists if one.files or one.split == "train"]

    def _rows(
        self, records: Iterable[SourceRecord], split: str, left_out: Counter[str]
    ) -> list[Row]:
        """Usable rows of a split, of which there must be some. left_out: see `_usable`"""
        found = list(self._usable(records, left_out))
        if not found:
            why = ", ".join(f"{number} with {reason}" for reason, number in left_out.items())
            raise UserError(f"the {split} split has 0 usable rows{why and f' (left out: {why})'}")
        return found

    def _usable(self, records: Iterable[SourceRecord], left_out: Counter[str]) -> Iterator[Row]:
        """Usable rows; counts the others by reason, or refuses the first of them."""
        for index, record in enumerate(records):
            try:
                yield self._row(record, index)
            except BadRow as bad:
                if self.bad_rows == "refuse":
                    raise UserError(
                        f"{bad}; correct it, or leave such rows out with data.bad_rows=skip"
                    ) from None
                left_out[bad.reason] += 1

    def _row(self, record: SourceRecord, index: int) -> Row:
        """The row of a record. Raises BadRow where it cannot be used."""
        return Row(self._values(record), record.where, index)

    def _values(self, record: SourceRecord) -> dict[str, Any]:
        """Values of a record by role. Raises BadRow."""
        values = record.values
        if isinstance(values, BadRow):
            raise values
        if not record.by_role or isinstance(values, list):
            values = roles.by_role(values, self.columns or {}, record.where)
        return roles.normalised(values, record.where, self.label_separator)

    def _held_out(self, found: dict[str, list[Row]]) -> dict[str, list[Row]]:
        """Rows by split, where splits that are not given are shares of the training rows, and of
        the others there are `train_rows`."""
        shares = {
            split: share
            for split, share in (("test", self.test_share), ("valid", self.valid_share))
            if split not in found and share
        }
        if shares:
            key = splits.group_key(self.group_by)
            found |= splits.by_share(found["train"], shares, key)
        if "valid" not in found:
            raise UserError(
                "data.valid_share=0 leaves no valid split: give a share, or data.valid_files="
            )
        if self.train_rows > len(found["train"]):
            raise UserError(
                f"data.train_rows={self.train_rows}: there are {len(found['train'])} training rows"
            )
        if self.train_rows:
            found["train"] = splits.subset(found["train"], self.train_rows)
        return {split: found[split] for split in SPLITS if split in found}


def _shared_inputs(rows: dict[str, list[Row]]) -> dict[str, int]:
    """Rows by split that have the inputs of a training row; warns where there are any."""
    train, counts = rows["train"], {}
    for split, some in rows.items():
        if split == "train":
            continue
        counts[split] = splits.shared_inputs(train, some)
        if counts[split]:
            _LOG.warning(
                "%d of %d %s rows have the inputs of a training row (case and white space aside): "
                "a model that has memorized them is scored as if it generalized",
                counts[split], len(some), split,
            )  # fmt: skip
    return counts
