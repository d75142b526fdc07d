"""A split of a corpus as ids: one long array, and where each document begins and ends."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np


@dataclasses.dataclass(frozen=True)
class Documents:
    """tokens: [N] int32, all documents one after the other, without template
    bounds: [D + 1] int64; document d is tokens[bounds[d] : bounds[d + 1]]
    scored: [N] bool, the tokens whose prediction counts; None: all
    codes: [D] int32, the control code each document is read behind; None: there are none
    source, source_bounds: as tokens and bounds, for documents that answer a source; else None
    folder: of the cache, where the tokens lie on disk; None: in memory

    The arrays may be mapped files, and tokens and source a ShardedIds (shards.py).
    """

    tokens: np.ndarray
    bounds: np.ndarray
    scored: np.ndarray | None = None
    source: np.ndarray | None = None
    source_bounds: np.ndarray | None = None
    codes: np.ndarray | None = None
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def at(self, place: np.ndarray) -> np.ndarray:
        """The number of the document each place in `tokens` belongs to. int64."""
        return np.searchsorted(self.bounds, place, side="right") - 1


def join(parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """One array and its bounds from many."""
    bounds = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    return np.concatenate([*parts, np.empty(0, np.int32)]).astype(np.int32), bounds


class SourceText(str):
    """The source of a pair, where sources and targets come in one stream."""


class Target(str):
    """A document that is the target of a pair."""

    source: str

    def __new__(cls, text: str, source: str):
        made = super().__new__(cls, text)
        made.source = source
        return made


def source_of(text: str) -> str | None:
    """The source of a text, or None."""
    return getattr(text, "source", None)


def both(texts: Iterable[str]) -> Iterator[str]:
    """All texts, each target after its source: what a tokenizer is trained on."""
    for text in texts:
        if (source := source_of(text)) is not None:
            yield SourceText(source)
        yield text
