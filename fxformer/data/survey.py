"""Survey of a text corpus: how much there is, and which documents are held out, in bounded memory.

Documents are held out in ascending order of their hash (equal for copies, see `overlap.key`), until
there are enough characters. Only documents with hashes below a bound are remembered, and the bound
falls whenever they are too many; so what is held out is a function of the text alone.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from fxformer.data import control_codes, overlap
from fxformer.data.shards import write_arrays, write_whole
from fxformer.data.text_files import ReadStats

SplitBy = Literal["documents", "tail"]
MOST_DOCUMENTS = 1 << 20  # remembered
_SPARE = 8  # candidates have so many times the characters that are held out at most
_KEY = 12  # bytes of a hash
_TOP = b"\xff" * (_KEY + 1)  # above every hash


@dataclasses.dataclass
class LineCounts:
    """Counts of documents and their lines, to recognise files with one paragraph per line."""

    documents: int = 0
    count: int = 0
    characters: int = 0
    blank: int = 0

    def add(self, text: str) -> None:
        """Count one document."""
        self.documents += 1
        self.count += text.count("\n") + (not text.endswith("\n"))
        self.characters += len(text)
        self.blank += text.count("\n\n")

    def are_paragraphs(self) -> bool:
        """Whether each line is likely a paragraph: many per document, long, none of them blank.

        Lines of wrapped prose and of code are shorter than 120 characters on average.
        """
        many = self.count >= 20 * max(self.documents, 1)
        return many and not self.blank and self.characters >= 120 * self.count


class HeldOutCandidates:
    """Sizes of the documents with the smallest hashes, as many as there is room for.

    smallest: the smallest hash of all, whether there is room for its document or not
    """

    def __init__(self, characters: float, documents: int = MOST_DOCUMENTS):
        self.most, self.most_documents = characters, documents
        self.sizes: dict[bytes, int] = {}
        self.smallest = _TOP
        self.below, self._characters = _TOP, 0

    @property
    def complete(self) -> bool:
        """Whether all documents are there."""
        return self.below == _TOP

    def add(self, key: bytes, characters: int) -> None:
        """Count a document, or a copy of one."""
        self.smallest = min(self.smallest, key)
        if key >= self.below:
            return
        self.sizes[key] = self.sizes.get(key, 0) + characters
        self._characters += characters
        while len(self.sizes) > 1 and (
            len(self.sizes) > self.most_documents or self._characters > self.most
        ):
            bound = int.from_bytes(self.below[:8], "big") // 2
            self.cut(bound.to_bytes(8, "big"))

    def cut(self, below: bytes) -> None:
        """Forget the documents whose hashes are not below a bound."""
        if below < self.below:
            self.below = below
            self.sizes = {key: size for key, size in self.sizes.items() if key < below}
            self._characters = sum(self.sizes.values())

    def merge(self, other: "HeldOutCandidates") -> None:
        """Count the documents of another part of the text too."""
        self.cut(other.below)
        self.smallest = min(self.smallest, other.smallest)
        for key, size in other.sizes.items():
            self.add(key, size)

    def has_any(self, keys: set[bytes]) -> bool:
        """Whether one of these hashes is among them."""
        return self.smallest in keys or not keys.isdisjoint(self.sizes)

    def chosen(self, characters: float) -> set[bytes]:
        """Hashes of the documents to hold out: as many as fit into so many characters; at least
        one (the smallest), and never all."""
        found: set[bytes] = set()
        ranked = sorted(self.sizes)
        for key in ranked[:-1] if self.complete else ranked:
            if self.sizes[key] <= 1.5 * characters:
                found.add(key)
                characters -= self.sizes[key]
        if not ranked:  # there was no room for any
            return {self.smallest}
        return found or {min(ranked, key=lambda key: (self.sizes[key], key))}


@dataclasses.dataclass
class UnitSurvey:
    """Counts of one unit, or of several together.

    characters, bytes: of the text; codes: control codes, sorted
    """

    documents: int = 0
    characters: int = 0
    bytes: int = 0
    lines: LineCounts = dataclasses.field(default_factory=LineCounts)
    stats: ReadStats = dataclasses.field(default_factory=ReadStats)
    codes: list[str] = dataclasses.field(default_factory=list)

    def read(self, texts: Iterable[str], candidates: HeldOutCandidates | None) -> None:
        """Count the documents of a unit."""
        found: set[str] = set()
        for text in texts:
            self.documents += 1
            self.characters += len(text)
            self.bytes += len(text.encode())
            self.lines.add(text)
            if candidates is not None:
                candidates.add(overlap.key(text), len(text))
            if (code := control_codes.code_of(text)) is not None:
                found.add(code)
                control_codes.check_number(found)
        self.codes = sorted(found)

    def add(self, other: "UnitSurvey") -> None:
        """Count another unit too."""
        self.documents += other.documents
        self.characters += other.characters
        self.bytes += other.bytes
        self.stats.add(other.stats)
        for one in dataclasses.fields(LineCounts):
            whole = getattr(self.lines, one.name) + getattr(other.lines, one.name)
            setattr(self.lines, one.name, whole)
        self.codes = sorted({*self.codes, *other.codes})
        control_codes.check_number(self.codes)

    @classmethod
    def of(cls, facts: dict) -> "UnitSurvey":
        """The inverse of dataclasses.asdict."""
        made = cls(**facts)
        made.lines, made.stats = LineCounts(**facts["lines"]), ReadStats(**facts["stats"])
        return made


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which documents of the stream are held out.

    keys: hashes of held-out documents (split_by=documents)
    tail: the character at which the held-out end of the text begins (split_by=tail); None: keys
    starts: characters before each unit; valid_units: the units with held-out text
    """

    keys: frozenset[bytes]
    tail: int | None
    starts: tuple[int, ...]
    valid_units: tuple[int, ...]

    def texts(self, unit: int, texts: Iterator[str], split: str) -> Iterator[str]:
        """The documents of a unit that belong to a split."""
        if self.tail is not None:
            return _tail(texts, self.tail - self.starts[unit], split)
        wanted = split == "valid"
        return (text for text in texts if (overlap.key(text) in self.keys) == wanted)


