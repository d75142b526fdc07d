"""Documents into rows of one length: cut into pieces, and pieces fitted together, none lost."""

import dataclasses
from typing import Protocol

import numpy as np

from fxformer.batch import Limit, Rows, Vocabulary
from fxformer.data.documents import Documents
from fxformer.data.packing_index import Width, cut_pieces, packing_index
from fxformer.errors import UserError
from fxformer.ranges import ranges
from fxformer.types import Count


@dataclasses.dataclass(frozen=True)
class Template:
    """What is put around text, and what else rows must have room for.

    prefix, suffix: int32 ids; pad, bos, eos: an id (None: no such)
    vocabulary: tells where sentences end (None: not known)
    limits: what rows hold at most besides their tokens
    source: that of the sources of pairs, where they have another tokenizer
    """

    pad: int
    prefix: np.ndarray
    suffix: np.ndarray
    bos: int | None = None
    eos: int | None = None
    vocabulary: Vocabulary | None = None
    limits: tuple[Limit, ...] = ()
    source: "Template | None" = None

    def widths(self, size: np.ndarray, length: int, marks: int | None = None) -> np.ndarray:
        """Places of a row of `length` that pieces of `size` text tokens take: their tokens, or, if
        that is more, the same share of the row as they take of a limit. So pieces whose widths fit
        a row fit every limit. marks: tokens around the text (None: of the template). int64."""
        around = len(self.prefix) + len(self.suffix) if marks is None else marks
        width = size + around
        for limit in self.limits:
            share = limit.need(size, around, len(self.suffix)) / limit.room
            width = np.maximum(width, np.ceil(share * length - 1e-9).astype(np.int64))
        return np.minimum(width, length)


class Packed(Protocol):
    """All rows of a split, made when they are asked for."""

    @property
    def length(self) -> int:
        """Tokens in a row."""
        ...

    def __len__(self) -> int: ...

    def rows(self, which: np.ndarray, seed: int = 0, epoch: int = 0) -> Rows:
        """The rows of these numbers ([B] int64); -1 gives a row of padding. examples are piece
        numbers within the split. What is drawn, if anything, depends on (seed, epoch, example)."""
        ...

    def facts(self) -> dict:
        """rows, row_length, pieces, tokens_in == tokens_used + tokens_dropped, padding_share."""
        ...


class Packing(Protocol):
    """A knob of a corpus: `packing(documents, length, template) -> Packed`."""

    def __call__(self, documents: Documents, length: int, template: Template) -> Packed: ...


@dataclasses.dataclass(frozen=True)
class PackedPieces:
    """A `Packed` of pieces that lie side by side in rows, each with its template.

    start, size: [P] int64, where a piece's text is in documents.tokens, and how long it is
    order: [P] int64, pieces by row and by place in it; bounds: [R + 1] int64, into `order`
    """

    documents: Documents
    length: int
    template: Template
    start: np.ndarray
    size: np.ndarray
    order: np.ndarray
    bounds: np.ndarray

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def rows(self, which: np.ndarray, seed: int = 0, epoch: int = 0) -> Rows:
        piece, row, number = members(self.order, self.bounds, which)
        width = self.size[piece] + len(self.template.prefix) + len(self.template.suffix)
        begin = places(row, width, self.length)
        shape = (len(which), self.length)
        tokens = np.full(shape, self.template.pad, np.int32)
        segments, examples = np.zeros(shape, np.int32), np.full(shape, -1, np.int64)
        whole = ranges(begin, width)
        segments.flat[whole] = np.repeat(number + 1, width)
        examples.flat[whole] = np.repeat(piece, width)
        end = begin + width - len(self.template.suffix)
        for ids, at in ((self.template.prefix, begin), (self.template.suffix, end)):
            tokens.flat[(at[:, None] + np.arange(len(ids))).ravel()] = np.tile(ids, len(at))
        if self.documents.codes is not None:  # in the place the template keeps for it
            home = self.documents.at(self.start[piece])
            tokens.flat[begin] = self.documents.codes[home]
        text = ranges(begin + len(self.template.prefix), self.size[piece])
        taken = ranges(self.start[piece], self.size[piece])
        tokens.flat[text] = self.documents.tokens[taken]
        scored = None
        if self.documents.scored is not None:
            scored = np.zeros(shape, bool)
            scored.flat[text] = self.documents.scored[taken]
        return Rows(tokens, segments, examples, seed, epoch, scored=scored)

    def facts(self) -> dict:
        around = len(self.start) * (len(self.template.prefix) + len(self.template.suffix))
        return account(self, len(self.start), len(self.documents.tokens), self.size.sum(), around)


