"""Numbers and foreign text as a terminal may show them."""

import math
import re
import unicodedata

_PREFIXES = (
    (1e18, "E"),
    (1e15, "P"),
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
)
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


def safe(text: str, limit: int = 2000) -> str:
    """`text` without escape sequences, control characters and bidirectional overrides, at most
    `limit` characters. Newlines stay, tabs become spaces."""
    text = _ESCAPE.sub("", text[: 4 * limit]).replace("\t", "    ").replace("\r\n", "\n")
    control = ("Cc", "Cf", "Cs")
    kept = "".join(c for c in text if c == "\n" or unicodedata.category(c) not in control)
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def si(value: float | None, unit: str = "") -> str:
    """Three digits and a prefix: 12345, "FLOP/s" -> "12.3 kFLOP/s"."""
    if value is None or not math.isfinite(value):
        return "–" if value is None else f"{value} {unit}".strip()
    size = abs(value)
    for factor, prefix in _PREFIXES:
        if size >= 0.9995 * factor:
            return f"{_three(value / factor)} {prefix}{unit}".strip()
    return f"{_three(value)} {unit}".strip()


def count(value: float | None) -> str:
    """Three digits and a prefix, for things that are counted: 12345 -> "12.3k"."""
    return si(value).replace(" ", "")


def plural(number: int, noun: str, nouns: str = "") -> str:
    """`1 run`, `2 runs`; nouns: the plural where it does not just add an s."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def _three(value: float) -> str:
    size = abs(value)
    return f"{value:.{0 if size == 0 or size >= 99.95 else 1 if size >= 9.995 else 2}f}"


def duration(seconds: float | None) -> str:
    """Seconds as 0:07, 12:34, 3:02:01 or 2d 3h."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    if hours >= 48:
        return f"{hours // 24}d {hours % 24}h"
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def loss(value: float | None) -> str:
    """Four decimals, or a dash."""
    return "–" if value is None else f"{value:.4f}" if math.isfinite(value) else str(value)


def percent(value: float) -> str:
    """A share as a whole percentage."""
    return f"{100 * value:.0f} %"
