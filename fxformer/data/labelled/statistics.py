"""Statistics of labelled data: class counts, lengths, truncation, dropped rows; JSON and table."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fxformer.data.labelled.labels import count
from fxformer.data.labelled.rows import Row

QUANTILES = (0.5, 0.9, 0.99, 1.0)
_SHOWN = 12  # classes in a printed table


@dataclasses.dataclass(frozen=True)
class SplitStatistics:
    """What is known of one split before training.

    rows: how many there are
    classes: rows, or words, by label, most frequent first; {} where the task has no labels
    tokens: lengths before truncation at QUANTILES, int; None: not measured
    truncated: rows longer than the limit; single: rows whose text is one token
    """

    rows: int
    classes: dict[str, int]
    tokens: dict[str, int] | None = None
    truncated: int = 0
    single: int = 0

    @property
    def majority(self) -> float | None:
        """Share of the most frequent label: what a model has that always predicts it."""
        total = sum(self.classes.values())
        return max(self.classes.values()) / total if total else None

    def facts(self) -> dict[str, Any]:
        """For JSON; shares are of 1."""
        found: dict[str, Any] = {"rows": self.rows}
        if self.classes:
            found |= {"classes": self.classes, "majority_share": self.majority}
        if self.tokens is not None:
            share = self.truncated / self.rows if self.rows else 0.0
            found |= {"tokens": self.tokens, "truncated": self.truncated, "truncated_share": share}
            found["single_token"] = self.single
        return found


def of_split(
    rows: Sequence[Row],
    role: str | None = "label",
    lengths: Iterable[int] | None = None,
    limit: int | None = None,
) -> SplitStatistics:
    """Statistics of the rows of a split.

    role: "label", or "labels" for words; None: the task has no labels to count. Rows without a
        label, as test rows may be, are not counted
    lengths: tokens of the text of each row, before truncation and without special tokens
    limit: the most tokens of such a text that the model is given; None: all
    """
    labelled = [] if role is None else [row for row in rows if row.get(role) is not None]
    counts = count(labelled, role)[0] if role is not None else {}
    classes = dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))
    if lengths is None:
        return SplitStatistics(len(rows), classes)
    sizes = np.fromiter(lengths, np.int64)
    cut = 0 if limit is None else int((sizes > limit).sum())
    quantiles = {}
    if len(sizes):
        at = np.quantile(sizes, QUANTILES, method="higher")
        quantiles = {_name(one): int(size) for one, size in zip(QUANTILES, at, strict=True)}
    return SplitStatistics(len(rows), classes, quantiles, cut, int((sizes == 1).sum()))


def _name(quantile: float) -> str:
    return "max" if quantile == 1 else "median" if quantile == 0.5 else f"{quantile:.0%}"


def show(
    splits: Mapping[str, SplitStatistics],
    console: Console,
    dropped: Mapping[str, Mapping[str, int]] | None = None,
) -> None:
    """Print a table with a column for each split: rows, lengths, truncation, dropped rows, and the
    rows of each class, of which the 12 most frequent in train are named.

    dropped: by split, how many rows were left out for each reason
    """
    table = Table(box=None, header_style="dim", padding=(0, 1))
    table.add_column("")
    for name in splits:
        table.add_column(name, justify="right")
    for name, cells in _lines(splits, dropped or {}):
        if any(cells):
            table.add_row(Text(name, overflow="ellipsis", no_wrap=True), *map(Text, cells))
    console.print(table)


def _lines(splits: Mapping[str, SplitStatistics], dropped: Mapping[str, Mapping[str, int]]):
    """(name, a cell for each split) of each line of the table."""
    some = list(splits.values())
    yield "rows", [f"{one.rows:,}" for one in some]
    for reason in sorted({reason for counts in dropped.values() for reason in counts}):
        yield (
            f"left out: {reason}",
            [
                f"{dropped[one][reason]:,}" if dropped.get(one, {}).get(reason) else ""
                for one in splits
            ],
        )
    for name in map(_name, QUANTILES):
        label = f"tokens, {name}"
        yield label, [f"{one.tokens[name]:,}" if one.tokens else "" for one in some]
    yield "truncated", [_part(one.truncated, one.rows) if one.tokens else "" for one in some]
    yield "of one token", [_part(one.single, one.rows) if one.single else "" for one in some]
    yield "majority class", [f"{one.majority:.1%}" if one.majority else "" for one in some]
    yield "classes", [f"{len(one.classes):,}" if one.classes else "" for one in some]
    names = list(dict.fromkeys(name for one in some for name in one.classes))
    for name in names[:_SHOWN]:
        yield f"  {name}", [_part(one.classes.get(name, 0), sum(one.classes.values()))
                            if one.classes else "" for one in some]  # fmt: skip
    if rest := names[_SHOWN:]:
        yield f"  {len(rest)} others", [
            _part(sum(one.classes.get(name, 0) for name in rest), sum(one.classes.values()))
            if one.classes else "" for one in some
        ]  # fmt: skip


def _part(amount: int, total: int) -> str:
    return f"{amount:,} ({amount / total:.1%})" if total else "0"
