"""Round trips through a tokenizer: which bytes of a text do not come back, and what they cost.

A model gives a likelihood of token ids. Where the tokenizer is lossy, many texts have the same ids,
and the likelihood of the ids is too large for any one of them. Bits per byte therefore charge, on
top of the ids, an edit script that turns the decoded text into the original:

    bits = K log2(n / K) + M (log2(n / M) + 8) + A log2(n / A),    n = K + M + A

K bytes are kept, M bytes of the text are missing from what is decoded (8 bits each), A decoded
bytes are not in the text; the logarithms are the entropy of the sequence of these three operations.
It is 0 where the text comes back exactly. Unknown tokens are decoded as nothing.
"""

import dataclasses
import math

import numpy as np

from fxformer.data.tokenizer import Tokenizer

_ANCHOR = 4  # equal bytes after which two texts are taken as aligned again
_WINDOW = 512  # how far ahead an anchor is looked for
_MEASURED = 1 << 22  # bytes of a split; of a larger one every n-th document is measured
_CELLS = 1 << 18  # largest table of a longest common subsequence


@dataclasses.dataclass(frozen=True)
class RoundTrip:
    """Counts over some texts. kept + missing is their size in bytes of UTF-8.

    exact: texts that come back whole
    """

    documents: int = 0
    exact: int = 0
    kept: int = 0
    missing: int = 0
    added: int = 0

    def __add__(self, other: "RoundTrip") -> "RoundTrip":
        both = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return RoundTrip(*(one + two for one, two in both))

    @property
    def lossy(self) -> float:
        """Bytes missing or added, as a share of the text's bytes; at most 1."""
        wrong, size = self.missing + self.added, self.kept + self.missing
        return min(1.0, wrong / size) if size else 0.0

    def prices(self) -> tuple[float, float, float]:
        """Bits of the edit script for each byte kept, missing and added."""
        counts = (self.kept, self.missing, self.added)
        total = sum(counts)
        kept, missing, added = (math.log2(total / n) if n else 0.0 for n in counts)
        return kept, missing + 8, added

    @property
    def bits(self) -> float:
        """Length of the edit script."""
        kept, missing, added = self.prices()
        return self.kept * kept + self.missing * missing + self.added * added


def measure(tokenizer: Tokenizer, text: str, ids: np.ndarray) -> RoundTrip:
    """The round trip of one document, given its ids."""
    back, size = decoded(tokenizer, ids), len(text.encode())
    if back == text:
        return RoundTrip(1, 1, size)
    missing, added = difference(text.encode(), back.encode())
    lost = int(missing.sum())
    return RoundTrip(1, 0, size - lost, lost, int(added.sum()))


def decoded(tokenizer: Tokenizer, ids: np.ndarray) -> str:
    """The text of ids, unknown tokens left out: what they stood for is not known."""
    known = ids if tokenizer.ids.unk is None else ids[ids != tokenizer.ids.unk]
    return tokenizer.decode(known)


def difference(text: bytes, back: bytes) -> tuple[np.ndarray, np.ndarray]:
    """An alignment of both: (missing [n] bool, bytes of the text that `back` lacks; added [n + 1]
    int64, how many bytes of `back` that are not in the text stand before each of its bytes).

    Equal stretches are followed; between them the nearest anchor is looked for in a window. Linear
    in the length, and not always the shortest edit script: it never counts too little.
    """
    missing, added = np.zeros(len(text), bool), np.zeros(len(text) + 1, np.int64)
    i = j = 0
    while i < len(text) and j < len(back):
        same = _common(text, i, back, j)
        i, j = i + same, j + same
        if i == len(text) or j == len(back):
            break
        a, b = _anchor(text, i, back, j)
        _fill(text, i, a, back, j, b, missing, added)
        i, j = i + a, j + b
    missing[i:] = True
    added[len(text)] += len(back) - j
    return missing, added


