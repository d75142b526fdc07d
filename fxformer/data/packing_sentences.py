"""Packing for sentence-pair objectives (NSP, SOP): [bos] A [eos] B [eos], and negatives of B."""

import dataclasses
import itertools
from array import array
from typing import ClassVar

import numpy as np

from fxformer.batch import Pairs, Rows, Vocabulary
from fxformer.data.documents import Documents
from fxformer.data.packing import Template, account, members, places
from fxformer.data.packing_index import fitted
from fxformer.errors import UserError
from fxformer.objective.counter_rng import CounterRNG
from fxformer.ranges import ranges
from fxformer.segmentation import ends_sentence
from fxformer.types import Count

MARKS = 3  # bos, eos, eos
TOKENS_PER_SCAN = 1 << 20  # tokens scanned for sentence ends at a time
MAX_EXTRA = 16  # most tokens by which a text cut inside a sentence is longer than B
MAX_STARTS = 1_000_000  # sentence starts that are considered, evenly spaced where there are more


@dataclasses.dataclass(frozen=True)
class NspNegatives:
    """Negatives for next-sentence prediction: texts of the same length from another document.

    The negative of a text of b tokens is a run of whole sentences with b tokens in all, drawn
    uniformly from those of all other documents; where there is none, any b tokens of the longest
    other document. Neither its length nor where it begins and ends distinguishes it from the text
    it replaces, only its content.

    bounds: [D + 1] int64, of the documents
    keys: int64, ascending: length · (N + 1) + start of each run, N being the tokens there are
    """

    bounds: np.ndarray
    keys: np.ndarray

    @classmethod
    def of(cls, bounds: np.ndarray, ends: np.ndarray, room: int) -> "NspNegatives":
        """Index all runs of sentences of up to `room` tokens.

        bounds: [D + 1] int64, of documents, at least two of which are not empty
        ends: int64, ascending, the position after the last token of each sentence
        room: length of the longest text that needs a negative
        """
        points = np.unique(np.concatenate([bounds, ends]))  # where sentences begin and end
        last = bounds[np.minimum(np.searchsorted(bounds, points, side="right"), len(bounds) - 1)]
        here = np.arange(len(points) - 1)
        here = here[:: -(-len(here) // MAX_STARTS) if len(here) else 1]
        keys, step = [np.empty(0, np.int64)], 1
        while len(here := here[here + step < len(points)]):
            size = points[here + step] - points[here]
            fits = (size <= room) & (points[here + step] <= last[here])
            here = here[fits]
            keys.append(size[fits] * (bounds[-1] + 1) + points[here])
            step += 1
        return cls(np.asarray(bounds, np.int64), np.sort(np.concatenate(keys)))

    @property
    def longest(self) -> int:
        """Length of the longest text that has a negative, whatever document it is from."""
        return int(np.sort(np.diff(self.bounds))[-2])

    def __call__(self, size: np.ndarray, document: np.ndarray, draws: CounterRNG) -> np.ndarray:
        """Start positions of negatives: [n] int64.

        size: [n] int64, lengths of the texts, at most `longest`; document: [n] int64, theirs
        """
        unit = self.bounds[-1] + 1
        edges = (size * unit, size * unit + self.bounds[document])
        low, own = (np.searchsorted(self.keys, edge) for edge in edges)
        own_end = np.searchsorted(self.keys, size * unit + self.bounds[document + 1])
        high = np.searchsorted(self.keys, (size + 1) * unit)
        count = high - low - (own_end - own)
        at = low + draws.below("rival", count)
        at = np.where(at < own, at, at + own_end - own)
        elsewhere = self._any_position(size, document, draws)
        if not len(self.keys):
            return elsewhere
        found = self.keys[np.minimum(at, len(self.keys) - 1)] - size * unit
        return np.where(count > 0, found, elsewhere)

    def _any_position(
        self, size: np.ndarray, document: np.ndarray, draws: CounterRNG
    ) -> np.ndarray:
        second, first = np.argsort(np.diff(self.bounds), kind="stable")[-2:]
        other = np.where(document == first, second, first)
        spare = np.diff(self.bounds)[other] - size
        return self.bounds[other] + draws.below("elsewhere", spare + 1)


@dataclasses.dataclass(frozen=True)
class SentenceRows:
    """A `Packed` of pieces of whole sentences, each in two parts; see `SentencePairs`.

    start, size: [P] int64, where a piece's text is in documents.tokens, and how long it is
    order, bounds: which pieces lie in which row; see `PackedPieces`
    ends: int64, ascending, where sentences end (the place behind their last token)
    negatives: None where there is only one document
    """

    documents: Documents
    length: int
    template: Template
    start: np.ndarray
    size: np.ndarray
    order: np.ndarray
    bounds: np.ndarray
    ends: np.ndarray
    negatives: NspNegatives | None

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def rows(self, which: np.ndarray, seed: int = 0, epoch: int = 0) -> Rows:
        bos, eos = self.template.bos, self.template.eos
        assert bos is not None and eos is not None  # SentencePairs checks it
        piece, row, number = members(self.order, self.bounds, which)
        draws = CounterRNG.of(seed, epoch, piece).within("sentence pair")
        first, mid_sentence = self.split(piece, draws)
        width = self.size[piece] + MARKS
        place, owner = ranges(places(row, width, self.length), width), _owners(width)
        rank, a = ranges(np.zeros_like(width), width), first[owner]
        second = rank > a + 1
        marks = np.where(rank == 0, bos, eos)
        marked = (rank == 0) | (rank == a + 1) | (rank == width[owner] - 1)

        def laid(values: np.ndarray, fill: int) -> np.ndarray:
            whole = np.full((len(which), self.length), fill, values.dtype)
            whole.flat[place] = values
            return whole

        def text(at: np.ndarray) -> np.ndarray:
            at = np.clip(at, 0, len(self.documents.tokens) - 1)  # marks stand beside the text
            ids = np.where(marked, marks, self.documents.tokens[at]).astype(np.int32)
            return laid(ids, self.template.pad)

        own = self.start[piece][owner] + rank - 1 - second
        home = self.documents.at(self.start[piece])
        pairs = Pairs(laid(second.astype(np.int32), 0), laid(home[owner], -1))
        if self.negatives is not None:
            other = self.negative_starts(piece, first, mid_sentence, draws)
            away = self.documents.at(other)
            pairs = dataclasses.replace(
                pairs,
                negatives=text(np.where(second, other[owner] + rank - a - 2, own)),
                negative_documents=laid(np.where(second, away[owner], home[owner]), -1),
            )
        segments = laid((number[owner] + 1).astype(np.int32), 0)
        return Rows(text(own), segments, laid(piece[owner], -1), seed, epoch, pairs=pairs)

    def negative_starts(self, piece, first, mid_sentence, draws: CounterRNG) -> np.ndarray:
        """Start positions of the negatives of B. [n] int64.

        Where B begins inside a sentence, so does its negative: it is the end of a text as long as
        the whole piece. Where B ends inside one, its negative is the beginning of a longer text.
        """
        assert self.negatives is not None
        start, size = self.start[piece], self.size[piece]
        most = np.minimum(self.negatives.longest, self.length - MARKS)
        mid_sentence = mid_sentence & (size <= most)
        last = np.minimum(np.searchsorted(self.ends, start + size), max(len(self.ends) - 1, 0))
        whole = self.ends[last] == start + size if len(self.ends) else np.ones(len(size), bool)
        beyond = np.where(mid_sentence | whole, 0, 1 + draws.below("beyond", MAX_EXTRA))
        size_needed = np.minimum(np.where(mid_sentence, size, size - first) + beyond, most)
        home = self.documents.at(start)
        return self.negatives(size_needed, home, draws) + mid_sentence * first

    def split(self, piece: np.ndarray, draws: CounterRNG) -> tuple[np.ndarray, np.ndarray]:
        """Number of tokens in A, and whether B begins inside a sentence. [n] int64, [n] bool.

        A ends at one of the sentence ends inside the piece; where there is none, anywhere.
        """
        start, size = self.start[piece], self.size[piece]
        least = np.ones_like(size)  # so many that there is a negative as long as B
        if self.negatives is not None:
            least = np.maximum(size - self.negatives.longest, 1)
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
    has a negative of B too, equally long, from another document; see `NspNegatives`. So neither
    punctuation nor length distinguishes right from wrong. Several pieces share a row, as in
    data/packing=segments. A remainder of one token is dropped, and counted.

    window: pieces are fitted together within so many neighbours, which bounds time and memory
    """

    window: Count = 65536
    makes_sentence_pairs: ClassVar[bool] = True

    def __call__(self, documents: Documents, length: int, template: Template) -> SentenceRows:
        room = length - MARKS
        self._check(documents, room, template)
        ends = np.empty(0, np.int64)
        if template.vocabulary is not None:
            ends = sentence_ends(documents, template.vocabulary)
        start, size = whole_sentences(documents, room, ends)
        order, bounds = fitted(template.widths(size, length, MARKS), length, self.window)
        sizes = np.diff(documents.bounds)
        several = np.count_nonzero(sizes) > 1
        negatives = NspNegatives.of(documents.bounds, ends, room) if several else None
        return SentenceRows(
            documents, length, template, start, size, order, bounds, ends, negatives
        )

    def _check(self, documents: Documents, room: int, template: Template) -> None:
        if template.bos is None or template.eos is None:
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


def sentence_ends(documents: Documents, vocabulary: Vocabulary) -> np.ndarray:
    """Position after the last token of each sentence, ascending. int64.

    Works on some documents at a time, which bounds memory.
    """
    bounds, found, low = np.asarray(documents.bounds), [np.empty(0, np.int64)], 0
    while low < len(documents):
        high = max(
            np.searchsorted(bounds, bounds[low] + TOKENS_PER_SCAN, side="right") - 1, low + 1
        )
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
    starts, sizes = array("q"), array("q")
    for begin, stop in itertools.pairwise(map(int, documents.bounds)):
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
