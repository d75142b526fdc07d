"""Gap sentences: the sentences most similar to the rest of their text are masked (Pegasus)."""

import dataclasses

import numpy as np

from fxformer.errors import UserError
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.masking.base import Masked, Seq2SeqMasking
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, numbered, ranks_of
from fxformer.types import Rate


@dataclasses.dataclass(frozen=True)
class GapSentences(Seq2SeqMasking):
    """The k of s sentences with the highest ROUGE-1 F1 against the rest of the piece.

    Zhang et al. 2020 (Pegasus), sec. 3.1: "Ind-Orig", each sentence scored on its own, tokens
    counted as often as they come. k = round(rate·s), in 1 … s-1; the rate is uniform on low … high
    (both 0.3 at first, 0.15 … 0.45 in the released model), and scores are multiplied by a uniform
    number of 1-noise … 1+noise (0; released: 0.2). Ties are drawn. A piece of one sentence keeps
    it; sentences end after a token of `Vocabulary.ends_sentence`.
    """

    low: Rate = 0.3
    high: Rate = 0.3
    noise: Rate = 0.0

    def __post_init__(self):
        if self.low > self.high:
            raise UserError(f"masking.low={self.low} > masking.high={self.high}")

    def __call__(self, pieces: Pieces, draws: CounterRNG) -> Masked:
        """The tokens of the chosen sentences, each sentence a span."""
        first, size, piece = whole_sentences(pieces)
        ranks = ranks_of(piece, pieces.count)
        keys = draws.at(piece)
        shake = 1 + self.noise * (2 * keys.uniform("noise", ranks) - 1)
        value = rouge(pieces) * shake
        number = counts_of(piece, pieces.count)
        rate = self.low + (self.high - self.low) * draws.uniform("rate")
        order = np.lexsort((keys.bits("tie", ranks), -value, piece))
        taken = np.sort(order[ranks_of(piece, pieces.count) < due(rate, number)[piece]])
        free = np.flatnonzero(pieces.free)
        sentence, step = numbered(size[taken])
        span = ranks_of(piece[taken], pieces.count)
        return Masked(free[first[taken][sentence] + step], span[sentence])

    def most(self, length: int) -> tuple[int, int]:
        """(tokens, spans): all but one token, in case one sentence is nearly everything."""
        top = max(length - 1, 0)
        return top, min(max(int(self.high * length + 0.5), 1), top)


def due(rate: np.ndarray | float, number: np.ndarray) -> np.ndarray:
    """round(rate·s) in 1 … s-1; 0 of one sentence. int64."""
    rounded = np.floor(rate * number + 0.5).astype(np.int64)
    return np.maximum(np.minimum(np.maximum(rounded, 1), number - 1), 0)


def whole_sentences(pieces: Pieces) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(first, tokens, piece) of each sentence; `first` counts the ordinary tokens of all pieces."""
    free = np.flatnonzero(pieces.free)
    piece, sentence = pieces.piece[free], pieces.sentence[free]
    new = np.ones(len(free), bool)
    new[1:] = (piece[1:] != piece[:-1]) | (sentence[1:] != sentence[:-1])
    first = np.flatnonzero(new)
    return first, np.diff(np.append(first, len(free))), piece[first]


def rouge(pieces: Pieces) -> np.ndarray:
    """ROUGE-1 F1 (Lin 2004) of each sentence against the rest of its piece. float64.

    With c tokens of a kind in the sentence and r in the rest, min(c, r) of them match;
    F1 = 2 · matches / (tokens of the sentence + tokens of the rest).
    """
    first, size, piece = whole_sentences(pieces)
    tokens = pieces.tokens[pieces.free].astype(np.int64)
    sentence, _ = numbered(size)
    top = int(tokens.max(initial=0)) + 1
    inside, count = np.unique(sentence * top + tokens, return_counts=True)
    everywhere, total = np.unique(piece[sentence] * top + tokens, return_counts=True)
    where = inside // top
    rest = total[np.searchsorted(everywhere, piece[where] * top + inside % top)] - count
    matches = np.bincount(where, weights=np.minimum(count, rest), minlength=len(first))
    return 2 * matches / np.maximum(pieces.free_lengths[piece], 1)
