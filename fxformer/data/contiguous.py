"""Rows that continue each other from batch to batch, for a model with a memory of earlier rows.

The documents of an epoch are one stream: document, eos, document, eos, … It is cut into as many
lanes of equal length as a batch has rows; row r of batch s + 1 continues row r of batch s in lane r
(Dai et al. 2019, sec. 3.2).
"""

import dataclasses
import functools
from typing import ClassVar

import numpy as np

from fxformer.batch import Rows
from fxformer.data.documents import Documents
from fxformer.data.loader import check_enough
from fxformer.data.packing import Packed, Stream, Template, account, joined
from fxformer.data.permutation import Permutation
from fxformer.types import Count

GROUPS = 1 << 16  # of neighbouring documents, at most, that an epoch puts in another order


@dataclasses.dataclass(frozen=True)
class DocumentOrder:
    """The stream of an epoch: groups of neighbouring documents in permuted order. With up to 2^16
    documents each is a group of its own, so memory does not grow with a corpus.

    begins: [G] int64, where each group begins in the stream of the epoch, ascending
    shift: [G] int64, from there to where it begins in the stream of all documents as stored
    """

    begins: np.ndarray
    shift: np.ndarray

    @classmethod
    def of_epoch(cls, stream: Stream, seed: int, epoch: int) -> "DocumentOrder":
        """By a keyed permutation (permutation.py)."""
        count = len(stream.documents)
        firsts = np.arange(0, count, -(-count // GROUPS))
        stored = stream.documents.bounds[firsts] + stream.joint * firsts
        sizes = np.diff(stored, append=total_of(stream))
        order = Permutation(len(firsts), seed, epoch)(np.arange(len(firsts)))
        begins = np.cumsum(sizes[order]) - sizes[order]
        return cls(begins, stored[order] - begins)

    def stored(self, place: np.ndarray) -> np.ndarray:
        """Places of the stream of the epoch as places of the stream as stored."""
        return place + self.shift[np.searchsorted(self.begins, place, side="right") - 1]


def total_of(stream: Stream) -> int:
    """Tokens of a stream, those between documents included."""
    return len(stream.documents.tokens) + stream.joint * len(stream.documents)


@dataclasses.dataclass(frozen=True)
class ContinuedStream:
    """A `Packed` that `ContinuedBatches` cuts into lanes. Its own `rows` are those of one lane, the
    documents as stored, with nothing before any of them.

    A model reads all tokens of a row but the last, which is only a target and the first token of
    the row that continues it. A segment is what a row has of one document, eos included. The
    `positions` count from the beginning of the document, or of the lane, if that is later.

    length: tokens in a row
    memory: positions before a row whose hidden states it attends to
    """

    stream: Stream
    length: int
    memory: int

    @property
    def step(self) -> int:
        """Places between the beginnings of a row and of the one that continues it."""
        return self.length - 1

    @functools.cached_property
    def total(self) -> int:
        """Tokens of the stream."""
        return total_of(self.stream)

    def __len__(self) -> int:
        return -(-self.total // self.step)

    def rows(self, which: np.ndarray, seed: int = 0, epoch: int = 0) -> Rows:
        begin = np.asarray(which, np.int64) * self.step
        end = np.where(begin < 0, begin, self.total)
        return self.read(begin, begin, end, None, seed, epoch)

    def read(
        self,
        begin: np.ndarray,
        lane: np.ndarray,
        end: np.ndarray,
        order: DocumentOrder | None,
        seed: int,
        epoch: int,
    ) -> Rows:
        """Rows that begin at these places of the stream. [B] int64 each.

        lane: where the lane of each row begins
        end: the place behind the last that a row may have; none at or before `begin`: padding
        order: of the documents; None: as stored
        """
        stream, documents = self.stream, self.stream.documents
        place = begin[:, None] + np.arange(self.length)
        inside = place < end[:, None]
        place = np.where(inside, place, 0)
        stored = place if order is None else order.stored(place)
        document = stream.document_at(stored)
        own = stored - (documents.bounds[document] + stream.joint * document)  # index in it
        is_text = inside & (stored - stream.joint * document < documents.bounds[document + 1])
        text = documents.tokens[np.where(is_text, stored - stream.joint * document, 0)]
        template = stream.template
        between = template.pad if template.eos is None else template.eos
        tokens = np.where(is_text, text, np.where(inside, between, template.pad))
        changes = np.diff(document, axis=1, prepend=document[:, :1]) != 0
        return Rows(
            tokens.astype(np.int32),
            np.where(inside, 1 + np.cumsum(changes, axis=1), 0).astype(np.int32),
            np.where(inside, document, -1),
            seed,
            epoch,
            positions=np.where(inside, np.minimum(own, place - lane[:, None]), 0),
        )

    def facts(self) -> dict:
        stream, tokens = self.stream, len(self.stream.documents.tokens)
        known = account(self, len(stream.documents), tokens, tokens, 0)
        padding = round(1 - self.total / (len(self) * self.step), 6)
        return known | {"padding_share": padding, "memory": self.memory}


class ContinuedBatches:
    """Endless batches whose row r continues row r of the batch before: a function of seed and
    number. Every epoch reads the whole stream once, its documents in another order; the lanes of an
    epoch begin with nothing before them.

    Raises UserError where there are fewer rows than `batch`.

    seed: of the order of the documents; None: as they are stored
    own: numbers of the rows of each batch that are made; None: all
    """

    def __init__(
        self, packed: ContinuedStream, batch: int, seed: int | None, own: np.ndarray | None = None
    ):
        if seed is not None:
            check_enough(packed, batch)
        self.packed, self.seed = packed, seed
        self.edges = np.arange(batch + 1) * packed.total // batch  # of the lanes
        self.own = np.arange(batch) if own is None else own
        self.steps_per_epoch = int(-(-np.diff(self.edges).max() // packed.step))
        self._order = functools.lru_cache(2)(self._ordered)

    def _ordered(self, epoch: int) -> DocumentOrder | None:
        if self.seed is None:
            return None
        return DocumentOrder.of_epoch(self.packed.stream, self.seed, epoch)

    def epoch(self, n: int) -> int:
        return n // self.steps_per_epoch

    def __getitem__(self, n: int) -> Rows:
        if n < 0:
            raise IndexError(f"batch {n}")
        epoch, step = divmod(n, self.steps_per_epoch)
        lane, after = self.edges[self.own], self.edges[self.own + 1]
        begin = lane + step * self.packed.step
        # The first token of the next lane is the target of the last one of this.
        end = np.where(begin < after, np.minimum(after + 1, self.packed.total), begin)
        return self.packed.read(begin, lane, end, self._order(epoch), self.seed or 0, epoch)


class ContinuedPass(ContinuedBatches):
    """The batches of one epoch, documents as stored; the last ones are filled with padding."""

    def __len__(self) -> int:
        return self.steps_per_epoch

    def epoch(self, n: int) -> int:
        return 0

    def __getitem__(self, n: int) -> Rows:
        if not 0 <= n < len(self):
            raise IndexError(f"batch {n} of {len(self)}")
        return super().__getitem__(n)


@dataclasses.dataclass(frozen=True)
class Contiguous:
    """Rows of one stream that continue those of the batch before (Transformer-XL). As in `Blocks`,
    the tokenizer's template is not used.

    memory: positions before a row whose hidden states, of every layer, it attends to
    """

    carries_memory: ClassVar[bool] = True  # read by the check of a config

    memory: Count = 128

    def __call__(self, documents: Documents, length: int, template: Template) -> Packed:
        stream = joined("contiguous", documents, length, template)
        return ContinuedStream(stream, length, self.memory)
