"""Packing for BERT and ALBERT: pieces [bos] A [eos] B [eos] of one document, and rivals of B."""

import dataclasses
import itertools
from typing import ClassVar

import numpy as np

from fxformer.batch import Pairs, Rows, Vocabulary
from fxformer.data.documents import Documents
from fxformer.data.pack import Frame, account, fitted, members, places
from fxformer.data.rivals import Rivals
from fxformer.errors import UserError
from fxformer.objective.counter_rng import Draws
from fxformer.ranges import ranges
from fxformer.segmentation import ends_sentence
from fxformer.types import Count

MARKS = 3  # bos, eos, eos
AT_ONCE = 1 << 20  # tokens in which sentence ends are looked for at once
BEYOND = 16  # tokens at most by which a text is longer that is cut to end inside a sentence


@dataclasses.dataclass(frozen=True)
class SentenceRows:
    """A `Packed` of pieces of whole sentences, each in two parts; see `SentencePairs`.

    start, size: [P] int64, where a piece's text is in documents.tokens, and how long it is
    order, bounds: which pieces lie in which row; see `Pieces`
    ends: int64, ascending, where sentences end (the place behind their last token)
    rivals: None where there is only one document
    """

    documents: Documents
    length: int
    frame: Frame
    start: np.ndarray
    size: np.ndarray
    order: np.ndarray
    bounds: np.ndarray
    ends: np.ndarray
    rivals: Rivals | None

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def rows(self, which: np.ndarray, seed: int = 0, epoch: int = 0) -> Rows:
        piece, row, number = members(self.order, self.bounds, which)
        draws = Draws.of(seed, epoch, piece).within("sentence pair")
        first, torn = self.split(piece, draws)
        width = self.size[piece] + MARKS
        place, owner = ranges(places(row, width, self.length), width), _owners(width)
        rank, a = ranges(np.zeros_like(width), width), first[owner]
        second = rank > a + 1
        marks = np.where(rank == 0, self.frame.bos, self.frame.eos)
        marked = (rank == 0) | (rank == a + 1) | (rank == width[owner] - 1)

        def laid(values: np.ndarray, fill: int) -> np.ndarray:
            whole = np.full((len(which), self.length), fill, values.dtype)
            whole.flat[place] = values
            return whole

        def text(at: np.ndarray) -> np.ndarray:
            at = np.clip(at, 0, len(self.documents.tokens) - 1)  # marks stand beside the text
            ids = np.where(marked, marks, self.documents.tokens[at]).astype(np.int32)
            return laid(ids, self.frame.pad)

        own = self.start[piece][owner] + rank - 1 - second
        home = self.documents.at(self.start[piece])
        pairs = Pairs(laid(second.astype(np.int32), 0), laid(home[owner], -1))
        if self.rivals is not None:
            other = self.rival(piece, first, torn, draws)
            away = self.documents.at(other)
            pairs = dataclasses.replace(
                pairs,
                rivals=text(np.where(second, other[owner] + rank - a - 2, own)),
                rival_documents=laid(np.where(second, away[owner], home[owner]), -1),
            )
        segments = laid((number[owner] + 1).astype(np.int32), 0)
        return Rows(text(own), segments, laid(piece[owner], -1), seed, epoch, pairs=pairs)

    def rival(self, piece, first, torn, draws: Draws) -> np.ndarray:
        """Where the rivals of B begin. [n] int64. Where B begins inside a sentence, its rival does
        so too: it is the end of a text as long as the whole piece. Where B ends inside one, its
        rival is the beginning of a longer text."""
        start, size = self.start[piece], self.size[piece]
        most = np.minimum(self.rivals.longest, self.length - MARKS)
        torn = torn & (size <= most)
        last = np.minimum(np.searchsorted(self.ends, start + size), max(len(self.ends) - 1, 0))
        whole = self.ends[last] == start + size if len(self.ends) else np.ones(len(size), bool)
        beyond = np.where(torn | whole, 0, 1 + draws.below("beyond", BEYOND))
        asked = np.minimum(np.where(torn, size, size - first) + beyond, most)
        home = self.documents.at(start)
        return self.rivals(asked, home, draws) + torn * first

    def split(self, piece: np.ndarray, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
        """Tokens of A, up to one of the sentence ends inside a piece, else any; and whether it is
        such a piece without any. [n] int64, [n] bool."""
        start, size = self.start[piece], self.size[piece]
        least = np.ones_like(size)  # so many that there is a rival as long as B
        if self.rivals is not None:
            least = np.maximum(size - self.rivals.longest, 1)
        low = np.searchsorted(self.ends, start + least)
        inside = np.searchsorted(self.ends, start + size) - low
        chosen = np.minimum(low + draws.below("end", inside), max(len(self.ends) - 1, 0))
        anywhere = least + draws.below("place", size - least)
        if not len(self.ends):
            return anywhere, inside == 0
        return np.where(inside > 0, self.ends[chosen] - start, anywhere), inside == 0

    def facts(self) -> dict:
        """Also: the share of pieces in which no sentence ends, which are split anywhere."""
        pieces, used = len(self.start), self.size.sum()
        low = np.searchsorted(self.ends, self.start + 1)
        without = np.searchsorted(self.ends, self.start + self.size) <= low
        facts = account(self, pieces, len(self.documents.tokens), used, MARKS * pieces)
        return facts | {"split_inside_a_sentence": round(float(without.mean()), 6)}


@dataclasses.dataclass(frozen=True)
class SentencePairs:
    """Pieces `[bos] A [eos] B [eos]`: A and B follow each other in a document. Devlin et al. 2019,
    sec. 3.1, task 2; Lan et al. 2020, sec. 3.1.

    A piece is as many whole sentences as a row holds (a longer sentence is cut), A some of the
    first of them: each sentence end inside is equally likely, drawn anew every epoch. Each piece
    has a rival of B too, equally long, from another document; see `Rivals`. So neither punctuation
    nor length tells right from wrong. Several pieces share a row, as in data/packing=segments. A
    rest of one token is left out, and counted.

    window: pieces are fitted together within so many neighbours, which bounds time and memory
    """

    window: Count = 65536
    makes_sentence_pairs: ClassVar[bool] = True

    def __call__(self, documents: Documents, length: int, frame: Frame) -> SentenceRows:
        room = length - MARKS
        self._check(documents, room, frame)
        ends = np.empty(0, np.int64)
        if frame.vocabulary is not None:
            ends = sentence_places(documents, frame.vocabulary)
        start, size = whole_sentences(documents, room, ends)
        order, bounds = fitted(frame.widths(size, length, MARKS), length, self.window)
        sizes = np.diff(documents.bounds)
        several = np.count_nonzero(sizes) > 1
        rivals = Rivals.of(documents.bounds, ends, room) if several else None
        return SentenceRows(documents, length, frame, start, size, order, bounds, ends, rivals)

    def _check(self, documents: Documents, room: int, frame: Frame) -> None:
        if frame.bos is None or frame.eos is None:
            raise UserError("data/packing=sentence_pairs needs a vocabulary with bos and eos")
        if documents.scored is not None or documents.source is not None:
            raise UserError(
                "data/packing=sentence_pairs cuts single texts in two, and these are given "
                "examples: take data/packing=segments, padded or paired"
            )
        if documents.codes is not None:
            raise UserError("data/packing=sentence_pairs has no place for codes: data.code=null")
        if room < 2:
            raise UserError(
                f"rows of {room + MARKS} tokens have no room for two texts beside {MARKS} marks: "
                "raise data.length"
            )


def sentence_places(documents: Documents, vocabulary: Vocabulary) -> np.ndarray:
    """The place behind the last token of each sentence, ascending. int64. Some documents at a time,
    which bounds the memory."""
    bounds, found, low = np.asarray(documents.bounds), [np.empty(0, np.int64)], 0
    while low < len(documents):
        high = max(np.searchsorted(bounds, bounds[low] + AT_ONCE, side="right") - 1, low + 1)
        tokens = np.asarray(documents.tokens[bounds[low] : bounds[high]])
        new = np.zeros(len(tokens) + 1, bool)
        new[bounds[low:high] - bounds[low]] = True
        ends = ends_sentence(vocabulary, tokens, new[:-1])
        found.append(np.flatnonzero(ends) + 1 + bounds[low])
        low = high
    return np.concatenate(found)


def whole_sentences(
    documents: Documents, room: int, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """start and size ([P] int64) of pieces of 2 … room tokens that end where a sentence does."""
    starts, sizes = [], []
    for begin, stop in itertools.pairwise(documents.bounds.tolist()):
        while stop - begin > 1:
            cut = min(begin + room, stop)
            if cut < stop and (last := np.searchsorted(ends, cut, side="right")):
                cut = int(ends[last - 1]) if ends[last - 1] > begin + 1 else cut
            starts.append(begin)
            sizes.append(cut - begin)
            begin = cut
    return np.array(starts, np.int64), np.array(sizes, np.int64)


def _owners(width: np.ndarray) -> np.ndarray:
    """0, 0, 1 …: the piece of each token."""
    return np.repeat(np.arange(len(width)), width)
