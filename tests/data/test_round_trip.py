"""What a lossy tokenizer leaves out is found, counted and charged."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxformer.data.round_trip import (
    Measuring,
    RoundTrip,
    bits_per_byte,
    difference,
    mark,
    measure,
    percent,
    stride,
)
from fxformer.data.special_tokens import Specials
from fxformer.data.tokenizer_basic import Byte, CharTokenizer
from fxformer.data.tokenizer_fast import Word

TEXT = "The Cat sat on the mat.\n    It was\tHappy there, and slept until noon.\n\n" * 20
NAMES = Specials()


@pytest.mark.parametrize(
    ("back", "missing", "added"),
    [
        (TEXT, 0, 0),
        (TEXT.lower(), 80, 80),
        (TEXT.replace("Happy", ""), 100, 0),
        (TEXT + "xyz", 0, 3),
        (TEXT[:-7], 7, 0),
        ("", len(TEXT), 0),
        (TEXT.replace("\n\n", ""), 40, 0),
    ],
)
def test_differences_are_the_shortest_where_they_are_few(back, missing, added):
    found = difference(TEXT.encode(), back.encode())
    assert (found[0].sum(), found[1].sum()) == (missing, added)


@settings(max_examples=60)
@given(st.text("ab c", max_size=60), st.text("ab c", max_size=60))
def test_the_kept_bytes_are_a_subsequence_of_both(text, back):
    missing, added = difference(text.encode(), back.encode())
    kept = np.frombuffer(text.encode(), np.uint8)[~missing].tobytes()
    rest = iter(back.encode())
    assert all(byte in rest for byte in kept)
    assert len(kept) + added.sum() == len(back)


def test_a_window_without_any_anchor_is_passed():
    text = b"x" * 3000 + b"the end of it"
    missing, added = difference(text, b"the end of it")
    assert missing.sum() == 3000 and added.sum() == 0


def test_the_edit_script_costs_what_the_formula_says():
    trip = RoundTrip(documents=1, exact=0, kept=90, missing=6, added=4)
    flags = 90 * math.log2(100 / 90) + 6 * math.log2(100 / 6) + 4 * math.log2(100 / 4)
    assert trip.bits == pytest.approx(flags + 8 * 6)
    assert RoundTrip(1, 1, kept=90).bits == 0 and RoundTrip().bits == 0
    assert trip.lossy == pytest.approx(10 / 96)
    assert RoundTrip(1, 0, kept=0, missing=10).bits == 80


def test_unknown_words_and_letters_are_missing():
    word = Word(specials=NAMES, vocab_size=12).make(["the cat sat on the mat"])
    text = "the zebra sat on the XYLOPHONE"
    trip = measure(word, text, word.encode(text))
    assert trip.missing >= len("zebra XYLOPHONE") - 1 and trip.lossy > 0.4
    char = CharTokenizer("abc", NAMES.ids(), "{text}")
    assert measure(char, "abxé", char.encode("abxé")) == RoundTrip(1, 0, 2, 3, 0)
    byte = Byte(specials=NAMES).make([])
    assert measure(byte, "abxé", byte.encode("abxé")) == RoundTrip(1, 1, 5, 0, 0)


def test_a_useless_vocabulary_is_not_the_best():
    """12 tokens, nearly all unknown: all but nothing to predict, 8 bits for each byte."""
    word = Word(specials=NAMES, vocab_size=12).make([TEXT])
    encode = Measuring(word)
    encode([TEXT], word.encode_batch([TEXT]))
    valid = {"bytes": len(TEXT), "round_trip": dataclasses.asdict(encode.trip)}
    assert bits_per_byte(0.0, valid) > 4
    assert mark(valid).startswith("lossy: ") and mark({"bytes": 3}) == ""
    assert bits_per_byte(math.log(2) * 6, {"bytes": 3}) == pytest.approx(2)
    assert percent(0.0001) == "< 0.1 %" and percent(0.1234) == "12.3 %"


def test_of_a_large_split_every_nth_document_is_measured(monkeypatch):
    monkeypatch.setattr("fxformer.data.round_trip._MEASURED", 100)
    byte = Byte(specials=NAMES).make([])
    encode = Measuring(byte, stride(350))  # of every fourth
    for texts in (["a" * 50], ["b" * 50] * 2, ["c" * 50] * 4, ["d" * 50]):
        encode(texts, byte.encode_batch(texts))
    assert encode.trip == RoundTrip(2, 2, 100, 0, 0)
