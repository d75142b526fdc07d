"""What a log has logged, without reading it: its two ends and its first evaluation tell."""

import mmap
import os
from pathlib import Path

from fxformer import jsonl
from fxformer.files import open_regular

_END = 8_192  # bytes of either end
_VALID = b'"split": "valid"'


def names(path: Path) -> dict[str, list[str]]:
    """{split: names of its numbers, in the order of the log}; {} where there is no log."""
    found: dict[str, dict[str, None]] = {}
    for text in _some_lines(path).splitlines():
        try:
            line = jsonl.parse(text)
        except ValueError:  # torn, or no object
            continue
        split = line.get("split")
        if isinstance(split, str):
            numbers = (name for name, value in line.items() if jsonl.is_number(value))
            found.setdefault(split, {}).update(dict.fromkeys(numbers))
    return {split: list(some) for split, some in found.items()}


def _some_lines(path: Path) -> bytes:
    """The beginning and the end of a log, and its first line of "valid" where these have none."""
    try:
        with open_regular(path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            if size <= 2 * _END:
                return file.read()
            head = file.read(_END)
            file.seek(size - _END)
            ends = head + b"\n" + file.read()
            if _VALID in ends:
                return ends
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
                at = whole.find(_VALID)
                if at < 0:
                    return ends
                start, end = whole.rfind(b"\n", 0, at) + 1, whole.find(b"\n", at)
                return ends + b"\n" + whole[start : end if end >= 0 else size]
    except OSError:
        return b""