def members(order: np.ndarray, bounds: np.ndarray, which: np.ndarray):
    """What lies in the rows `which`: piece, row (place in `which`), number in its row; [n] each."""
    which = np.asarray(which, np.int64)
    real = np.flatnonzero(which >= 0)
    counts = bounds[which[real] + 1] - bounds[which[real]]
    number = ranges(np.zeros_like(counts), counts)
    return order[ranges(bounds[which[real]], counts)], np.repeat(real, counts), number


def places(row: np.ndarray, width: np.ndarray, length: int) -> np.ndarray:
    """Where each piece begins in rows of `length`, flattened. row: [n] ascending; width: [n]."""
    begin = np.cumsum(width) - width  # place of each piece, as if rows were joined unpadded
    first = np.r_[True, row[1:] != row[:-1]] if len(row) else np.zeros(0, bool)
    return begin + row * length - np.repeat(begin[first], np.bincount(np.cumsum(first) - 1))


def account(packed: Packed, pieces: int, tokens: int, used: int, around: int) -> dict:
    """The facts of a packing. around: special tokens the template or the joining added."""
    room = len(packed) * packed.length
    return {
        "rows": len(packed),
        "row_length": packed.length,
        "pieces": int(pieces),
        "tokens_in": int(tokens),
        "tokens_used": int(used),
        "tokens_dropped": int(tokens - used),
        "padding_share": round(1 - int(used + around) / room, 6) if room else 0.0,
    }


def room_of(documents: Documents, length: int, template: Template) -> int:
    """Text tokens of a row. UserError if there is no room, or too little for a document with
    scored tokens, which stays whole."""
    room = length - len(template.prefix) - len(template.suffix)
    if room < 1:
        raise UserError(
            f"rows of {length} tokens have no room for text beside the template's "
            f"{len(template.prefix)} + {len(template.suffix)}: raise data.length"
        )
    if documents.scored is not None and len(documents):
        sizes = np.diff(documents.bounds)
        if sizes.max() > room:
            raise UserError(
                f"example {sizes.argmax()} has {sizes.max()} tokens, rows of {length} hold {room}, "
                f"and examples are never cut: data.length must be {sizes.max() - room} more"
            )
    return room


def cut(documents: Documents, length: int, template: Template) -> tuple[np.ndarray, np.ndarray]:
    """start and size ([P] int64) of pieces that fit a row with their template: full ones, a rest.
    Documents with scored tokens stay whole; UserError if one is too long."""
    none = np.zeros(0, np.int64)
    parts = cut_pieces(documents, room_of(documents, length, template))
    start, size = zip((none, none), *parts, strict=True)
    return np.concatenate(start), np.concatenate(size)


@dataclasses.dataclass(frozen=True)
class Padded:
    """One piece a row."""

    def __call__(self, documents: Documents, length: int, template: Template) -> PackedPieces:
        def width(size: np.ndarray) -> np.ndarray:
            return np.full_like(size, length)

        return _packed(documents, length, template, width, 65536)


