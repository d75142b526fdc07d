"""Parallel files: line n of one belongs to row n of another (labels beside texts, translations)."""

import itertools
from collections.abc import Iterable, Iterator, Mapping

from fxformer.data import text_files
from fxformer.data.labelled.readers import Record
from fxformer.errors import UserError


def joined(
    records: Iterable[Record],
    files: Mapping[str, str | list[str]],
    knob: str,
    stats: text_files.ReadStats,
) -> Iterator[Record]:
    """The records, with the value of each role from the same line of its files.

    files: role -> patterns of its files, which are read one after the other; knob: for messages
    Raises UserError where one has more or fewer lines than there are records.
    """
    if not files:
        yield from records
        return
    lines = {role: _lines(some, f"{knob}.{role}", stats) for role, some in files.items()}
    number = 0
    for record in records:
        number += 1
        for role, some in lines.items():
            line = next(some, None)
            if line is None:
                total = number + sum(1 for _ in records)
                raise _other_length(f"{knob}.{role}", number - 1, total)
            if isinstance(record.values, dict):
                record.values[role] = line
        yield record
    for role, some in lines.items():
        if extra := sum(1 for _ in some):
            raise _other_length(f"{knob}.{role}", number + extra, number)


def _lines(patterns: str | list[str], knob: str, stats: text_files.ReadStats) -> Iterator[str]:
    paths = text_files.find_files(patterns, knob)
    return itertools.chain.from_iterable(
        text_files.lines(text_files.read_text(path, stats), stats) for path in paths
    )


def _other_length(knob: str, lines: int, rows: int) -> UserError:
    return UserError(
        f"{knob} has {lines:,} lines and data.files {rows:,} rows; line n must belong to row n"
    )
