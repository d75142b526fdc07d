"""Held-out text that training text also has is found, whatever its form."""

import numpy as np
import pytest

from fxformer.data.overlap import WINDOW, Overlap, TextPieces, key, pieces, warning

WORDS = "amber brook cedar delta ember fjord grove heath islet jetty knoll ledge marsh".split()


def text(seed, words=60):
    return " ".join(np.random.default_rng(seed).choice(WORDS, words))


def found(train, valid):
    compared = Overlap(TextPieces.join(pieces(valid)))
    compared.watch(train)
    return compared.facts()


def test_copies_are_found_through_case_spaces_and_forms():
    assert key("Ａ  b\n") == key("a B") != key("ab")
    train = [text(1), text(2), "Short  one"]
    facts = found(train, [text(1).upper() + " ", "short one", text(3)])
    assert facts["documents"] == pytest.approx(2 / 3) and facts["almost"] == 0


def test_almost_copies_are_found():
    long = text(5, 400)
    edited = long.replace("ember", "umber", 3) + " and some more words at the end of it"
    facts = found([text(4, 400), long], [edited, text(6, 400)])
    assert facts["documents"] == 0 and facts["almost"] == 0.5
    assert 0.25 < facts["text"] < 0.5


def test_shuffled_lines_are_found():
    lines = [f"{text(n, 6)}" for n in range(40)]
    assert all(24 <= len(line) < WINDOW for line in lines)
    facts = found(["\n".join(lines)], ["\n".join(f"  {line}" for line in reversed(lines))])
    assert facts["almost"] == 1 and facts["lines"] == 1 and facts["text"] < 0.1


def test_different_texts_do_not_overlap():
    facts = found([text(n) for n in range(100)], [text(n) for n in range(100, 120)])
    assert facts == {"documents": 0, "almost": 0, "lines": 0, "text": 0}
    assert not warning(facts) and found([], ["a"])["text"] == found(["a"], [])["documents"] == 0


def test_windows_are_found_across_blocks(monkeypatch):
    monkeypatch.setattr("fxformer.data.overlap._BLOCK", 300)
    from fxformer.data import overlap

    overlap._powers.cache_clear()
    one, other = text(7, 500), text(8, 77)
    facts = found([other, one + " " + other], [text(9), other + " " + one])
    overlap._powers.cache_clear()
    assert facts["text"] > 0.8 and facts["almost"] == 0.5
