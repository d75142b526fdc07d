"""Character spans: answers in a context and entities in a text, checked against the text."""

import itertools
from typing import Any, TypeGuard

from fxformer.data.labelled.rows import BadRow
from fxformer.data.record_files import kind


def answers(value: Any, context: str, where: str) -> list[dict[str, Any]]:
    """Answers as [{"text", "start"}], in the order given; [] for a question without an answer.

    value: null, a list of {"text", "start" or "answer_start"}, or an object of two lists, as
        datasets of the hub have it; start counts characters (code points) of the context, from 0
    Raises BadRow for an answer whose text does not stand at its start.
    """
    found = []
    for one in _objects(value, where):
        text, start = one.get("text"), one.get("start", one.get("answer_start"))
        if not isinstance(text, str) or not _is_int(start):
            raise BadRow(
                "answer without text or start",
                f"{where}: an answer needs a text and a start, a number of characters",
            )
        if not text.strip():
            raise BadRow("blank answer", f"{where}: an answer is blank; an impossible question has "
                         "no answers")  # fmt: skip
        if start < 0 or context[start : start + len(text)] != text:
            raise BadRow("answer not in its context", _elsewhere(text, start, context, where))
        found.append({"text": text, "start": start})
    return found


def _elsewhere(text: str, start: int, context: str, where: str) -> str:
    """Message: the answer does not stand at its start, and where it does."""
    count = context.count(text)
    shown = repr(text if len(text) <= 40 else text[:39] + "…")
    if not count:
        return f"{where}: the answer {shown} is not in its context"
    at = context.index(text)
    more = f", and {count - 1} more times" if count > 1 else ""
    return (
        f"{where}: the answer {shown} is not at character {start} of its context; it stands at "
        f"{at}{more} (counted in code points, not bytes)"
    )


def entities(value: Any, text: str, where: str) -> list[dict[str, Any]]:
    """Entities as [{"start", "end", "label"}], by start; end is exclusive.

    value: null or a list of such objects; label may also be called type, and lists
        [start, end, label] are taken too
    Raises BadRow for one that is empty, does not lie in its text, or overlaps another.
    """
    found = []
    some: list[Any] = value if isinstance(value, list) else [] if value is None else [value]
    for one in some:
        if isinstance(one, list | tuple) and len(one) == 3:
            one = {"start": one[0], "end": one[1], "label": one[2]}
        if not isinstance(one, dict):
            raise BadRow("entity is not an object", f"{where}: an entity is {kind(one)}; expected "
                         "{start, end, label}")  # fmt: skip
        start, end = one.get("start"), one.get("end")
        label: Any = one.get("label", one.get("type"))
        if not _is_int(start) or not _is_int(end) or not isinstance(label, str) or not label:
            raise BadRow(
                "entity without start, end or label",
                f"{where}: an entity needs start, end and label; it has {', '.join(one)}",
            )
        if not 0 <= start < end <= len(text):
            raise BadRow(
                "entity outside its text",
                f"{where}: an entity is characters {start} to {end} of a text of {len(text)}",
            )
        found.append({"start": start, "end": end, "label": label})
    found.sort(key=lambda one: (one["start"], one["end"], one["label"]))
    for one, after in itertools.pairwise(found):
        if after["start"] < one["end"]:
            raise BadRow(
                "overlapping entities",
                f"{where}: two entities share characters {after['start']} to "
                f"{min(one['end'], after['end'])}, and a word has one label",
            )
    return found


def _objects(value: Any, where: str) -> list[dict[str, Any]]:
    """Answers as a list of objects, also from an object of lists."""
    if value is None:
        return []
    if isinstance(value, dict) and all(isinstance(one, list) for one in value.values()):
        if len({len(one) for one in value.values()}) > 1:
            raise BadRow("answers of other lengths", f"{where}: the lists in answers differ in "
                         "length")  # fmt: skip
        return [dict(zip(value, some, strict=True)) for some in zip(*value.values(), strict=True)]
    value = [value] if isinstance(value, dict) else value
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise BadRow(
            "answers are no list of objects",
            f"{where}: answers is {kind(value)}; expected a list of {{text, start}}",
        )
    return value


def _is_int(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
