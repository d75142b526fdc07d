"""Columns of a table of results: numbers share a column only if their signatures are equal."""

import dataclasses
from collections.abc import Iterable, Mapping

from fxformer.metrics.base import Result


@dataclasses.dataclass(frozen=True)
class Column:
    """Numbers of one name and one signature.

    title: the name, followed by the settings in which it differs from other columns of the name
    values: {row: number}, only for rows that have one
    """

    name: str
    signature: str
    title: str
    values: Mapping[str, float]


def columns(rows: Mapping[str, Result | Iterable[Result]]) -> list[Column]:
    """Columns of a table, in the order of first occurrence; columns of one name side by side.

    rows: {row, such as a run: its result, or several}
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row, results in rows.items():
        for result in [results] if isinstance(results, Result) else results:
            for name, value in result.values.items():
                cells = found.setdefault(name, {}).setdefault(result.signatures[name], {})
                if row in cells and cells[row] != value:
                    raise ValueError(f"{row} has two numbers of {name} ({result.signatures[name]})")
                cells[row] = value
    return [
        Column(name, signature, title, found[name][signature])
        for name, groups in found.items()
        for signature, title in titles(name, list(groups)).items()
    ]


def titles(name: str, signatures: list[str]) -> dict[str, str]:
    """{signature: title of its column}: `bleu`, or `bleu [tok:13a]` beside `bleu [tok:intl]`.

    A number without a signature ("") is of no metric: its title is the bare name, and those of
    metrics of that name have all their settings.
    """
    parts = {signature: signature.split("|") for signature in signatures}
    common = set.intersection(*(set(fields) for fields in parts.values())) | {name, ""}
    own = {one: [field for field in fields if field not in common] for one, fields in parts.items()}
    return {one: f"{name} [{', '.join(rest)}]" if rest else name for one, rest in own.items()}
