"""Overlap of held-out text with training text: copies of documents, of lines and of passages.

Texts are compared without regard to case, compatibility forms (NFKC) and the amount of white space.
Long passages are windows of 64 bytes; one in 16 is looked at, chosen by its hash, so that the same
passage is chosen wherever it stands.
"""

import dataclasses
import functools
import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from fxformer.data.shards import write_arrays

KEY = 12  # bytes of the hash of a document
WINDOW = 64  # bytes
LINE = 24  # characters; shorter lines repeat by chance
ALMOST = 0.5  # of its windows or lines in training text: an almost-copy
WARNED = 0.01  # of the held-out documents
_BLOCK = 1 << 20  # bytes hashed at once
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
_MIX = np.uint64(0xBF58476D1CE4E5B9)


def normal(text: str) -> str:
    """The text as it is compared; line ends stay."""
    folded = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return folded.casefold()


def key(text: str) -> bytes:
    """Hash of a document, equal for copies that differ in case and white space only."""
    joined = " ".join(normal(text).split())
    return hashlib.blake2b(joined.encode(errors="surrogatepass"), digest_size=KEY).digest()


@dataclasses.dataclass(frozen=True)
class TextPieces:
    """What is compared of some documents. owner: the document of each window or line.

    keys: [D, 12] uint8, of the documents; lines, windows: uint64 hashes; size: bytes
    """

    keys: np.ndarray
    lines: np.ndarray
    line_owner: np.ndarray
    size: int
    windows: np.ndarray
    window_owner: np.ndarray

    @classmethod
    def of(cls, texts: list[str]) -> "TextPieces":
        """Those of some documents."""
        return _of(texts)

    @classmethod
    def join(cls, many: Iterable["TextPieces"]) -> "TextPieces":
        """Those of all documents of several."""
        parts, base, size = [], 0, 0
        for one in many:
            owners = (one.line_owner + base, one.window_owner + base)
            parts.append((one.keys, one.lines, owners[0], one.windows, owners[1]))
            base, size = base + len(one.keys), size + one.size
        if not parts:
            none, owner = np.zeros(0, np.uint64), np.zeros(0, np.int64)
            return cls(np.zeros((0, KEY), np.uint8), none, owner, 0, none, owner)
        keys, lines, line_owner, windows, owner = map(np.concatenate, zip(*parts, strict=True))
        return cls(keys, lines, line_owner, size, windows, owner)

    def save(self, path: Path) -> None:
        """Write a file that `load` reads, whole or not at all."""
        write_arrays(path, **dataclasses.asdict(self))

    @classmethod
    def load(cls, path: Path) -> "TextPieces":
        """What `save` has written."""
        with np.load(path) as found:
            return cls(**{**found, "size": int(found["size"])})


def pieces(texts: Iterable[str]) -> Iterator[TextPieces]:
    """The pieces of documents, in groups of about a block; owners count from 0 in each group."""
    held: list[str] = []
    size = 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= _BLOCK:
            yield _of(held)
            held, size = [], 0
    if held:
        yield _of(held)


def _of(texts: list[str]) -> TextPieces:
    keys, lines, line_owner, wholes = [], [], [], []
    for number, text in enumerate(texts):
        folded = normal(text)
        whole = " ".join(folded.split()).encode(errors="surrogatepass")
        keys.append(hashlib.blake2b(whole, digest_size=KEY).digest())
        found = [" ".join(line.split()) for line in folded.split("\n")]
        found = [_line_hash(line) for line in found if len(line) >= LINE]
        lines += found
        line_owner += [number] * len(found)
        wholes.append(whole)
    windows, owner = _windows(wholes)
    ids = np.frombuffer(b"".join(lines), "<u8").astype(np.uint64)
    size, ends = sum(map(len, wholes)), np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY)
    return TextPieces(ends, ids, np.array(line_owner, np.int64), size, windows, owner)


def _line_hash(line: str) -> bytes:
    """The same in every process, which `hash` is not."""
    return hashlib.blake2b(line.encode(errors="surrogatepass"), digest_size=8).digest()


