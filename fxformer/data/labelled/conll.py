"""CoNLL files: a word and its labels on each line, a blank line after each sentence."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fxformer.data import text_files
from fxformer.data.labelled.rows import BadRow
from fxformer.errors import UserError

DEFAULT_COLUMNS = {"words": 0, "labels": -1}
_TAG = re.compile(r"O|[BIESLUM]-\S+")
_SNIFFED = 200  # lines that are looked at to recognise the format


def sentences(
    path: Path, stats: text_files.ReadStats, columns: Mapping[str, Any]
) -> Iterator[tuple[dict[str, list[str]] | BadRow, str]]:
    """({role: values of the words}, "FILE, line N") of each sentence; N is its first line.

    Columns are separated by a tab in files whose first word has one, else by runs of spaces. A line
    of white space ends a sentence. Comments (a # first, in a line that has not the number of
    columns that words have) and -DOCSTART- lines are left out. A word may be empty,
    as in the Broad Twitter Corpus, where a character was lost. A sentence with a line of another
    number of columns comes as the BadRow that says so.

    columns: role -> number of the column, from 0; -1 is the last one
    """
    lines = list(text_files.lines(text_files.read_text(path, stats), stats))
    tabs, count = _table(lines)
    held: list[list[str]] = []
    first, bad, checked = 1, None, False
    for number, line in enumerate([*lines, ""], 1):
        if not line.strip():
            if held:
                where = f"{path}, line {first}"
                yield (_columns(held, columns) if bad is None else bad), where
            held, bad = [], None
            continue
        cells = _cells(line, tabs)
        if cells[0] == "-DOCSTART-" or (line.startswith("#") and len(cells) != count):
            continue
        if not checked:
            _check(columns, count, f"{path}, line {number}")
            checked = True
        if len(cells) != count:
            said = f"{path}, line {number}: {len(cells)} columns, and the first word has {count}"
            bad = bad or BadRow("line with another number of columns", said)
        if not held:
            first = number
        held.append(cells)


def _table(lines: list[str]) -> tuple[bool, int]:
    """(whether tabs separate columns, number of columns), of the first line that is certainly a
    word; 0 in a file without words."""
    some = [one for one in lines if one.strip() and not one.startswith("-DOCSTART-")]
    word = next((one for one in some if not one.startswith("#")), some[0] if some else "")
    tabs = "\t" in word
    return tabs, len(_cells(word, tabs))


def looks_like(lines: list[str]) -> bool:
    """Whether lines of a file are words with labels: the same number of columns in each, two or
    more, and labels such as O and B-PER in the last."""
    words = [_cells(one, "\t" in one) for one in lines[:_SNIFFED] if one.strip()]
    words = [one for one in words if one[0] != "-DOCSTART-" and not one[0].startswith("#")]
    if not words or len({len(one) for one in words}) > 1 or len(words[0]) < 2:
        return False
    return all(_TAG.fullmatch(one[-1]) for one in words)


def _cells(line: str, tabs: bool) -> list[str]:
    """The columns of a line; a word may hold spaces of other kinds, such as U+00A0."""
    if tabs:
        return [cell.strip(" ") for cell in line.split("\t")]
    return re.split(r"[ \t]+", line.strip(" \t"))


def _columns(held: list[list[str]], columns: Mapping[str, Any]) -> dict[str, list[str]]:
    return {role: [cells[column] for cells in held] for role, column in columns.items()}


def _check(columns: Mapping[str, Any], count: int, where: str) -> None:
    for role, column in columns.items():
        if not isinstance(column, int) or isinstance(column, bool):
            raise UserError(
                f"data.columns.{role}={column}: the columns of CoNLL files have no names; write a "
                "number, from 0, or -1 for the last"
            )
        if not -count <= column < count:
            raise UserError(
                f"{where} has {count} columns, and data.columns.{role}={column} is none of them; "
                "they are numbered from 0, and -1 is the last"
            )
