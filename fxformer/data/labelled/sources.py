"""File lists of labelled data: one for each split, with files of parallel lines beside them."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fxformer.data import file_hash, text_files
from fxformer.data.labelled import readers
from fxformer.data.labelled.readers import ReadOptions, SourceRecord
from fxformer.data.labelled.rows import BadRow, missing
from fxformer.errors import UserError

Patterns = str | list[str]
Files = Patterns | dict[str | int, Patterns]


@dataclasses.dataclass(frozen=True)
class FileList:
    """The files of one split.

    split: "train", "valid" or "test"; prefix: of the options that give the files
    files: patterns, or patterns by the label of the rows in them
    parallel: role -> patterns of files whose line n belongs to row n of `files`
    """

    split: str
    prefix: str
    files: Files | None
    parallel: Mapping[str, Patterns] | None

    @property
    def option(self) -> str:
        """The option that gives the files."""
        return f"data.{self.prefix}files"

    @property
    def by_label(self) -> dict[str | int | None, Any]:
        """Patterns by label; None: the rows have their own."""
        given = self.files
        return {**given} if isinstance(given, dict) else {None: given}

    @property
    def by_role(self) -> dict[str, tuple[str, Patterns]]:
        """(option, patterns) of parallel files by role."""
        return {
            role: (f"data.{self.prefix}parallel_files.{role}", patterns)
            for role, patterns in (self.parallel or {}).items()
        }


def check_distinct(lists: Iterable[FileList]) -> None:
    """UserError where one file is given for two splits."""
    owner: dict[Path, str] = {}
    for one in lists:
        for patterns in one.by_label.values():
            for path in text_files.find_files(patterns, one.option):
                if owner.setdefault(path, one.option) != one.option:
                    raise UserError(f"{path} is in both {owner[path]} and {one.option}")


def fingerprint(given: FileList) -> str:
    """Key of the contents of a file list."""
    parts = [given.split]
    for label, patterns in given.by_label.items():
        parts += [str(label), file_hash.fingerprint(text_files.find_files(patterns, given.option))]
    for role, (option, patterns) in given.by_role.items():
        parts += [role, file_hash.fingerprint(text_files.find_files(patterns, option))]
    return " ".join(parts)


def records(
    given: FileList, options: ReadOptions, stats: text_files.ReadStats
) -> Iterator[SourceRecord]:
    """Records of a file list, with the labels of their files and the lines of parallel files.

    Raises UserError where a parallel file has more or fewer lines than there are records.
    """
    lines = {
        role: _lines(patterns, option, stats) for role, (option, patterns) in given.by_role.items()
    }
    number, some = 0, _of_files(given, options, stats)
    for record in some:
        number += 1
        for role, parallel in lines.items():
            line = next(parallel, None)
            if line is None:
                total = number + sum(1 for _ in some)
                raise _other_length(given, role, number - 1, total)
            if isinstance(record.values, dict):
                record.values[role] = line
        yield record
    for role, parallel in lines.items():
        if extra := sum(1 for _ in parallel):
            raise _other_length(given, role, number + extra, number)


def _of_files(
    given: FileList, options: ReadOptions, stats: text_files.ReadStats
) -> Iterator[SourceRecord]:
    for label, patterns in given.by_label.items():
        files, empty = text_files.find_all_files(patterns, given.option)
        stats.empty += len(empty)
        for path in files:
            for record in readers.read(path, options, stats):
                if label is not None and isinstance(record.values, dict):
                    record.values["label"] = label
                yield record


def _lines(patterns: Patterns, option: str, stats: text_files.ReadStats) -> Iterator[str]:
    paths = text_files.find_files(patterns, option)
    return itertools.chain.from_iterable(
        text_files.lines(text_files.read_text(path, stats), stats) for path in paths
    )


def _other_length(given: FileList, role: str, lines: int, rows: int) -> UserError:
    return UserError(
        f"{given.by_role[role][0]} has {lines:,} lines and {given.option} {rows:,} rows; line n "
        "must belong to row n"
    )


def split_of(record: SourceRecord, column: str) -> str | None:
    """The split that a column names. Raises UserError where the column is missing."""
    values = record.values
    if isinstance(values, BadRow):
        return record.split
    if isinstance(values, list):
        values = {str(number): value for number, value in enumerate(values)}
    if values.get(column) is None:
        raise UserError(f"data.split_column: {missing(column, list(values), record.where)}")
    return str(values[column])