@dataclasses.dataclass(frozen=True)
class Segments:
    """Several pieces a row, kept apart by segment numbers: best fit, longest first.

    window: pieces are fitted together within so many neighbours, which bounds time and memory
    """

    window: Count = 65536

    def __call__(self, documents: Documents, length: int, template: Template) -> PackedPieces:
        def width(size: np.ndarray) -> np.ndarray:
            return template.widths(size, length)

        return _packed(documents, length, template, width, self.window)


def _packed(
    documents: Documents, length: int, template: Template, width: Width, window: int
) -> PackedPieces:
    """Pieces whose widths fit a row share it."""
    room = room_of(documents, length, template)
    index = packing_index(documents, room, length, width, window)
    start, size, order, bounds = index.start, index.size, index.order, index.bounds
    return PackedPieces(documents, length, template, start, size, order, bounds)


@dataclasses.dataclass(frozen=True)
class Stream:
    """A `Packed` whose row r is places [r * length, (r + 1) * length) of the stream
    document, eos, document, eos, …; a row is one segment, and one example."""

    documents: Documents
    length: int
    template: Template

    @property
    def joint(self) -> int:
        """Tokens after each document: 1, or 0 where the vocabulary has no eos."""
        return int(self.template.eos is not None)

    def __len__(self) -> int:
        total = len(self.documents.tokens) + self.joint * len(self.documents)
        return -(-total // self.length)

    def rows(self, which: np.ndarray, seed: int = 0, epoch: int = 0) -> Rows:
        which = np.asarray(which, np.int64)[:, None]
        place = which * self.length + np.arange(self.length)
        last = len(self.documents) - 1
        inside = (which >= 0) & (place < self.end_of(np.asarray(last)))
        place_inside = np.where(inside, place, 0)
        first = self.document_at(place_inside.min(axis=1))
        near = np.unique(ranges(first, self.document_at(place_inside.max(axis=1)) - first + 1))
        document = near[np.searchsorted(self.end_of(near), place_inside, side="right")]
        at = np.where(inside, place - self.joint * document, 0)
        is_text = inside & (at < self.documents.bounds[document + 1])
        text = self.documents.tokens[np.where(is_text, at, 0)]
        between = self.template.pad if self.template.eos is None else self.template.eos
        tokens = np.where(is_text, text, np.where(inside, between, self.template.pad))
        tokens, examples = tokens.astype(np.int32), np.where(inside, which, -1)
        return Rows(tokens, inside.astype(np.int32), examples, seed, epoch)

    def end_of(self, document: np.ndarray) -> np.ndarray:
        """The place of the stream behind each document and what follows it."""
        return self.documents.bounds[document + 1] + self.joint * (document + 1)

    def document_at(self, place: np.ndarray) -> np.ndarray:
        """The document at places of the stream, by bisection: the ends of documents are not held
        in memory. [n] int64."""
        low, high = np.zeros_like(place), np.full_like(place, len(self.documents) - 1)
        while (low < high).any():
            middle = (low + high) // 2
            behind = self.end_of(middle) <= place
            low, high = np.where(behind, middle + 1, low), np.where(behind, high, middle)
        return low

    def facts(self) -> dict:
        tokens = len(self.documents.tokens)
        return account(self, len(self), tokens, tokens, self.joint * len(self.documents))


def joined(name: str, documents: Documents, length: int, template: Template) -> Stream:
    """All documents as one stream for data/packing=`name`. UserError for documents that cannot
    be cut or joined."""
    if documents.scored is not None or documents.source is not None:
        raise UserError(f"data/packing={name} would cut examples: take segments or padded")
    if documents.codes is not None:
        raise UserError(
            f"data/packing={name} joins texts of different control codes: take segments or "
            "padded, or data.code=null"
        )
    return Stream(documents, length, template)


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Every row full but the last; text of different documents may meet in a row (Radford et al.
    2019). The tokenizer's template is not used."""

    def __call__(self, documents: Documents, length: int, template: Template) -> Stream:
        return joined("blocks", documents, length, template)
