"""Readers of labelled data: files of each format, as records with the place of each."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from fxformer.data import record_files, text_files
from fxformer.data.labelled import conll, json_files
from fxformer.data.labelled.roles import Columns, check_columns
from fxformer.data.labelled.rows import BadRow
from fxformer.data.record_files import kind
from fxformer.errors import UserError

Format = Literal["auto", "csv", "tsv", "jsonl", "json", "parquet", "conll", "squad", "text"]
_SUFFIXES = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".parquet": "parquet", ".conll": "conll", ".bio": "conll", ".iob": "conll", ".iob2": "conll",
}  # fmt: skip


@dataclasses.dataclass
class SourceRecord:
    """What a reader yields.

    values: an object by column; a list, whose columns are numbers; or the BadRow that it is
    where: "FILE, line N"
    split: the split that the file says it is of; None: the file does not say
    by_role: whether the values are by role already, as the reader of CoNLL files gives them
    """

    values: dict[str, Any] | list[Any] | BadRow
    where: str
    split: str | None = None
    by_role: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How files are read; the knobs of LabelledData (corpus.py) with the same names."""

    format: Format
    columns: Columns
    header: bool
    delimiter: str | None
    quote: str | None
    document_is: Literal["file", "line"]


def read(path: Path, options: ReadOptions, stats: text_files.ReadStats) -> Iterator[SourceRecord]:
    """Records of one file, in its order."""
    form = options.format if options.format != "auto" else format_of(path, stats)
    return _READERS[form](path, options, stats)


def format_of(path: Path, stats: text_files.ReadStats) -> str:
    """The format of a file, by its suffix, and where that does not tell, by its content."""
    suffix = text_files.inner_suffix(path).lower()
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    quiet = dataclasses.replace(stats)  # what is repaired in passing is counted when it is read
    begin = "".join(itertools.islice(text_files.read_text(path, quiet), 1)).split("\n")
    start = next((one.lstrip() for one in begin if one.strip()), "")
    if suffix == ".json" or start.startswith(("{", "[")):
        lines = [one for one in begin if one.strip()][:2]
        return "jsonl" if len(lines) > 1 and all(map(_is_object, lines)) else "json"
    whole = begin[:-1] if len(begin) > 1 else begin  # the last line may go on in the next block
    return "conll" if conll.looks_like(whole) else "text"


def _is_object(line: str) -> bool:
    return line.startswith("{") and line.rstrip().endswith("}")


def _delimited(
    path: Path, options: ReadOptions, stats: text_files.ReadStats, tab: bool
) -> Iterator[SourceRecord]:
    delimiter = options.delimiter or ("\t" if tab else record_files.default_delimiter(path))
    quote = options.quote
    if (
        quote == "auto"
    ):  # tables between tabs rarely quote, and sentences begin with quotation marks
        quote = None if delimiter == "\t" else '"'
    names: list[str] | None = None
    for row, where in record_files.delimited(path, stats, delimiter, quote):
        if names is None:
            names = row if options.header else [str(number) for number in range(len(row))]
            _check_header(names, options, path, row)
            if options.header:
                continue
        if wrong := record_files.ragged(row, names, where):
            yield SourceRecord(BadRow("other number of values", wrong), where)
        else:
            yield SourceRecord(dict(zip(names, row, strict=True)), where)


def _check_header(names: list[str], options: ReadOptions, path: Path, row: list[str]) -> None:
    """UserError where a wanted column is missing, with what may be wrong about the file."""
    try:
        check_columns(options.columns, names, str(path))
    except UserError as problem:
        more = record_files.delimiter_hint(row)
        if options.header and not more:
            more = "; without a header row write data.header=false and columns by number"
        raise UserError(f"{problem}{more}") from None
    if twice := next((one for one in names if names.count(one) > 1), None):
        raise UserError(f"{path}: two columns are named {twice!r}")


def _jsonl(path: Path, options: ReadOptions, stats: text_files.ReadStats) -> Iterator[SourceRecord]:
    for value, where in record_files.json_lines(path, stats):
        yield SourceRecord(_object(value, where, stats), where)


def _json(path: Path, options: ReadOptions, stats: text_files.ReadStats) -> Iterator[SourceRecord]:
    value = json_files.load(path, stats)
    if json_files.is_squad(value):
        yield from _questions(value, path, stats)
        return
    for record, where, split in json_files.records(value, path):
        yield SourceRecord(_object(record, where, stats), where, split)


def _squad(path: Path, options: ReadOptions, stats: text_files.ReadStats) -> Iterator[SourceRecord]:
    value = json_files.load(path, stats)
    if not json_files.is_squad(value):
        raise UserError(f"{path} is no SQuAD file: it has no articles with paragraphs under data")
    yield from _questions(value, path, stats)


def _questions(value: Any, path: Path, stats: text_files.ReadStats) -> Iterator[SourceRecord]:
    for question, where in json_files.questions(value, path):
        yield SourceRecord(_object(question, where, stats), where, by_role=True)


def _object(value: Any, where: str, stats: text_files.ReadStats) -> dict[str, Any] | list[Any]:
    """A record of JSON: an object or a list, without lone surrogates."""
    if not isinstance(value, dict | list):
        raise UserError(f"{where}: expected an object, got {kind(value)}")
    made = _repaired(value, where, stats)
    assert isinstance(made, dict | list)
    return made


def _repaired(value: Any, where: str, stats: text_files.ReadStats) -> Any:
    if isinstance(value, str):
        return record_files.without_surrogates(value, where, stats)
    if isinstance(value, list):
        return [_repaired(one, where, stats) for one in value]
    if isinstance(value, dict):
        return {name: _repaired(one, where, stats) for name, one in value.items()}
    return value


def _parquet(
    path: Path, options: ReadOptions, stats: text_files.ReadStats
) -> Iterator[SourceRecord]:
    def check(names: list[str]) -> None:
        check_columns(options.columns, names, str(path))

    for value, where in record_files.parquet(path, check):
        yield SourceRecord(value, where)


def _conll(path: Path, options: ReadOptions, stats: text_files.ReadStats) -> Iterator[SourceRecord]:
    columns = options.columns or conll.DEFAULT_COLUMNS
    for values, where in conll.sentences(path, stats, columns):
        yield SourceRecord(values, where, by_role=True)


def _text(path: Path, options: ReadOptions, stats: text_files.ReadStats) -> Iterator[SourceRecord]:
    if options.document_is == "file":
        yield SourceRecord({"text": "".join(text_files.read_text(path, stats))}, str(path))
        return
    for number, line in enumerate(text_files.lines(text_files.read_text(path, stats), stats), 1):
        where = f"{path}, line {number}"
        if stats.cut:
            raise UserError(f"{where}: more than {text_files.LONGEST} characters in one line")
        yield SourceRecord({"text": line}, where)


_READERS: dict[str, Callable[[Path, ReadOptions, text_files.ReadStats], Iterator[SourceRecord]]] = {
    "csv": lambda *given: _delimited(*given, tab=False),
    "tsv": lambda *given: _delimited(*given, tab=True),
    "jsonl": _jsonl,
    "json": _json,
    "squad": _squad,
    "parquet": _parquet,
    "conll": _conll,
    "text": _text,
}
