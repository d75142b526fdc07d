"""Tasks of preparation: what is done with one unit of a corpus, in whichever process."""

import dataclasses
import functools
import json
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from fxformer.data import control_codes, overlap, round_trip, survey
from fxformer.data import tokenizer as tokenizers
from fxformer.data.documents import source_of
from fxformer.data.shards import Shard, ShardWriter, write_array, write_arrays, write_whole
from fxformer.data.text_files import ReadStats
from fxformer.data.text_hash import SequenceHash
from fxformer.data.tokenizer import Tokenizer
from fxformer.data.units import Unit

AT_ONCE = 1 << 20  # characters handed to the tokenizer together
Report = Callable[[int], None]  # is called with the number of bytes that are done


class Readable(Protocol):
    """A corpus, as a task sees it."""

    def unit_texts(self, unit: Unit, stats: ReadStats) -> Iterator[str]: ...

    def new_stats(self) -> ReadStats: ...


class PreparationTask(Protocol):
    """Work on the units of a corpus, each by itself; calling it twice gives the same."""

    @property
    def numbers(self) -> Sequence[int]: ...

    def __call__(self, number: int, report: Report) -> None: ...

    def is_done(self, number: int) -> bool: ...


@dataclasses.dataclass(frozen=True)
class SurveyTask:
    """Count the documents of a unit, and remember those with the smallest hashes.

    room: characters of the candidates (survey.unit_room); None: nothing is held out
    """

    corpus: Readable
    folder: Path
    units: tuple[Unit, ...]
    room: float | None

    @property
    def numbers(self) -> Sequence[int]:
        """Of the units to work on."""
        return range(len(self.units))

    def __call__(self, number: int, report: Report) -> None:
        counted = survey.UnitSurvey(stats=self.corpus.new_stats())
        candidates = None if self.room is None else survey.HeldOutCandidates(self.room)
        unit = self.units[number]
        counted.read(self.corpus.unit_texts(unit, counted.stats), candidates)
        survey.write_unit(self.folder, number, counted, candidates)
        report(unit.size)

    def is_done(self, number: int) -> bool:
        return (self.folder / f"unit.{number:06d}.json").is_file()


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenizeTask:
    """Tokenise the documents of a unit that belong to a split, into shards.

    selection: None: all of the unit
    tokenizer: folder of the tokenizer
    coded: whether each document has a control code; paired: whether it has a source
    every: of held-out text, one document in so many is compared with the training text
    trip_every: one in so many is decoded again, to measure the round trip
    """

    corpus: Readable
    folder: Path
    units: tuple[Unit, ...]
    split: str
    selection: survey.Selection | None
    tokenizer: Path
    coded: bool = False
    paired: bool = False
    every: int = 1
    trip_every: int = 1

    @property
    def numbers(self) -> Sequence[int]:
        """Of the units to work on: all, or those with held-out text."""
        if self.split == "valid" and self.selection is not None:
            return self.selection.valid_units
        return range(len(self.units))

    def is_done(self, number: int) -> bool:
        try:
            known = self.result(number)
        except (OSError, ValueError):
            return False
        shards = [*known["shards"], *known.get("source", {}).get("shards", [])]
        return all(Shard(**one).is_sound(self.folder, contents=True) for one in shards)

    def result(self, number: int) -> dict:
        """Counts of a unit that is done, and its shards."""
        return json.loads(self._card(number).read_text())

    def _card(self, number: int) -> Path:
        return self.folder / f"{self.split}.{number:06d}.json"

    def __call__(self, number: int, report: Report) -> None:
        tokenizer, stats = _tokenizer(self.tokenizer), self.corpus.new_stats()
        encode, observe = tokenizer.encode_batch, self._observer(number, tokenizer)
        name = f"{self.split}.{number:06d}"
        sides = [ShardWriter(self.folder, f"{self.split}.ids.{number:06d}")]
        if self.paired:
            sides.append(ShardWriter(self.folder, f"{self.split}.source.ids.{number:06d}"))
        digest, codes, sizes = SequenceHash(), array("i"), [0, 0]
        texts = self.corpus.unit_texts(self.units[number], stats)
        if self.selection is not None:
            texts = self.selection.texts(number, texts, self.split)
        for held in batches(texts):
            ids = encode(held)
            sides[0].add(ids)
            if self.paired:
                sources = cast(list[str], [source_of(text) for text in held])
                sides[1].add(tokenizer.of_source.encode_batch(sources))
                sizes[1] += sum(len(text.encode()) for text in sources)
            if self.coded:
                known = tokenizer.ids.codes
                codes.extend(
                    control_codes.id_of(control_codes.code_of(text), known) for text in held
                )
            for text in held:
                digest.add(_hashed(text))
            observe(held, ids)
            done = sum(len(text.encode()) for text in held)
            sizes[0] += done
            report(done)
        extra = observe.end()
        if self.coded:
            write_array(self.folder / f"{name}.codes.npy", np.array(codes, np.int32))
        counts = [_counts(side, size) for side, size in zip(sides, sizes, strict=False)]
        card: dict[str, Any] = counts[0] | {"hash": dataclasses.asdict(digest)} | extra
        card |= {"stats": dataclasses.asdict(stats)}
        card |= {"source": counts[1]} if self.paired else {}
        write_whole(self._card(number), json.dumps(card).encode())

    def _observer(self, number: int, tokenizer: Tokenizer) -> "Observer":
        if self.split == "valid":
            return HeldOutObserver(
                self.folder / f"pieces.{number:06d}.npz", tokenizer, self.every, self.trip_every
            )
        return TrainObserver(self.folder / f"hits.{number:06d}.npz", self.folder)


