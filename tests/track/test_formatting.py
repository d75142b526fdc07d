"""Foreign text and numbers on a terminal."""

import pytest

from fxformer.track.formatting import count, duration, loss, safe, si


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("a\x00b\x07c\x9bd", "abcd"),
        ("a\u202eb\u200bc", "abc"),
        ("a\tb\r\nc", "a    b\nc"),
        ("x" * 3000, "x" * 1999 + "…"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
    ],
)
def test_nothing_moves_the_cursor(raw, shown):
    assert safe(raw) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (12345, "12.3 kJ"),
        (999.96, "1.00 kJ"),
        (0, "0 J"),
        (0.25, "250 mJ"),
        (None, "–"),
        (float("nan"), "nan J"),
        (5e-13, "0.00 J"),
        (1, "1.00 J"),
    ],
)
def test_three_digits_and_a_prefix(value, shown):
    assert si(value, "J") == shown


def test_counts_clocks_and_losses():
    assert count(12345) == "12.3k" and count(7) == "7.00"
    assert [duration(s) for s in (7, 754, 10921, 200000, None)] == [
        "0:07",
        "12:34",
        "3:02:01",
        "2d 7h",
        "–",
    ]
    assert loss(1.23456) == "1.2346" and loss(float("inf")) == "inf" and loss(None) == "–"
