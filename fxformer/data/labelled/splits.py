"""Splits of labelled rows by share: stratified, chosen by hash, equal inputs on one side."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from fxformer.data import overlap
from fxformer.data.labelled.labels import label_text
from fxformer.data.labelled.readers import SourceRecord
from fxformer.data.labelled.roles import INPUTS
from fxformer.data.labelled.rows import Row, listed, missing
from fxformer.errors import UserError

SPLIT_NAMES = {
    "train": ("train",),
    "valid": ("valid", "validation", "val", "dev"),
    "test": ("test",),
}


def input_key(row: Row) -> bytes:
    """Hash of what a task reads of a row, equal for inputs that differ in case and white space
    only. A row without any role is compared as a whole, its label aside."""
    parts = [row.values[role] for role in INPUTS if row.values.get(role) is not None]
    if not parts:
        parts = [str(value) for role, value in row.values.items() if role != "label"]
    texts = [" ".join(one) if isinstance(one, list) else one for one in parts]
    return overlap.key("\0".join(texts))


def group_key(group_by: str | None) -> Callable[[Row], bytes]:
    """Function that gives rows of one group, which no split cuts in two, the same key.

    group_by: a role or column, whose equal values make a group; None: `context` where rows have
        one, so that all questions about a text stay together, else the inputs of a row
    """

    def key(row: Row) -> bytes:
        by = "context" if group_by is None and row.get("context") is not None else group_by
        if by is None:
            return input_key(row)
        found = row.get(by)
        if found is None:
            raise UserError(f"data.group_by={by}: {missing(by, list(row.values), row.where)}")
        return overlap.key(str(found))

    return key


def by_name(
    given: dict[str, list[SourceRecord]], named: dict[str, str | None]
) -> dict[str, list[SourceRecord]]:
    """Records by split: of each file list, those of its split where records say what split they
    are of. Records of other splits, which nothing asks for, are left out.

    given: records by the split of their file list
    named: what records call each split; None: by a usual name, if there is one
    Raises UserError where a file list has no record of its split, or of a split that is named.
    """
    found: dict[str, list[SourceRecord]] = {}
    for split, records in given.items():
        own: dict[str | None, list[SourceRecord]] = {}
        for record in records:
            own.setdefault(record.split, []).append(record)
        known = [name for name in own if name is not None]
        if not known:
            found[split] = records
            continue
        # The training files may hold the other splits too.
        for one in [split, *(other for other in SPLIT_NAMES if split == "train" != other)]:
            usual = next((name for name in SPLIT_NAMES[one] if name in known), None)
            name = named[one] or usual
            if name not in known and (one == split or named[one] is not None):
                raise UserError(
                    f"no row is of the split {name or one!r} (data.{one}_split); there are: "
                    f"{listed(known)}"
                )
            if name in known and (one == split or one not in given):
                found[one] = own[name]
    return found


@dataclasses.dataclass
class _Group:
    """Rows that stay together; key orders groups by chance."""

    key: bytes
    rows: list[Row]


def by_share(
    rows: Sequence[Row], shares: dict[str, float], key: Callable[[Row], bytes]
) -> dict[str, list[Row]]:
    """Rows by split, each in reading order: those in `shares` and "train", which has the rest.

    Each label has its share of rows in each split, as nearly as groups allow, and one group in
    train at least. Groups are taken in the order of the hash of their key, so the choice depends
    on neither the order of rows nor of files. Rows of several labels, or of none, and rows most of
    whose labels differ (numbers), are one stratum.

    shares: share of the rows by split, each above 0; key: see `group_key`
    Raises UserError where a split gets no row.
    """
    strata = _strata(rows, key)
    place: dict[int, str] = {}  # of a row in `rows` -> split
    carry, biggest = dict.fromkeys(shares, 0.0), 1
    for label in sorted(strata):
        groups = sorted(strata[label], key=lambda one: one.key)
        total, first = sum(len(one.rows) for one in groups), 0
        biggest = max(biggest, *(len(one.rows) for one in groups))
        for split, share in shares.items():
            goal, taken = total * share + carry[split], 0
            while first < len(groups) - 1 and taken + len(groups[first].rows) / 2 <= goal:
                place |= {id(row): split for row in groups[first].rows}
                taken += len(groups[first].rows)
                first += 1
            carry[split] = max(-biggest, min(biggest, goal - taken))  # made up for by other labels
    found: dict[str, list[Row]] = {split: [] for split in ("train", *shares)}
    for row in rows:
        found[place.get(id(row), "train")].append(row)
    for split, share in shares.items():
        if not found[split]:
            raise UserError(
                f"data.{split}_share={share:g} of {len(rows)} rows holds out none; write a larger "
                f"share, or data.{split}_files="
            )
    return found


def subset(rows: Sequence[Row], number: int) -> list[Row]:
    """So many rows, in reading order, with each label in its proportion as nearly as possible.

    Chosen by the hash of their inputs, and a smaller subset lies within every larger one.
    """
    ranked = []
    for label, groups in _strata(rows, input_key).items():
        some = [row for one in sorted(groups, key=lambda one: one.key) for row in one.rows]
        ranked += [((place + 0.5) / len(some), label, row) for place, row in enumerate(some)]
    ranked.sort(key=lambda one: one[:2])
    chosen = {id(row) for _, _, row in ranked[:number]}
    return [row for row in rows if id(row) in chosen]


def _strata(rows: Sequence[Row], key: Callable[[Row], bytes]) -> dict[str, list[_Group]]:
    """Groups by the label that most of their rows have."""
    groups: dict[bytes, _Group] = {}
    for row in rows:
        own = key(row)
        groups.setdefault(own, _Group(own, [])).rows.append(row)
    labels = [row.get("label") for row in rows]
    whole = any(one is None or isinstance(one, list) for one in labels)
    if whole or 2 * len(set(map(label_text, labels))) > len(rows):
        return {"": list(groups.values())}
    strata: dict[str, list[_Group]] = {}
    for group in groups.values():
        counts = Counter(label_text(row.get("label")) for row in group.rows)
        strata.setdefault(min(counts, key=lambda one: (-counts[one], one)), []).append(group)
    return strata


def shared_inputs(train: Iterable[Row], other: Iterable[Row]) -> int:
    """How many rows of another split have the inputs of a training row."""
    known = {input_key(row) for row in train}
    return sum(input_key(row) in known for row in other)
