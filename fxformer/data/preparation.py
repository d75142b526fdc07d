"""Preparation of text corpora: survey, tokenizer, token ids, made by several processes.

Every step works on units (units.py). What is done with a unit is stored before the next one, in a
folder that the next call goes on with after an interruption, and is joined once all are there. What
comes out is a function of the text and the options, whatever the number of processes.
"""

import dataclasses
import hashlib
import json
import logging
import os
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fxformer.data import disk_cache, overlap, round_trip, shards, survey
from fxformer.data import tokenizer as tokenizers
from fxformer.data.documents import both
from fxformer.data.permutation import Permutation
from fxformer.data.preparation_tasks import PreparationTask, Readable, SurveyTask, TokenizeTask
from fxformer.data.preparation_worker import Workers
from fxformer.data.progress import Slow
from fxformer.data.text_files import ReadStats
from fxformer.data.text_hash import SequenceHash
from fxformer.data.units import Unit

_LOG = logging.getLogger(__name__)
SMALL = 64 << 20  # bytes; less is prepared by one process
SAMPLED_UNITS = 16  # at least, of which the sample that trains a tokenizer is taken


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of a corpus that concern its preparation.

    processes: 0: one per core, where there are more than `SMALL` bytes
    share, split_by: of what is held out; share None: the held-out text is given
    valid_max: characters that are held out at most
    tokenizer_max: characters of the sample that a tokenizer is trained on
    """

    processes: int = 0
    share: float | None = None
    split_by: survey.SplitBy = "documents"
    valid_max: int = 1 << 25
    tokenizer_max: int = 1 << 28

    def number(self, units: tuple[Unit, ...]) -> int:
        """How many processes work on these units."""
        if self.processes:
            return self.processes
        if sum(unit.size for unit in units) <= SMALL:
            return 1
        mine = getattr(os, "sched_getaffinity", None)  # Linux only
        return len(mine(0)) if mine else os.cpu_count() or 1


class Noted(Readable, Protocol):
    """A corpus that has facts of its own."""

    def notes(self, stats: ReadStats, found: survey.Survey) -> dict: ...


def name(*parts: str) -> str:
    """The name of a folder of the cache."""
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


def work_on(task: PreparationTask, workers: Workers, what: str, total: int) -> None:
    """Do a task for all units that are not done. total: bytes of all; 0: unknown"""
    numbers = task.numbers
    left = [number for number in numbers if not task.is_done(number)]
    if done := len(numbers) - len(left):
        _LOG.warning("%s: %d of %d parts are there already", what, done, len(numbers))
    share = len(left) / max(len(numbers), 1)
    with Slow(what, "bytes", total=int(total * share)) as work:
        workers.run(task, left, work.advance)


def surveyed(
    corpus: Readable, folder: Path, units: tuple[Unit, ...], options: Options
) -> survey.Survey:
    """The survey of a corpus, from `folder`, where it is cached."""
    room = None if options.share is None else survey.unit_room(options.valid_max, len(units))

    def make(draft: Path) -> None:
        task = SurveyTask(corpus, draft, units, room)
        size = sum(unit.size for unit in units)
        with Workers(options.number(units)) as workers:
            work_on(task, workers, "Reading the text", size)

    def whole(kept: Path) -> bool:
        task = SurveyTask(corpus, kept, units, room)
        return all(task.is_done(number) for number in range(len(units)))

    disk_cache.resumable(folder, make, whole)
    return survey.read(
        folder,
        len(units),
        share=options.share,
        split_by=options.split_by,
        valid_most=options.valid_max,
    )


@dataclasses.dataclass(frozen=True)
class TrainingSample:
    """The training text of a corpus, or a sample of it, iterable repeatedly; see `of`.

    units: those that are read; share: of their documents, chosen by hash
    """

    corpus: Readable
    units: tuple[Unit, ...]
    found: survey.Survey
    chosen: tuple[int, ...]
    share: float
    work: Slow

    @classmethod
    def of(
        cls, corpus: Readable, units: tuple[Unit, ...], found: survey.Survey, most: int, work: Slow
    ) -> "TrainingSample":
        """About `most` characters at most: all text, or documents chosen by hash from units chosen
        at random, but always the same."""
        total = sum(found.characters)
        if total <= most:
            return cls(corpus, units, found, tuple(range(len(units))), 1.0, work)
        order = Permutation(len(units), 0)(np.arange(len(units))).tolist()
        chosen, characters = [], 0
        for number in order:
            if len(chosen) >= SAMPLED_UNITS and characters >= 4 * most:
                break
            chosen.append(number)
            characters += found.characters[number]
        share = min(1.0, most / max(characters, 1))
        return cls(corpus, units, found, tuple(sorted(chosen)), share, work)

    def facts(self) -> dict[str, Any]:
        """For the facts of the corpus: characters of the sample, about, and of the whole."""
        read = sum(self.found.characters[number] for number in self.chosen)
        return {"characters": int(read * self.share), "of": sum(self.found.characters)}

    def __iter__(self) -> Iterator[str]:
        bound = int(self.share * 2**64)
        for number in self.chosen:
            texts = self.corpus.unit_texts(self.units[number], self.corpus.new_stats())
            if self.found.selection is not None:
                texts = self.found.selection.texts(number, texts, "train")
            for text in texts:
                if self.share < 1:
                    key = hashlib.blake2b(text.encode(), digest_size=8, salt=b"tokenizer")
                    if int.from_bytes(key.digest(), "big") >= bound:
                        continue
                self.work.advance(len(text))
                yield from both([text])


@dataclasses.dataclass(frozen=True)
class Chained:
    """The texts of several samples, one after the other, iterable repeatedly."""

    samples: Sequence[TrainingSample]

    def __iter__(self) -> Iterator[str]:
        for one in self.samples:
            yield from one


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tokenization:
    """The step that writes the ids of both splits.

    train_units, valid_units: of the streams; the same where text is held out
    tokenizer: its folder; coded, paired: see TokenizeTask
    """

    corpus: Noted
    train_units: tuple[Unit, ...]
    valid_units: tuple[Unit, ...]
    found: survey.Survey
    options: Options
    tokenizer: Path
    coded: bool
    paired: bool

    def __call__(self, folder: Path) -> None:
        """Fill a folder of the cache; a second call goes on where the first was interrupted."""
        if not disk_cache.is_whole(folder):
            self._prepare(folder)
        for pattern in ("pieces*.npz", "hits.*.npz", "train.[0-9]*", "valid.[0-9]*", ".draft.*"):
            for path in folder.glob(pattern):  # of units: what is joined has all of it
                path.unlink()

    def _prepare(self, folder: Path) -> None:
        valid, train = self.task("valid", folder), self.task("train", folder)
        size, total = self._valid_size(), self.found.whole.bytes
        with Workers(self.options.number(self.train_units)) as workers:
            work_on(valid, workers, "Tokenising held-out text", size)
            held_out = self._held_out(folder, valid)
            work_on(train, workers, "Tokenising", total)
        compared = overlap.Overlap(held_out)
        for number in train.numbers:
            with np.load(folder / f"hits.{number:06d}.npz") as hits:
                compared.add(hits)
        self._finish(folder, {"train": train, "valid": valid}, compared.facts())

    def _held_out(self, folder: Path, valid: TokenizeTask) -> overlap.TextPieces:
        """What the training text is compared with, of all units; stored for the workers."""
        whole = folder / "pieces.npz"
        if not whole.is_file():
            parts = (folder / f"pieces.{number:06d}.npz" for number in valid.numbers)
            overlap.TextPieces.join(map(overlap.TextPieces.load, parts)).save(whole)
        return overlap.TextPieces.load(whole)

    def _valid_size(self) -> int:
        """Bytes of the held-out text, about."""
        share = self.options.share
        if share is None:
            return sum(unit.size for unit in self.valid_units)
        return min(int(self.found.whole.bytes * share), 2 * self.options.valid_max)

    def task(self, split: str, folder: Path) -> TokenizeTask:
        """The task of a split."""
        units = self.train_units if split == "train" else self.valid_units
        size = self._valid_size()
        return TokenizeTask(
            corpus=self.corpus,
            folder=folder,
            units=units,
            split=split,
            selection=self.found.selection,
            tokenizer=self.tokenizer,
            coded=self.coded,
            paired=self.paired,
            every=-(-size // (2 * self.options.valid_max)) or 1,
            trip_every=round_trip.stride(size),
        )

    def _finish(self, folder: Path, tasks: dict[str, TokenizeTask], compared: dict) -> None:
        """Join the units, and at last write the facts; the files of units stay."""
        digest, stats, facts = SequenceHash(), ReadStats(), {}
        for split, task in tasks.items():
            cards = [task.result(number) for number in task.numbers]
            facts[split] = _joined(folder, split, cards)
            if self.paired:
                facts[split]["source"] = _joined(
                    folder, f"{split}.source", [card["source"] for card in cards]
                )
            if self.coded:
                _join_codes(folder, split, task.numbers, facts[split]["documents"])
            for card in cards:
                digest.extend(SequenceHash(**card["hash"]))
            if split == "valid":
                trips = (round_trip.RoundTrip(**card["round_trip"]) for card in cards)
                trip = sum(trips, round_trip.RoundTrip())
                facts[split]["round_trip"] = dataclasses.asdict(trip)
            if split == "train" or self.found.selection is None:
                for card in cards:
                    stats.add(ReadStats(**card["stats"]))
        known = tokenizers.load(self.tokenizer).ids.codes if self.coded else None
        whole = {"corpus": type(self.corpus).__name__, "corpus_hash": digest.hexdigest()}
        whole |= {"overlap": compared} | ({"codes": known} if self.coded else {})
        whole |= facts | self.corpus.notes(stats, self.found)
        shards.write_whole(folder / "facts.json", json.dumps(whole, indent=1).encode())


def _joined(folder: Path, split: str, cards: list[dict]) -> dict:
    """Counts of a split, whose shards are joined."""
    listed = [shards.Shard(**one) for card in cards for one in card["shards"]]
    counts = shards.join(folder, split, listed)
    return counts | {"bytes": sum(card["bytes"] for card in cards)}


def _join_codes(folder: Path, split: str, numbers: Sequence[int], documents: int) -> None:
    joined = array("i")
    for number in numbers:
        own = np.load(folder / f"{split}.{number:06d}.codes.npy")
        joined.frombytes(own.astype(np.int32).tobytes())
    assert len(joined) == documents
    shards.write_array(folder / f"{split}.codes.npy", np.array(joined, np.int32))
