"""LabelSet: the names of the classes and their ids, from training rows or as given."""

import dataclasses
import functools
import logging
import math
from collections.abc import Iterable, Sequence
from typing import Any

from fxformer.data.labelled.rows import Row, closest, listed
from fxformer.errors import UserError

_LOG = logging.getLogger(__name__)
MOST = 10_000  # classes
MOST_NUMBERS = 20  # classes that are fractions
_LONGEST = 1000  # characters of a number; Python refuses to read integers of more than 4300


@dataclasses.dataclass(frozen=True)
class LabelSet:
    """Names of classes; the id of a class is its place among them.

    names: distinct and not empty
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.names:
            raise UserError("no labels: there must be a class at least")
        if len(set(self.names)) < len(self.names):
            twice = next(one for one in self.names if self.names.count(one) > 1)
            raise UserError(f"the label {twice!r} is given twice")

    @classmethod
    def of(
        cls, rows: Iterable[Row], given: Sequence[Any] | None = None, role: str = "label"
    ) -> "LabelSet":
        """The labels of training rows, sorted (as numbers where all are whole numbers), or those
        given, in their order.

        A given label that no row has is an empty class: a warning. Raises UserError for a row
        without a label or with one that was not given, for more than 10,000 classes, and for
        fractions, of which a regression is made.

        role: "label", "labels" for one label per word, or "entities" for their types
        """
        counts, places = count(rows, role)
        if given is None:
            names = sorted(counts, key=_order(counts))
            _check_classes(names, sum(counts.values()), role)
            return cls(tuple(names))
        made = cls(tuple(label_text(one) for one in given))
        for name, where in places.items():
            made.id_of(name, where)
        if empty := [name for name in made.names if name not in counts]:
            _LOG.warning(
                "%d of %d classes have no training row: %s", len(empty), len(made), listed(empty)
            )
        return made

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, label: Any) -> bool:
        return label_text(label) in self._ids

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.names)}

    def id_of(self, label: Any, where: str) -> int:
        """Id of a class. Raises UserError for a label that is none of them, with its place and the
        name most like it.

        label: its name, or the number or bool that is written so; where: for the message
        """
        name = label_text(label)
        found = self._ids.get(name)
        if found is None:
            near = closest(name, list(self.names))
            hint = f"; did you mean {near!r}?" if near else f": {listed(list(self.names))}"
            shown = name if len(name) <= 60 else name[:59] + "…"
            raise UserError(
                f"{where}: the label {shown!r} is not one of the {len(self)} classes{hint}"
            )
        return found


def label_text(label: Any) -> str:
    """The name of a label: strings as they are, numbers and bools as JSON writes them."""
    if isinstance(label, bool):
        return "true" if label else "false"
    return label if isinstance(label, str) else str(label)


def labels_of(row: Row, role: str = "label") -> list[str]:
    """Names of all labels of a row: one, those of a list, one for each word, or for each entity.

    Raises UserError where the row has none (an empty list is sound: no label applies).
    """
    found = row.get(role)
    if found is None:
        raise UserError(f"{row.where} has no {role}; leave the row out, or give it one")
    some = found if isinstance(found, list) else [found]
    return [label_text(one["label"] if isinstance(one, dict) else one) for one in some]


def number_of(row: Row, role: str = "label") -> float:
    """The label of a row as a finite number, for regression. Raises UserError where it is none."""
    found = row.value(role)
    try:
        number = float(found)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        shown = str(found)[:40]
        raise UserError(
            f"{row.where}: the label {shown!r} is not a number, and regression predicts numbers; "
            "names of classes need task=classification"
        )
    return number


def count(rows: Iterable[Row], role: str = "label") -> tuple[dict[str, int], dict[str, str]]:
    """(rows or words by label, place of the first one by label). UserError for a row without."""
    counts: dict[str, int] = {}
    places: dict[str, str] = {}
    for row in rows:
        for name in labels_of(row, role):
            counts[name] = counts.get(name, 0) + 1
            places.setdefault(name, row.where)
    return counts, places


def _order(names: Iterable[str]):
    """A key to sort by: the number where all names are whole numbers, else the name."""
    return int if all(_is_whole(one) for one in names) else str


def _is_whole(name: str) -> bool:
    return len(name) <= _LONGEST and name.removeprefix("-").isdecimal() and name.isascii()


def _check_classes(names: list[str], total: int, role: str) -> None:
    if len(names) > MOST:
        raise UserError(
            f"{len(names):,} different labels in {total:,}, more than {MOST:,} classes: is "
            f"data.columns.{role} a column of texts? Numbers are predicted by task=regression"
        )
    fractions = [one for one in names if "." in one and _is_number(one)]
    if fractions and all(map(_is_number, names)):
        said = (
            f"the {len(names)} labels are numbers such as {fractions[0]}; to predict numbers write "
            "task=regression"
        )
        if len(names) > MOST_NUMBERS:
            raise UserError(f"{said}; classes that are named so are given by task.labels=[…]")
        _LOG.warning("%s", said)


def _is_number(name: str) -> bool:
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False
