"""Labels of a data set matched with the class names of a model: by name, by number, by order."""

import dataclasses
import logging
import re
from collections.abc import Sequence
from typing import Any

from fxformer.data.labelled.labels import LabelSet, count, label_text
from fxformer.data.labelled.rows import Row, listed

_LOG = logging.getLogger(__name__)
UNNAMED = re.compile(r"LABEL_\d+")


@dataclasses.dataclass(frozen=True)
class LabelMatch:
    """Class names of a model for the labels of a data set.

    names: {label: name of the class}; labels that are missing stay as they are
    remark: how they were matched, where not by equal names
    """

    names: dict[str, str]
    remark: str | None = None

    def applied(self, rows: Sequence[Row], role: str) -> list[Row]:
        """The rows with class names in this role."""
        if not self.names:
            return list(rows)
        return [
            dataclasses.replace(row, values=row.values | {role: self._named(row.get(role))})
            for row in rows
        ]

    def _named(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [self._named(one) for one in value]
        return value if value is None else self.names.get(label_text(value), value)


def in_order_of(names: Sequence[str], known: Sequence[str] | None) -> tuple[str, ...]:
    """Class names of data in the order of the head whose weights are taken over.

    known: the classes of that head; None: not known. Where there are as many others, its weights
    begin as those of other classes: a warning.
    """
    if known is None or len(known) != len(names):
        return tuple(names)
    if set(known) == set(names):
        return tuple(known)
    _LOG.warning(
        "the head of warm_start.from has the classes %s, and the data %s: its weights are taken "
        "over in this order", listed(list(known)), listed(list(names)),
    )  # fmt: skip
    return tuple(names)


def match_labels(rows: Sequence[Row], names: Sequence[str], role: str = "label") -> LabelMatch:
    """The match of the labels of rows with class names in the order of the model's outputs.

    Equal names match, whatever their order; then names that differ in case only. Whole numbers that
    are no names are numbers of classes. A model without names (LABEL_0 …) gives its classes to the
    labels in sorted order, which may be wrong: the diagnosis of the evaluation tells. Labels that
    fit nowhere stay as they are, and encoding them raises UserError.
    """
    found = list(count(rows, role)[0])
    if set(found) <= set(names) or not found:
        return LabelMatch({})
    lower = {name.casefold(): name for name in names}
    if len(lower) == len(names) and all(one.casefold() in lower for one in found):
        remark = "the labels of the data are those of the model, upper and lower case aside"
        return LabelMatch({one: lower[one.casefold()] for one in found}, remark)
    if all(one.isdecimal() and int(one) < len(names) for one in found):
        remark = "the labels of the data are numbers: n is taken for class n of the model"
        return LabelMatch({one: names[int(one)] for one in found}, remark)
    if all(UNNAMED.fullmatch(name) for name in names) and len(found) <= len(names):
        ordered = LabelSet.of(rows, role=role).names
        shown = ", ".join(f"{one} = {n}" for n, one in enumerate(ordered[:8]))
        remark = (
            f"the model has no names for its classes: labels are taken in sorted order, {shown}"
        )
        return LabelMatch(dict(zip(ordered, names, strict=False)), remark)
    return LabelMatch({})
