"""Tagging schemes of word labels (IO, IOB1, BIO, BIOES, BILOU, BMES): detection and conversion."""

import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from fxformer.data.labelled.rows import Row
from fxformer.errors import UserError
from fxformer.metrics.tagging import UNTYPED, Entity, lenient_entities

# BIO is also called IOB2. types: no prefixes, a type for each word of an entity, and O.
Scheme = Literal["IO", "IOB1", "BIO", "BIOES", "BILOU", "BMES", "types"]
_LABEL = re.compile(r"[BIESLUM](-.+)?")
_AS_BIOES = {"L": "E", "U": "S", "M": "I"}
# prefixes of the first, the inner and the last word of an entity, and of a single one
_PREFIXES: dict[str, str] = {
    "IO": "IIII",
    "BIO": "BIIB",
    "BIOES": "BIES",
    "BILOU": "BILU",
    "BMES": "BMES",
}


def entities(labels: Sequence[str], scheme: Scheme = "BIOES") -> list[Entity]:
    """Entities of a label sequence of any scheme, as conlleval reads it (metrics/tagging.py): an I
    that comes first, or is of another type than the word before it, begins an entity.

    scheme: only "types" matters, whose labels have no prefix
    Raises UserError for a label without a prefix.
    """
    return lenient_entities([_in_bioes(label, scheme) for label in labels], "BIOES")


def _in_bioes(label: str, scheme: Scheme) -> str:
    """A label with a prefix of BIOES: "U-PER" -> "S-PER"."""
    if label == "O":
        return label
    if scheme == "types":
        return f"I-{label}"
    return _AS_BIOES.get(label[0], label[0]) + label[1:] if _LABEL.fullmatch(label) else label


def labels_of(some: Iterable[Entity], length: int, scheme: Scheme) -> list[str]:
    """Labels of so many words. The entities do not overlap; IO joins neighbours of one type."""
    made, before = ["O"] * length, ("", 0)  # type and end of the entity before
    for kind, start, end in sorted(some, key=lambda one: one[1]):
        if scheme == "types":
            made[start:end] = [kind] * (end - start)
            continue
        joined = before == (kind, start)
        first, inner, last, single = _PREFIXES.get(scheme, "BIIB" if joined else "IIII")  # IOB1
        prefixes = [first, *inner * (end - start - 2), last] if end - start > 1 else [single]
        rest = "" if kind == UNTYPED else f"-{kind}"
        made[start:end] = [prefix + rest for prefix in prefixes]
        before = kind, end
    return made


def convert(labels: Sequence[str], found: Scheme, wanted: Scheme) -> list[str]:
    """A label sequence of one scheme in another. From IO and "types", each run of a type becomes
    one entity, because these do not tell neighbours apart."""
    return labels_of(entities(labels, found), len(labels), wanted)


def detect(sequences: Iterable[Sequence[str]]) -> Scheme:
    """The scheme of label sequences: the one that has their prefixes.

    I and B alone are BIO, or IOB1 where some I come first and each B follows an entity of its type;
    labels without prefixes are "types" if O is among them.
    Raises UserError for labels of no scheme.
    """
    labels: set[str] = set()
    first_i = False  # whether an I begins an entity
    needless_b = False  # whether a B is not needed to tell two entities apart
    for sequence in sequences:
        labels.update(sequence)
        before = "O"
        for label in sequence:
            same = before != "O" and before[1:] == label[1:]
            first_i = first_i or (label[:1] == "I" and not same)
            needless_b = needless_b or (label[:1] == "B" and not same)
            before = label
    named = labels - {"O"}
    plain = sorted(one for one in named if not _LABEL.fullmatch(one))
    if named and len(plain) == len(named) and "O" in labels:
        return "types"
    if plain:
        others = "" if len(plain) == len(named) else ", beside labels that have prefixes"
        raise UserError(
            f"the label {plain[0]!r} is no entity label{others}: expected O, and B-, I-, E- or S- "
            "and a type"
        )
    prefixes = {one[0] for one in named}
    if prefixes == {"I"}:
        return "IO"
    for scheme in ("BIO", "BIOES", "BILOU", "BMES"):
        if prefixes <= set(_PREFIXES[scheme]):
            return "IOB1" if scheme == "BIO" and first_i and not needless_b else scheme
    raise UserError(
        f"the prefixes {', '.join(sorted(prefixes))} of labels are of no scheme: IO, BIO (IOB1, "
        "IOB2), BIOES, BILOU and BMES are known"
    )


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What `unify` found and did. changed: rows with another label sequence than before."""

    found: Scheme
    written: Scheme
    changed: int

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)


def unify(rows: Sequence[Row], wanted: Scheme) -> Conversion | None:
    """Bring the labels of rows, in place, into one scheme; None where no row has words with labels.

    Malformed sequences, such as an I that comes first in BIO, are read as conlleval does.
    Raises UserError for labels of no scheme.
    """
    labelled = [
        row for row in rows if row.get("labels") is not None and row.get("words") is not None
    ]
    if not labelled:
        return None
    try:
        found = detect(row.values["labels"] for row in labelled)
    except UserError as problem:
        raise UserError(
            f"{problem}; where labels do not mark entities write data.label_scheme=null"
        ) from None
    changed = 0
    for row in labelled:
        made = convert(row.values["labels"], found, wanted)
        changed += made != row.values["labels"]
        row.values["labels"] = made
    return Conversion(found, wanted, changed)
