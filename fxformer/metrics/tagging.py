"""Tagging schemes of token labels (IO, BIO, BIOES): detection, validation, entities."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from fxformer.errors import UserError

Scheme = Literal["IO", "BIO", "BIOES"]
Entity = tuple[str, int, int]  # type, first token, one after the last
PREFIXES: dict[Scheme, str] = {"IO": "I", "BIO": "BI", "BIOES": "BIES"}
UNTYPED = "_"  # type of an entity whose labels are prefixes alone


def split_label(label: str) -> tuple[str, str]:
    """Prefix and type of a label: "B-PER" -> ("B", "PER"), "O" -> ("O", ""), "B" -> ("B", "_").

    Raises UserError for a label that no scheme writes.
    """
    if label == "O":
        return "O", ""
    prefix, dash, kind = label.partition("-")
    if prefix not in set("BIES") or (dash and not kind):
        raise UserError(
            f"{label!r} is no entity label: expected O, or B-, I-, E- or S- and a type; for labels "
            "that are not entities use the metric accuracy or f1_macro"
        )
    return prefix, kind or UNTYPED


def detect_scheme(labels: Iterable[str]) -> Scheme:
    """Scheme of a set of labels: the smallest one that has all their prefixes.

    Raises UserError for a label of no scheme, and where there is no entity label.
    """
    prefixes = {split_label(label)[0] for label in labels} - {"O"}
    if not prefixes:
        raise UserError("there is no entity label: all labels are O")
    return next(scheme for scheme, allowed in PREFIXES.items() if prefixes <= set(allowed))


def entity_types(labels: Iterable[str]) -> tuple[str, ...]:
    """Entity types of a set of labels, sorted."""
    return tuple(sorted({kind for _, kind in map(split_label, labels) if kind}))


def check_label(label: str, scheme: Scheme) -> tuple[str, str]:
    """Prefix and type of a label of a scheme. Raises UserError for a label of another one."""
    prefix, kind = split_label(label)
    if prefix != "O" and prefix not in PREFIXES[scheme]:
        allowed = ", ".join([*(f"{one}-" for one in PREFIXES[scheme]), "O"])
        raise UserError(
            f"{label!r} is no label of the scheme {scheme}, which has {allowed}; set the "
            f"scheme of the metric to {detect_scheme([label])}"
        )
    return prefix, kind


def strict_entities(labels: Sequence[str], scheme: Scheme) -> list[Entity]:
    """Entities that are written as the scheme demands, as seqeval's mode="strict".

    An I that continues no entity of its type is none (BIO), and a B whose entity ends without an E
    is none (BIOES). IO: a run of one type.
    """
    parts = [check_label(label, scheme) for label in labels]
    found, start = [], 0
    while start < len(parts):
        prefix, kind = parts[start]
        end = start + 1
        if prefix in ("O", "E") or (prefix == "I" and scheme != "IO"):
            start = end
            continue
        closed = scheme != "BIOES" or prefix == "S"
        while prefix != "S" and end < len(parts) and parts[end] in (("I", kind), ("E", kind)):
            end += 1
            if parts[end - 1][0] == "E":
                closed = True
                break
        if closed:
            found.append((kind, start, end))
        start = end
    return found


def lenient_entities(labels: Sequence[str], scheme: Scheme) -> list[Entity]:
    """Entities as the conlleval script of CoNLL 2000 reads them, and seqeval by default: an I or E
    begins an entity where none of its type is open."""
    found, begun = [], 0
    before = ("O", "")
    for place, now in enumerate([*(check_label(one, scheme) for one in labels), ("O", "")]):
        if _ends(before, now):
            found.append((before[1], begun, place))
        if _begins(before, now):
            begun = place
        before = now
    return found


def _ends(before: tuple[str, str], now: tuple[str, str]) -> bool:
    """Whether an entity ends between two labels."""
    if before[0] == "O":
        return False
    return before[0] in "ES" or now[0] in "BSO" or before[1] != now[1]


def _begins(before: tuple[str, str], now: tuple[str, str]) -> bool:
    """Whether an entity begins between two labels."""
    if now[0] == "O":
        return False
    return now[0] in "BS" or before[0] in "ESO" or before[1] != now[1]


def invalid_transitions(labels: Sequence[str], scheme: Scheme) -> Iterator[int]:
    """Positions whose label cannot follow the one before it: an I that continues nothing."""
    before = ("O", "")
    for place, now in enumerate(check_label(label, scheme) for label in labels):
        opened = before[0] in ("B", "I") and before[1] == now[1]
        if scheme != "IO" and now[0] in ("I", "E") and not opened:
            yield place
        before = now
