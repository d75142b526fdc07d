"""Columns out of metrics.jsonl by searching its bytes: several times faster than parsing each line.

What it relies on is how `jsonl.Writer` writes: one flat object a line, no key twice. A torn line
(it does not begin with { and end with }) counts as a line that holds nothing.
"""

import json
import re

import numpy as np

_SPLIT = re.compile(rb'"split": ?"([^"\\\n]*)"')
_QUOTES = b'"'


def lines_of(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Where each line of `data` ends, [N], and whether it is whole, [N]. `data` ends in a
    newline or is empty."""
    signs = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(signs == ord("\n"))
    if not len(ends):
        return ends, np.zeros(0, bool)
    starts = np.concatenate(([0], ends[:-1] + 1))
    whole = (signs[starts] == ord("{")) & (signs[np.maximum(ends - 1, starts)] == ord("}"))
    return ends, whole


def splits_of(data: bytes) -> np.ndarray:
    """The split of each line, [N] of bytes; b"" where it has none or is torn."""
    return _by_line(data, _SPLIT, np.array, b"")


def column_of(data: bytes, name: str) -> np.ndarray:
    """The numbers called `name`, [N] float64; NaN in a line that has none."""
    key = re.escape(json.dumps(name, ensure_ascii=False).encode())
    return _by_line(data, re.compile(key + rb": ?([^,}\n]+)"), _numbers, np.nan)


def _by_line(data: bytes, pattern: re.Pattern[bytes], convert, lacking) -> np.ndarray:
    """What the pattern's group finds in each line, [N]. No line has it twice."""
    ends, whole = lines_of(data)
    found = pattern.findall(data)
    if len(found) == len(ends) and whole.all():
        return convert(found)
    starts = np.fromiter((match.start() for match in pattern.finditer(data)), np.int64)
    owners = np.searchsorted(ends, starts)
    some = convert(found) if found else np.array([lacking])
    values = np.full(len(ends), lacking, some.dtype)
    values[owners] = some[: len(owners)]
    values[~whole] = lacking
    return values


def _numbers(texts: list[bytes]) -> np.ndarray:
    try:
        return np.array(texts).astype(np.float64)
    except ValueError:  # "nan" and "inf" are quoted; null, text and lists are no numbers
        return np.array([_number(text) for text in texts])


def _number(text: bytes) -> float:
    try:
        return float(text.strip().strip(_QUOTES))
    except ValueError:
        return np.nan