def _common(text: bytes, i: int, back: bytes, j: int) -> int:
    """Length of the longest common prefix of text[i:] and back[j:]."""
    size, most = 64, min(len(text) - i, len(back) - j)
    done = 0
    while done < most:
        size = min(size, most - done)
        one, two = text[i + done : i + done + size], back[j + done : j + done + size]
        if one != two:
            same = next(k for k, (x, y) in enumerate(zip(one, two, strict=True)) if x != y)
            return done + same
        done, size = done + size, 2 * size
    return done


def _anchor(text: bytes, i: int, back: bytes, j: int) -> tuple[int, int]:
    """(a, b): text[i + a:] and back[j + b:] begin alike, as near as there is such a place in the
    window; where there is none, a window of the text without anything of `back`."""
    one, two = text[i : i + _WINDOW], back[j : j + _WINDOW]
    grams = {}
    for b in range(len(two) - _ANCHOR, -1, -1):
        grams[two[b : b + _ANCHOR]] = b
    best = None
    for a in range(len(one) - _ANCHOR + 1):
        if best is not None and a >= sum(best):
            break
        b = grams.get(one[a : a + _ANCHOR])
        if b is not None and (best is None or a + b < sum(best)):
            best = a, b
    if best is not None:
        return best
    ends = len(text) - i <= _WINDOW and len(back) - j <= _WINDOW
    return (len(text) - i, len(back) - j) if ends else (len(one), 0)


def _fill(text, i: int, a: int, back, j: int, b: int, missing, added) -> None:
    """Mark what differs in a gap: its longest common subsequence is kept."""
    if not a or not b or a * b > _CELLS:
        missing[i : i + a] = True
        added[i + a] += b
        return
    one = np.frombuffer(text, np.uint8)[i : i + a]
    two = np.frombuffer(back, np.uint8)[j : j + b]
    table = np.zeros((a + 1, b + 1), np.int32)
    for row in range(a - 1, -1, -1):
        grown = np.maximum(table[row + 1, :-1], table[row + 1, 1:] + (one[row] == two))
        table[row, :-1] = np.maximum.accumulate(grown[::-1])[::-1]
    x = y = 0
    while x < a and y < b:
        if one[x] == two[y]:
            x, y = x + 1, y + 1
        elif table[x + 1, y] >= table[x, y + 1]:
            missing[i + x], x = True, x + 1
        else:
            added[i + x], y = added[i + x] + 1, y + 1
    missing[i + x : i + a] = True
    added[i + a] += b - y


class Measuring:
    """Measures the round trip of every n-th document of those it is called with, and their ids."""

    def __init__(self, tokenizer: Tokenizer, every: int = 1):
        self.tokenizer, self.trip = tokenizer, RoundTrip()
        self._every, self._seen = every, 0

    def __call__(self, texts: list[str], ids: list[np.ndarray]) -> None:
        for n in range(-self._seen % self._every, len(texts), self._every):
            self.trip += measure(self.tokenizer, texts[n], ids[n])
        self._seen += len(texts)


def stride(size: int) -> int:
    """n, where every n-th document of a split of so many bytes is measured."""
    return max(1, -(-size // _MEASURED))


def of(valid: dict) -> RoundTrip:
    """The round trip in the facts of a split; exact where an older corpus has none."""
    known = valid.get("round_trip")
    return RoundTrip(kept=valid.get("bytes") or 0) if known is None else RoundTrip(**known)


def bits_per_byte(nats: float, valid: dict) -> float:
    """Bits per byte of held-out text, edit script included, from the nats of its tokens.

    valid: the facts of the split
    """
    trip = of(valid)
    script = trip.bits / (trip.kept + trip.missing) if trip.lossy else 0.0
    return nats / math.log(2) / valid["bytes"] + script


def mark(valid: dict) -> str:
    """In words, "lossy: 12.3 % of the bytes"; "" where the tokenizer gives back every text."""
    lossy = of(valid).lossy
    return f"lossy: {percent(lossy)} of the bytes" if lossy else ""


def percent(share: float) -> str:
    """A share, never rounded to none."""
    return "< 0.1 %" if 0 < share < 0.001 else f"{100 * share:.1f} %"
