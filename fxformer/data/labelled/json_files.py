"""JSON files of records: a list, an object with a list for each split, and SQuAD 1.1 and 2.0."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fxformer import jsonl
from fxformer.data import text_files
from fxformer.data.record_files import kind
from fxformer.errors import UserError


def load(path: Path, stats: text_files.ReadStats) -> Any:
    """The value of a JSON file. Raises UserError where it is none."""
    try:
        return jsonl.value("".join(text_files.read_text(path, stats)))
    except ValueError as problem:
        if isinstance(problem, UserError):
            raise
        raise UserError(f"{path} is not JSON: {problem}") from None


def is_squad(value: Any) -> bool:
    """Whether a JSON value is a SQuAD file: {"data": [{"paragraphs": [...]}, ...]}."""
    data = value.get("data") if isinstance(value, dict) else None
    return isinstance(data, list) and bool(data) and all(
        isinstance(one, dict) and "paragraphs" in one for one in data
    )  # fmt: skip


def records(value: Any, path: Path) -> Iterator[tuple[Any, str, str | None]]:
    """(record, "FILE, SPLIT record N", split or None) of a JSON file.

    value: a list of records, or an object whose values are such lists, by split. The one list of an
        object {"data": [...]} has no split. Other keys of an object are left out
    """
    if isinstance(value, list):
        lists: dict[str | None, list] = {None: value}
    elif isinstance(value, dict) and any(isinstance(one, list) for one in value.values()):
        lists = {name: one for name, one in value.items() if isinstance(one, list)}
        if list(lists) == ["data"]:
            lists = {None: lists["data"]}
    else:
        raise UserError(
            f"{path} holds {kind(value)}; expected a list of records, an object with a list for "
            "each split, or SQuAD's articles"
        )
    for split, some in lists.items():
        for number, record in enumerate(some, 1):
            name = "" if split is None else f"{split} "
            yield record, f"{path}, {name}record {number}", split


def questions(value: Any, path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """({"id", "question", "context", "answers", "title"}, "FILE, question ID") of a SQuAD file.

    answers: [] for a question that SQuAD 2.0 calls impossible, whose plausible answers are left out
    """
    for article in _list(value["data"], "data", str(path)):
        title = article.get("title", "")
        for paragraph in _list(article["paragraphs"], "paragraphs", f"{path}, {title!r}"):
            place = f"{path}, a paragraph of {title!r}"
            for asked in _list(_key(paragraph, "qas", place), "qas", place):
                where = f"{path}, question {asked.get('id', '?')}"
                impossible = asked.get("is_impossible", False)
                yield {
                    "id": asked.get("id"),
                    "question": _key(asked, "question", where),
                    "context": _key(paragraph, "context", place),
                    "answers": [] if impossible else asked.get("answers", []),
                    "title": title,
                }, where  # fmt: skip


def _list(value: Any, name: str, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise UserError(f"{where}: {name} is not a list of objects, as SQuAD has it")
    return value


def _key(found: dict[str, Any], name: str, where: str) -> Any:
    if name not in found:
        raise UserError(f"{where} has no {name!r}; it has: {', '.join(found)}")
    return found[name]
