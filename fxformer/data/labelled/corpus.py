"""LabelledData: the labelled rows of files or of a dataset, by split. conf/data/labelled.yaml."""

import dataclasses
import functools
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from fxformer.data import record_files, text_files
from fxformer.data.labelled import label_schemes, parallel, readers, roles, splits
from fxformer.data.labelled.readers import Format, Record
from fxformer.data.labelled.roles import Column
from fxformer.data.labelled.rows import BadRow, Row, missing
from fxformer.errors import UserError
from fxformer.types import Rate

_LOG = logging.getLogger(__name__)
Files = str | list[str] | dict[str, str | list[str]]
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
    """Labelled rows from files. It knows no task and no tokenizer.

    files: glob pattern, or several, of the training rows; ** descends into folders; .gz, .bz2, .xz
        and .zst are decompressed. {LABEL: pattern, …}: files with the rows of one class each
    valid_files, test_files: the same for the other splits; None: a share of `files`
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
    train_split, valid_split, test_split: names of splits in that column, or in a JSON file with a
        list for each; None: valid, validation, val or dev, and test, as far as there are any
    valid_share, test_share: shares of the training rows to hold out where nothing else is given
    group_by: role or column whose equal values stay in one split; None: a context, or the inputs
    bad_rows: refuse, with a message, rows that cannot be used, or skip and count them
    encoding_errors: what happens to bytes that are not UTF-8
    """

    files: Files | None
    valid_files: Files | None = None
    test_files: Files | None = None
    format: Format = "auto"
    columns: dict[str, Column] = dataclasses.field(default_factory=dict)
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
    group_by: str | None = None
    bad_rows: Literal["refuse", "skip"] = "refuse"
    encoding_errors: text_files.Errors = "strict"

    def __post_init__(self) -> None:
        record_files.check_delimiters(self.delimiter, None if self.quote == "auto" else self.quote)
        if self.valid_share + self.test_share >= 1:
            raise UserError(
                f"data.valid_share={self.valid_share:g} and data.test_share={self.test_share:g} "
                "leave nothing to train on"
            )

    def open_rows(self) -> dict[str, list[Row]]:
        """Rows by split, "train", "valid" and, where there is one, "test", in reading order."""
        return self.opened.rows

    def fingerprint(self) -> str:
        """Hex digest of the contents of all files and of the options."""
        digest = hashlib.blake2b(digest_size=16)
        options = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if "files" not in field.name
        }
        digest.update(json.dumps(options, sort_keys=True).encode())
        for knob in ("files", "valid_files", "test_files"):
            for label, patterns in self._patterns(knob).items():
                digest.update(f"{knob} {label} ".encode())
                digest.update(text_files.digest(text_files.find_files(patterns, f"data.{knob}"))
                              .encode())  # fmt: skip
        for knob in ("parallel_files", "valid_parallel_files", "test_parallel_files"):
            for role, patterns in (getattr(self, knob) or {}).items():
                found = text_files.find_files(patterns, f"data.{knob}.{role}")
                digest.update(f"{knob} {role} {text_files.digest(found)}".encode())
        return digest.hexdigest()

    @functools.cached_property
    def opened(self) -> Opened:
        """All rows, read once. Raises UserError for what cannot be used."""
        stats = text_files.ReadStats(self.encoding_errors)
        left_out: dict[str, Counter[str]] = {}
        given: dict[str, list[tuple[Row, str | None]]] = {}
        self._check_files()
        for split, knob in zip(SPLITS, ("files", "valid_files", "test_files"), strict=True):
            if knob == "files" or getattr(self, knob):
                left_out[split] = Counter()
                records = self._records(knob, split, stats)
                given[split] = list(self._rows(records, left_out[split]))
                if not given[split]:
                    why = ", ".join(f"{n} with {one}" for one, n in left_out[split].items())
                    raise UserError(f"data.{knob}: 0 usable rows{why and f' (left out: {why})'}")
        rows = self._split(given)
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

    def _check_files(self) -> None:
        """UserError where one file is given for two splits."""
        owner: dict[Path, str] = {}
        for knob in ("files", "valid_files", "test_files"):
            for patterns in self._patterns(knob).values():
                for path in text_files.find_files(patterns, f"data.{knob}"):
                    if owner.setdefault(path, knob) != knob:
                        raise UserError(f"{path} is in both data.{owner[path]} and data.{knob}")

    def _patterns(self, knob: str) -> dict[str | None, Any]:
        """Patterns of an option by the label that their rows have; None: the rows say."""
        given = getattr(self, knob)
        if isinstance(given, dict):
            return dict(given)
        return {None: given} if given or knob == "files" else {}

    def _records(self, knob: str, split: str, stats: text_files.ReadStats) -> Iterator[Record]:
        """Records of all files of an option, those of a parallel file joined."""
        options = readers.ReadOptions(
            format=self.format, columns=self.columns, header=self.header, delimiter=self.delimiter,
            quote=self.quote, document_is=self.document_is,
        )  # fmt: skip

        def records() -> Iterator[Record]:
            for label, patterns in self._patterns(knob).items():
                files, empty = text_files.find_all_files(patterns, f"data.{knob}")
                stats.empty += len(empty)
                for path in files:
                    for record in readers.read(path, options, stats):
                        if label is not None and isinstance(record.values, dict):
                            record.values["label"] = label
                        yield record

        prefix = "" if split == "train" else f"{split}_"
        beside: dict[str, Any] = getattr(self, f"{prefix}parallel_files") or {}
        return parallel.joined(records(), beside, f"data.{prefix}parallel_files", stats)

    def _rows(
        self, records: Iterable[Record], left_out: Counter[str]
    ) -> Iterator[tuple[Row, str | None]]:
        """Usable rows, each with the split that it says it is of."""
        for index, record in enumerate(records):
            try:
                values = self._values(record)
            except BadRow as bad:
                if self.bad_rows == "refuse":
                    raise UserError(
                        f"{bad}; correct it, or leave such rows out with data.bad_rows=skip"
                    ) from None
                left_out[bad.reason] += 1
                continue
            yield Row(values, record.where, index), self._split_of(record, values)

    def _values(self, record: Record) -> dict[str, Any]:
        """Values of a record by role. Raises BadRow."""
        if isinstance(record.values, BadRow):
            raise record.values
        values = record.values
        if not record.by_role or isinstance(values, list):
            values = roles.by_role(values, self.columns, record.where)
        return roles.normalised(values, record.where, self.label_separator)

    def _split_of(self, record: Record, values: dict[str, Any]) -> str | None:
        """What a record says of its split."""
        if self.split_column is None:
            return record.split
        if values.get(self.split_column) is None:
            raise UserError(
                f"data.split_column: {missing(self.split_column, list(values), record.where)}"
            )
        return str(values[self.split_column])

    def _split(self, given: dict[str, list[tuple[Row, str | None]]]) -> dict[str, list[Row]]:
        """Rows by split: as given by file, as rows say themselves, else by share."""
        named = {"train": self.train_split, "valid": self.valid_split, "test": self.test_split}
        found = splits.by_name(given, named)
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
                "a model that remembers is right about them",
                counts[split], len(some), split,
            )  # fmt: skip
    return counts