class Observer(Protocol):
    """Looks at the documents that are being tokenised; `end` gives what is known of them."""

    def __call__(self, texts: list[str], ids: list[np.ndarray]) -> None: ...

    def end(self) -> dict: ...


class HeldOutObserver:
    """What training text is compared with, and round trips, of the held-out text of a unit."""

    def __init__(self, path: Path, tokenizer: Tokenizer, every: int, trip_every: int):
        self._path, self._every = path, every
        self._found: list[overlap.TextPieces] = []
        self._seen = 0
        self._trips = round_trip.Measuring(tokenizer, trip_every)

    def __call__(self, texts: list[str], ids: list[np.ndarray]) -> None:
        self._trips(texts, ids)
        self._found += overlap.pieces(texts[-self._seen % self._every :: self._every])
        self._seen += len(texts)

    def end(self) -> dict:
        overlap.TextPieces.join(self._found).save(self._path)
        return {"round_trip": dataclasses.asdict(self._trips.trip)}


class TrainObserver:
    """What the training text of a unit has of the held-out text."""

    def __init__(self, path: Path, folder: Path):
        self._path, self._overlap = path, overlap.Overlap(held_out_pieces(folder))

    def __call__(self, texts: list[str], ids: list[np.ndarray]) -> None:
        self._overlap.watch(texts)

    def end(self) -> dict:
        write_arrays(self._path, **self._overlap.hits())
        return {}


@functools.lru_cache(1)
def held_out_pieces(folder: Path) -> overlap.TextPieces:
    """The pieces of all held-out text of a corpus that is being prepared."""
    return overlap.TextPieces.load(folder / "pieces.npz")


@functools.lru_cache(1)
def _tokenizer(folder: Path) -> Tokenizer:
    return tokenizers.load(folder)


def batches(texts: Iterator[str]) -> Iterator[list[str]]:
    """Lists of texts of about `AT_ONCE` characters."""
    held, characters = [], 0
    for text in texts:
        held.append(text)
        characters += len(text) + len(source_of(text) or "")
        if characters >= AT_ONCE:
            yield held
            held, characters = [], 0
    if held:
        yield held


def _counts(side: ShardWriter, size: int) -> dict:
    shards = side.close()
    return {
        "documents": sum(shard.documents for shard in shards),
        "tokens": sum(shard.tokens for shard in shards),
        "bytes": size,
        "shards": [dataclasses.asdict(shard) for shard in shards],
    }


def _hashed(text: str) -> bytes:
    """A document with its control code and its source, as it is hashed."""
    content = text.encode()
    if (code := control_codes.code_of(text)) is not None:
        content += f"\0code:{code}".encode()
    if (source := source_of(text)) is not None:
        content += f"\0source:{len(source)}:{source}".encode()
    return content
