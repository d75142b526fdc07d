"""Row: one labelled example as values by role, and BadRow: what makes one unusable."""

import dataclasses
import difflib
from collections.abc import Iterable
from typing import Any

from fxformer.errors import UserError


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One example of labelled data.

    values: value by role ("text", "label", ...; see roles.py); columns that no role claims are
        kept under their own names
    where: "FILE, line N", for messages
    index: its number in reading order, from 0, among the rows read together with it
    """

    values: dict[str, Any]
    where: str
    index: int

    def get(self, role: str) -> Any:
        """The value of a role; None where the row has none."""
        return self.values.get(role)

    def value(self, role: str) -> Any:
        """The value of a role. Raises UserError where it is missing or null."""
        found = self.values.get(role)
        if found is None and role in self.values:
            raise UserError(f"{self.where}: {role} is null")
        if found is None:
            raise UserError(missing(role, list(self.values), self.where))
        return found


class BadRow(UserError):
    """A row that cannot be used: refused, or with data.bad_rows=skip left out and counted.

    reason: a few words that are the same for all rows with this problem, to count by
    """

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


def missing(role: str, names: list[str], where: str) -> str:
    """Message: no column has this role; with the columns that exist and what to write."""
    near = closest(role, names)
    advice = f"did you mean data.columns={{{role}: {near}}}?" if near else (
        f"write data.columns={{{role}: NAME}}"
    )  # fmt: skip
    return f"{where} has no {role!r}; it has: {listed(names)}; {advice}"


def closest(word: str, names: list[str]) -> str | None:
    """The name most like a word; None where none is."""
    return next(iter(difflib.get_close_matches(word, names, 1)), None)


def listed(names: list[str], most: int = 20) -> str:
    """Names for a message: each at most 30 characters, at most `most` of them."""
    short = [one if len(one) <= 30 else one[:29] + "…" for one in map(str, names[:most])]
    more = f", … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(short) + more if short else "nothing"


def texts_of(value: Any) -> Iterable[str]:
    """The strings of a role: one, or those of a list."""
    if isinstance(value, str):
        return [value]
    return value if isinstance(value, list) else []