def _windows(wholes: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the chosen windows, none across two documents, and the document of each."""
    data = np.frombuffer(b"".join(wholes), np.uint8)
    owner = np.repeat(np.arange(len(wholes)), [len(whole) for whole in wholes])
    hashes, owners = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for low in range(0, len(data) - WINDOW + 1, _BLOCK):
        part = _rolling(data[low : low + _BLOCK + WINDOW - 1])
        first, last = low, low + len(part)
        one = owner[first:last] == owner[first + WINDOW - 1 : last + WINDOW - 1]
        chosen = one & (part >> np.uint64(60) == 0)
        hashes.append(part[chosen])
        owners.append(owner[first:last][chosen])
    return np.concatenate(hashes), np.concatenate(owners)


def _rolling(data: np.ndarray) -> np.ndarray:
    """A hash of every window of a block of bytes. uint64 [n - WINDOW + 1]

    Σ data[i + k] base^k modulo 2**64, from prefix sums of data[i] base^i; then mixed.
    """
    power, inverse = _powers()
    sums = np.cumsum(data * power[: len(data)], dtype=np.uint64)
    sums = np.concatenate([np.zeros(1, np.uint64), sums])
    hashes = (sums[WINDOW:] - sums[:-WINDOW]) * inverse[: len(data) - WINDOW + 1]
    hashes = (hashes ^ (hashes >> np.uint64(31))) * _MIX
    return hashes ^ (hashes >> np.uint64(29))


@functools.cache
def _powers() -> tuple[np.ndarray, np.ndarray]:
    """Powers of the base and of its inverse, modulo 2**64, for a block."""
    size = _BLOCK + WINDOW - 1
    many = (np.full(size, base, np.uint64) for base in (_BASE, pow(_BASE, -1, 1 << 64)))
    power, inverse = (np.cumprod(one, dtype=np.uint64) for one in many)
    return power, inverse


class Overlap:
    """What training text has of some held-out documents.

    `watch` the training text, in one process or in several: `hits` of one is `add`ed to another;
    `facts` then are shares of the held-out text:
    documents: copies of a training document
    almost: other documents with half of their windows, or of their lines, in training text
    lines, text: lines of 24 characters or more, and windows, that training text has
    """

    def __init__(self, held_out: TextPieces):
        self._keys = held_out.keys
        self._ranks = {key.tobytes(): n for n, key in enumerate(np.unique(self._keys, axis=0))}
        self._copied = np.zeros(len(self._ranks), bool)
        owners = len(self._keys)
        self._lines = _Hits(held_out.lines, held_out.line_owner, owners)
        self._windows = _Hits(held_out.windows, held_out.window_owner, owners)

    def watch(self, train: list[str]) -> None:
        """Look at some training documents."""
        for one in pieces(train):
            found = (self._ranks.get(key.tobytes()) for key in one.keys)
            self._copied[[rank for rank in found if rank is not None]] = True
            self._lines.find(one.lines)
            self._windows.find(one.windows)

    def hits(self) -> dict[str, np.ndarray]:
        """What has been seen, as indices."""
        parts = {"keys": self._copied, "lines": self._lines.seen, "windows": self._windows.seen}
        return {name: np.flatnonzero(seen) for name, seen in parts.items()}

    def add(self, hits: Mapping[str, np.ndarray]) -> None:
        """What another one of the same held-out documents has seen."""
        self._copied[hits["keys"]] = True
        self._lines.seen[hits["lines"]] = True
        self._windows.seen[hits["windows"]] = True

    def facts(self) -> dict[str, float]:
        """The shares; 0 where there is nothing to compare."""
        copied = self._copied[[self._ranks[key.tobytes()] for key in self._keys]].astype(bool)
        half = np.maximum(self._windows.shares(), self._lines.shares()) >= ALMOST
        return {
            "documents": float(copied.mean()) if len(copied) else 0.0,
            "almost": float((half & ~copied).mean()) if len(copied) else 0.0,
            "lines": self._lines.share(),
            "text": self._windows.share(),
        }


class _Hits:
    """Which of some hashes have been seen elsewhere. seen: bool, of the distinct ones"""

    def __init__(self, hashes: np.ndarray, owner: np.ndarray, owners: int):
        self._known, self._place = np.unique(hashes, return_inverse=True)
        self._owner, self._owners = owner, owners
        self.seen = np.zeros(len(self._known), bool)

    def find(self, others: np.ndarray) -> None:
        if len(self._known) and len(others):
            at = np.minimum(np.searchsorted(self._known, others), len(self._known) - 1)
            self.seen[at[self._known[at] == others]] = True

    def share(self) -> float:
        """Of all."""
        return float(self.seen[self._place].mean()) if len(self._place) else 0.0

    def shares(self) -> np.ndarray:
        """Of those of each owner; 0 for one that has none."""
        count = np.bincount(self._owner, minlength=self._owners)
        seen = np.bincount(self._owner, self.seen[self._place], minlength=self._owners)
        return seen / np.maximum(count, 1)


def words(facts: dict[str, float]) -> str:
    """The overlap as a line of a summary."""
    copies, almost = facts["documents"], facts["almost"]
    return (
        f"held-out text that is also in the training text: {facts['text']:.1%} "
        f"({copies:.1%} of its documents are copies, {almost:.1%} nearly)"
    )


def warning(facts: dict[str, float]) -> str:
    """What to say of an overlap that makes the held-out loss too good; "" where it is small."""
    copies, almost = facts["documents"], facts["almost"]
    if copies + almost < WARNED:
        return ""
    return (
        f"{copies:.1%} of the held-out documents are also in the training text, {almost:.1%} almost"
        " (case and white space aside): the held-out loss is too good; remove the copies, or hold "
        "out other text"
    )
