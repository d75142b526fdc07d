"""Tagging schemes: entities as conlleval reads them, detection, and conversion both ways."""

import itertools
import random

import pytest

from fxformer.data.labelled.corpus import LabelledData
from fxformer.data.labelled.label_schemes import convert, detect, entities, labels_of
from fxformer.errors import UserError

SCHEMES = ("IOB1", "BIO", "BIOES", "BILOU", "BMES")


def conlleval(labels):
    """Entities by startOfChunk and endOfChunk of the Perl script conlleval, transcribed."""
    found, begun = [], None
    before, kind = "O", ""
    for place, label in enumerate([*labels, "O"]):
        tag, _, own = label.partition("-")
        end = before in "ES" or (before in "BI" and tag in "BSO")
        end = end or (before != "O" and kind != own)
        start = tag in "BS" or (before in "ESO" and tag in "EI") or (tag != "O" and kind != own)
        if end and begun is not None:
            found.append((kind, begun, place))
            begun = None
        if start:
            begun = place
        before, kind = tag, own
    return found


def test_entities_of_hard_sequences():
    for labels, expected in [
        ("I-A I-A O", [("A", 0, 2)]),  # I comes first
        ("B-A B-A I-A", [("A", 0, 1), ("A", 1, 3)]),  # neighbours
        ("B-A I-B I-B", [("A", 0, 1), ("B", 1, 3)]),  # another type inside
        ("O I-A O I-A", [("A", 1, 2), ("A", 3, 4)]),
        ("S-A S-A B-A E-A I-A", [("A", 0, 1), ("A", 1, 2), ("A", 2, 4), ("A", 4, 5)]),
        ("E-A O B-A", [("A", 0, 1), ("A", 2, 3)]),
        ("U-A B-A L-A", [("A", 0, 1), ("A", 1, 3)]),
        ("B-per-son I-per-son", [("per-son", 0, 2)]),
        ("B I O", [("_", 0, 2)]),
        ("O O", []),
        ("", []),
    ]:
        assert entities(labels.split()) == expected


def test_entities_are_those_of_conlleval():
    every = ["O", *(f"{p}-{t}" for p in "BIES" for t in "AB")]
    for length in range(1, 5):
        for labels in itertools.product(every, repeat=length):
            assert entities(labels) == conlleval(labels), labels


def made(rng, kinds="AB", neighbours=True):
    """Entities in a text of random length."""
    some, at, length = [], 0, rng.randrange(12)
    while at < length:
        size = rng.randrange(1, 4)
        if rng.random() < 0.5 and at + size <= length:
            some.append((rng.choice(kinds), at, at + size))
            at += 0 if neighbours else 1
            at += size
        else:
            at += 1
    return some, length


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_scheme_keeps_all_entities(scheme):
    rng = random.Random(0)
    for _ in range(300):
        some, length = made(rng)
        labels = labels_of(some, length, scheme)
        assert len(labels) == length and entities(labels) == some
        for other in SCHEMES:
            assert convert(convert(labels, scheme, other), other, scheme) == labels


@pytest.mark.parametrize("scheme", ["IO", "types"])
def test_schemes_that_join_neighbours_keep_the_others(scheme):
    rng = random.Random(1)
    for _ in range(300):
        some, length = made(rng, neighbours=False)
        assert entities(labels_of(some, length, scheme), scheme) == some
    assert entities(labels_of([("A", 0, 1), ("A", 1, 2)], 2, scheme), scheme) == [("A", 0, 2)]


def test_the_scheme_is_detected():
    rng = random.Random(2)
    for scheme in (*SCHEMES, "IO", "types"):
        sequences = [labels_of(*made(rng, ["PER", "LOC"]), scheme) for _ in range(200)]
        assert detect(sequences) == scheme
    for labels, expected in [
        ("B-A O B-B", "BIO"), ("I-A O", "IO"), ("O O", "BIO"), ("I-A B-A", "IOB1"),
        ("I-A O B-A", "BIO"),  # of malformed sequences the more usual scheme
        ("O person O", "types"), ("B I O", "BIO"), ("B-A E-A S-A", "BIOES"),
    ]:  # fmt: skip
        assert detect([labels.split()]) == expected
    for labels, said in [
        ("NOUN VERB", "'NOUN' is no entity label: expected O, and B-"),
        ("B-A NOUN O", "'NOUN' is no entity label, beside labels that have prefixes"),
        ("B-A L-A E-A", "the prefixes B, E, L of labels are of no scheme"),
    ]:
        with pytest.raises(UserError, match=said):
            detect([labels.split()])


def sentences(*some):
    return "\n\n".join(
        "\n".join(f"w{m}.{n} {label}" for n, label in enumerate(one.split()))
        for m, one in enumerate(some)
    )


def labels(rows):
    return {tuple(row.value("labels")) for some in rows.values() for row in some}


def test_files_of_all_schemes_give_one(tmp_path):
    """IO and IOB1 become BIO, and nothing is changed in silence."""
    path = tmp_path / "a.conll"
    path.write_text(sentences("I-A I-A O", "O I-A B-A"))
    data = LabelledData(files=str(path), valid_share=0.5)
    assert labels(data.open_rows()) == {("B-A", "I-A", "O"), ("O", "B-A", "B-A")}
    assert data.opened.facts["label_scheme"] == {"found": "IOB1", "written": "BIO", "changed": 2}
    data = LabelledData(files=str(path), valid_share=0.5, label_scheme="BIOES")
    assert labels(data.open_rows()) == {("B-A", "E-A", "O"), ("O", "S-A", "S-A")}
    path.write_text(sentences("NOUN VERB", "VERB NOUN"))
    options = {"files": str(path), "valid_share": 0.5, "format": "conll"}
    with pytest.raises(UserError, match="'NOUN' is no entity label.*write data.label_scheme=null"):
        LabelledData(**options).open_rows()
    assert ("NOUN", "VERB") in labels(LabelledData(**options, label_scheme=None).open_rows())
