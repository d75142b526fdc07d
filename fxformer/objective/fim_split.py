"""Split points of fill in the middle: between tokens, or between characters."""

import dataclasses
from typing import Protocol

import numpy as np

from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, starts_of
from fxformer.spelling import Spelling, begins

Cuts = tuple[np.ndarray, np.ndarray]  # units before the first and the second cut, [P] int64 each


class Split(Protocol):
    """What a text is measured in when it is cut.

    spare: tokens that a piece may grow by, besides its marks
    """

    @property
    def spare(self) -> int: ...

    def units(self, tokens: np.ndarray) -> np.ndarray:
        """How many units begin in each of these tokens. [n] int64."""
        ...

    def can(self, pieces: Pieces) -> np.ndarray:
        """Which pieces can be cut so. [P] bool."""
        ...

    def parted(self, pieces: Pieces, which: np.ndarray, cuts: Cuts) -> tuple[Pieces, Cuts]:
        """The pieces with those of `which` [P] bool cut, and the cuts counted in tokens."""
        ...

    def between(self, pieces: Pieces, cuts: Cuts) -> Cuts:
        """Tokens wholly before each cut: where it is moved to if no token may be cut in two."""
        ...

    def spelt(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What these tokens are made of, and of how much each. [k], [n]."""
        ...


class TokenSplit:
    """Cuts between tokens: no token is new."""

    spare = 0

    def units(self, tokens: np.ndarray) -> np.ndarray:
        return np.ones(len(tokens), np.int64)

    def can(self, pieces: Pieces) -> np.ndarray:
        return counts_of(pieces.piece, pieces.count, ~pieces.end) > 0

    def parted(self, pieces: Pieces, which: np.ndarray, cuts: Cuts) -> tuple[Pieces, Cuts]:
        return pieces, cuts

    def between(self, pieces: Pieces, cuts: Cuts) -> Cuts:
        return cuts

    def spelt(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return tokens, np.ones(len(tokens), np.int64)


@dataclasses.dataclass(frozen=True)
class CharacterSplit:
    """Cuts between characters, wherever tokens are; each of the three parts is tokenized anew.

    Bavarian et al. 2022, sec. 3: a model whose texts are only ever cut between tokens fails where
    it is asked to go on inside one.
    """

    spelling: Spelling
    spare: int = 4

    def units(self, tokens: np.ndarray) -> np.ndarray:
        return self.spelling.starts[tokens]

    def can(self, pieces: Pieces) -> np.ndarray:
        """Pieces with text, every token of which has a spelling."""
        mute = (self.spelling.size[pieces.tokens] < 0) & ~pieces.end
        none = counts_of(pieces.piece, pieces.count, mute) == 0
        return none & (counts_of(pieces.piece, pieces.count, ~pieces.end) > 0)

    def parted(self, pieces: Pieces, which: np.ndarray, cuts: Cuts) -> tuple[Pieces, Cuts]:
        """A piece with a part that the tokenizer cannot spell keeps its tokens, and is cut between
        them, where the characters wanted begin or the next token does."""
        body = ~pieces.end & which[pieces.piece]
        turned = np.flatnonzero(which)
        parts = self._parts(pieces, body, turned, cuts)
        coded = self.spelling.encode_bytes(parts)
        given = np.array([part is not None for part in coded], bool)
        sound = np.all(given.reshape(-1, 3), axis=1)
        lengths = np.array([0 if part is None else len(part) for part in coded], np.int64)
        lengths = lengths.reshape(-1, 3)
        one, two = self.between(pieces, cuts)
        one[turned[sound]] = lengths[sound, 0]
        two[turned[sound]] = lengths[sound, :2].sum(1)
        kept = [part for i, part in enumerate(coded) if part is not None and sound[i // 3]]
        new = np.concatenate([*kept, np.empty(0, np.int32)]).astype(np.int32)
        owner = np.repeat(turned[sound], lengths[sound].sum(1))
        return _recoded(pieces, np.isin(pieces.piece, turned[sound]) & body, new, owner), (one, two)

    def spelt(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bytes; a token without a spelling is a letter of its own, beyond all bytes."""
        size = self.spelling.size[tokens]
        letters = np.maximum(size, 1)
        made = np.repeat(256 + tokens.astype(np.int64), letters)
        made[np.repeat(size >= 0, letters)] = 0
        filled = np.repeat(size > 0, letters)
        made[filled] = self.spelling.bytes_of(tokens)
        return made, letters

    def _parts(self, pieces: Pieces, body: np.ndarray, turned: np.ndarray, cuts: Cuts) -> list:
        """The bytes of prefix, middle, suffix of each turned piece, one after the other."""
        tokens, owner = pieces.tokens[body], pieces.piece[body]
        data = self.spelling.bytes_of(tokens)
        size = np.bincount(owner, self.spelling.size[tokens], pieces.count).astype(np.int64)[turned]
        begin = starts_of(size)
        places = np.append(np.flatnonzero(begins(data)), len(data))  # of all characters
        before = np.searchsorted(places, begin)  # characters of earlier pieces
        units = np.searchsorted(places, begin + size) - before
        edges = [begin]
        for cut in cuts:
            cut = cut[turned]
            inner = places[np.minimum(before + cut, len(places) - 1)]
            edges.append(np.where(cut == 0, begin, np.where(cut >= units, begin + size, inner)))
        edges = np.stack([*edges, begin + size], axis=1).tolist()
        whole = data.tobytes()
        return [whole[a:b] for four in edges for a, b in zip(four, four[1:], strict=False)]

    def between(self, pieces: Pieces, cuts: Cuts) -> Cuts:
        """Tokens of which every character is before each cut. [P] int64 each."""
        begun = self.units(pieces.tokens) * ~pieces.end
        upto = np.cumsum(begun)
        first = starts_of(pieces.lengths)
        upto = upto - np.append(0, upto)[first][pieces.piece]
        one, two = ((upto <= cut[pieces.piece]) & ~pieces.end for cut in cuts)
        count = pieces.count
        return counts_of(pieces.piece, count, one), counts_of(pieces.piece, count, two)


def _recoded(pieces: Pieces, out: np.ndarray, new: np.ndarray, owner: np.ndarray) -> Pieces:
    """The pieces with the tokens `out` [n] bool replaced by `new`, between the ends of `owner`."""
    kept = np.flatnonzero(~out)
    begun = np.cumsum(~pieces.end)  # 0 of its piece so far: a token of the beginning
    first = starts_of(pieces.lengths)
    begun = begun - np.append(0, begun)[first][pieces.piece]
    stage = np.where(pieces.end, np.where(begun == 0, 0, 2), 1)[kept]
    piece = np.concatenate([pieces.piece[kept], owner])
    order = np.concatenate([stage, np.ones(len(new), np.int64)])
    place = np.argsort(piece * 3 + order, kind="stable")
    return dataclasses.replace(
        pieces,
        tokens=np.concatenate([pieces.tokens[kept], new])[place].astype(np.int32),
        piece=piece[place],
        end=np.concatenate([pieces.end[kept], np.zeros(len(new), bool)])[place],
        **{
            name: np.zeros(len(place), bool if name in ("free", "spare") else np.int64)
            for name in ("free", "spare", "home", "origin")
        },
    )


def either(which: np.ndarray, yes: Pieces, no: Pieces) -> Pieces:
    """The pieces `which` [P] bool of `yes`, the others of `no`."""
    if which.all():
        return yes
    sides = (yes, which[yes.piece]), (no, ~which[no.piece])
    piece = np.concatenate([side.piece[here] for side, here in sides])
    place = np.argsort(piece, kind="stable")
    joined = {
        name: np.concatenate([getattr(side, name)[here] for side, here in sides])[place]
        for name in ("tokens", "end", "free", "spare", "home", "origin")
    }
    return dataclasses.replace(no, piece=piece[place], **joined)
