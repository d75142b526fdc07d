"""Roles of columns: which column holds the text, the label, the words, ... and what each must be.

| task | roles |
|---|---|
| classification, multi_label, regression | text, pair (optional), label |
| token_classification | words + labels, or text + entities |
| question_answering | id, question, context, answers (empty: impossible) |
| multiple_choice | text, pair (optional), choices, label |
| seq2seq | source, target (a string, or a list of references) |
"""

from collections.abc import Callable, Mapping
from typing import Any

from fxformer.data.labelled import spans
from fxformer.data.labelled.rows import BadRow, closest, listed
from fxformer.data.record_files import field_value, kind
from fxformer.errors import UserError

TEXT = ("text", "pair", "question", "context", "source")
INPUTS = (*TEXT, "words", "choices")  # what a task reads to predict the rest

Column = str | int | list[str | int]
Columns = Mapping[str, Column]


def check_columns(columns: Columns, names: list[str], where: str) -> None:
    """Raise UserError where a table with these column names lacks one that `columns` names."""
    for role, column in columns.items():
        for one in column if isinstance(column, list) else [column]:
            if isinstance(one, int):
                if not -len(names) <= one < len(names):
                    raise UserError(
                        f"{where} has {len(names)} columns, and data.columns.{role}={one} is none "
                        f"of them; they are numbered from 0"
                    )
            elif one not in names and one.split(".")[0] not in names:
                raise UserError(_no_column(role, one, names, where))


def _no_column(role: str, column: str, names: list[str], where: str) -> str:
    """Message: the column that data.columns gives a role does not exist."""
    near = closest(column, names)
    hint = f"; did you mean {near!r}?" if near else ""
    return f"{where} has no column {column!r} (data.columns.{role}); it has: {listed(names)}{hint}"


def by_role(record: dict[str, Any] | list[Any], columns: Columns, where: str) -> dict[str, Any]:
    """Values of a record by role; columns that no role claims keep their own names.

    record: a JSON object or table row, or a list, whose columns are named by numbers: "0", "1", ...
    """
    if isinstance(record, list):
        record = {str(number): value for number, value in enumerate(record)}
    names = list(record)
    check_columns(columns, names, where)
    found, claimed = {}, set()
    for role, column in columns.items():
        knob = f"data.columns.{role}"
        parts = [
            names[one] if isinstance(one, int) else one
            for one in (column if isinstance(column, list) else [column])
        ]
        values = [field_value(record, part, where, knob) for part in parts]
        found[role] = values if isinstance(column, list) else values[0]
        claimed.update(parts)
    rest = {name: value for name, value in record.items() if name not in claimed}
    return rest | found


def normalised(values: dict[str, Any], where: str, separator: str | None = None) -> dict[str, Any]:
    """Values by role in the type that each role has. Raises BadRow for what has no such form.

    separator: of several labels in one string, of which a blank one has none; None: a string is one
        label
    """
    made = dict(values)
    if separator is not None and isinstance(label := made.get("label"), str):
        made["label"] = [part for part in map(str.strip, label.split(separator)) if part]
    for role, turn in _TURN.items():
        if role not in made:
            continue
        if made[role] is not None:
            made[role] = turn(made[role], role, where)
        elif role in INPUTS and role != "pair":  # a text alone is sound; rows may lack a label
            raise BadRow(f"blank {role}", f"{where}: {role} is null")
    if made.get("labels") is not None and made.get("words") is not None:
        _same_length(made["words"], made["labels"], where)
    if made.get("context") is not None and "answers" in made:
        made["answers"] = spans.answers(made["answers"], made["context"], where)
    if made.get("text") is not None and "entities" in made:
        made["entities"] = spans.entities(made["entities"], made["text"], where)
    return made


def _text(value: Any, role: str, where: str) -> str:
    """A string, or sentences that are joined by spaces."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = " ".join(value)
    if not isinstance(value, str):
        raise BadRow(f"{role} is not text", f"{where}: {role} is not a string but {kind(value)}")
    if not value.strip():
        raise BadRow(f"blank {role}", f"{where}: {role} is blank")
    return value


def _reference(value: Any, role: str, where: str) -> str | list[str]:
    """A string, or a list of references, each a string."""
    if isinstance(value, list):
        kept = [_text(one, role, where) for one in value]
        if not kept:
            raise BadRow(f"blank {role}", f"{where}: {role} is an empty list")
        return kept
    return _text(value, role, where)


def _words(value: Any, role: str, where: str) -> list[str]:
    """A list of strings, given as such or as one string with white space between them."""
    if isinstance(value, str):
        value = value.split()
    if not isinstance(value, list) or any(isinstance(one, list | dict) for one in value):
        raise BadRow(
            f"{role} is not a list of words",
            f"{where}: {role} is {kind(value)}; expected a list, or words between spaces",
        )
    if not value:
        raise BadRow(f"no {role}", f"{where}: {role} is empty")
    return ["" if one is None else str(one) for one in value]


def _choices(value: Any, role: str, where: str) -> list[str]:
    if not isinstance(value, list) or len(value) < 2:
        raise BadRow(
            "fewer than two choices",
            f"{where}: choices is {kind(value)}; expected a list of two or more, or "
            "data.columns.choices=[NAME, NAME]",
        )
    return [_text(one, role, where) for one in value]


def _label(value: Any, role: str, where: str) -> Any:
    """A label as it was given, strings without white space around them."""
    if isinstance(value, list):
        return [_label(one, role, where) for one in value]
    if value is None:
        raise BadRow(f"no {role}", f"{where}: a {role} in its list is null")
    if isinstance(value, dict):
        raise BadRow("label is an object", f"{where}: label is an object, not a name or a number")
    value = value.strip() if isinstance(value, str) else value
    if value == "":
        raise BadRow("no label", f"{where}: label is blank")
    return value


_TURN: dict[str, Callable[[Any, str, str], Any]] = {
    **dict.fromkeys(TEXT, _text),
    "words": _words,
    "labels": _words,
    "choices": _choices,
    "target": _reference,
    "label": _label,
}


def _same_length(words: list[str], labels: list[str], where: str) -> None:
    if len(words) != len(labels):
        raise BadRow(
            "words and labels differ in number",
            f"{where}: {len(words)} words and {len(labels)} labels",
        )