@dataclasses.dataclass(frozen=True)
class Survey:
    """A corpus counted: the whole, and the split; selection None: the held-out text is given."""

    whole: UnitSurvey
    selection: Selection | None
    characters: tuple[int, ...]  # of each unit


def unit_room(valid_most: int, units: int) -> float:
    """Characters of the candidates of one unit of so many."""
    return max(_SPARE * valid_most / max(units, 1), 4 << 20)


def write_unit(
    folder: Path, number: int, counted: UnitSurvey, candidates: HeldOutCandidates | None
):
    """Store the survey of a unit: unit.NUMBER.json, and the candidates beside it."""
    if candidates is not None:
        keys = np.frombuffer(b"".join(candidates.sizes), np.uint8).reshape(-1, _KEY)
        sizes = np.array(list(candidates.sizes.values()), np.int64)
        below, smallest = (
            np.frombuffer(one, np.uint8) for one in (candidates.below, candidates.smallest)
        )
        path = folder / f"candidates.{number:06d}.npz"
        write_arrays(path, keys=keys, sizes=sizes, below=below, smallest=smallest)
    facts = json.dumps(dataclasses.asdict(counted)).encode()
    write_whole(folder / f"unit.{number:06d}.json", facts)


def read_unit(folder: Path, number: int) -> UnitSurvey:
    """What `write_unit` has written."""
    return UnitSurvey.of(json.loads((folder / f"unit.{number:06d}.json").read_text()))


def candidates_of(folder: Path, number: int) -> HeldOutCandidates:
    """The candidates of a unit."""
    made = HeldOutCandidates(float("inf"))
    with np.load(folder / f"candidates.{number:06d}.npz") as found:
        raw, sizes = found["keys"].tobytes(), found["sizes"].tolist()
        keys = (raw[at : at + _KEY] for at in range(0, len(raw), _KEY))
        made.sizes = dict(zip(keys, sizes, strict=True))
        made.below, made.smallest = found["below"].tobytes(), found["smallest"].tobytes()
    return made


def read(
    folder: Path, units: int, *, share: float | None, split_by: SplitBy, valid_most: int
) -> Survey:
    """The survey of all units. share: of the characters to hold out; None: none is"""
    whole, characters = UnitSurvey(), []
    merged = HeldOutCandidates(_SPARE * valid_most)
    for number in range(units):
        one = read_unit(folder, number)
        whole.add(one)
        characters.append(one.characters)
        if share is not None:
            merged.merge(candidates_of(folder, number))
    selection = None
    if share is not None and whole.documents:
        starts = np.concatenate([[0], np.cumsum(characters)]).tolist()
        if split_by == "tail" or (merged.complete and len(merged.sizes) == 1):
            tail = max(int(whole.characters * (1 - share)), whole.characters - valid_most)
            selection = _tail_selection(tail, starts)
        else:
            keys = merged.chosen(min(whole.characters * share, valid_most))
            having = [n for n in range(units) if candidates_of(folder, n).has_any(keys)]
            selection = Selection(frozenset(keys), None, tuple(starts), tuple(having))
    return Survey(whole, selection, tuple(characters))


def _tail_selection(at: int, starts: Sequence[int]) -> Selection:
    units = tuple(n for n in range(len(starts) - 1) if starts[n + 1] > at)
    return Selection(frozenset(), at, tuple(starts), units)


def _tail(texts: Iterator[str], at: int, split: str) -> Iterator[str]:
    """The part of the joined text before character `at` ("train") or after it ("valid")."""
    left = max(at, 0)
    for text in texts:
        keep, left = min(left, len(text)), max(left - len(text), 0)
        part = slice(keep) if split == "train" else slice(keep, None)
        if found := control_codes.part_of(text, part):
            yield found
