"""Fill in the middle: a decoder reads the two ends of a text and writes what stood between."""

import numpy as np
from flax import nnx

from fxformer.batch import Batch, Rows, Vocabulary
from fxformer.objective.causal import CausalLM
from fxformer.objective.draw import Draws
from fxformer.objective.fim_law import fim_laws
from fxformer.objective.hole import Hole, Question
from fxformer.objective.law import Law
from fxformer.objective.loss import CrossEntropy
from fxformer.objective.pieces import Pieces, laid, pieces_of
from fxformer.objective.segments import counts_of, sums_before
from fxformer.types import Count, Part, Share

MARKS = 3  # tokens that a turned piece is longer by


class FillInTheMiddle(CausalLM):
    """-log p(next token) of texts of which `rate` have their middle moved to the end.

    Bavarian et al. 2022, sec. 3: a piece is cut at two uniform places into prefix, middle and
    suffix, any of which may be empty, and becomes, with <PRE>, <SUF>, <MID> as marks,
        PSM: <PRE> prefix <SUF> suffix <MID> middle
        SPM: <PRE> <SUF> suffix <MID> prefix middle  (their variant 2)
    All tokens are scored, the marks too. The special tokens at the ends of a piece stay there, so
    eos comes after the middle and tells where it ends.

    The cuts are between tokens; the paper's cut characters, which splits tokens at the cuts.
    The marks are the first three sentinels of the tokenizer. A row has room for the marks of a
    turned piece in every `shortest` tokens; in a row of shorter pieces the last ones are not
    turned, and `tally` counts them ("pieces without room for their marks").

    rate: share of the pieces that are turned (0.5; up to 0.9 does no harm)
    spm: share of those that are SPM
    """

    legal = frozenset({"decoder"})
    scores_text = False  # of a text in another order, with marks

    def __init__(
        self,
        model: Part,
        *,
        rate: Share = 0.5,
        spm: Share = 0.5,
        shortest: Count = 64,
        loss: CrossEntropy = CrossEntropy(),
        vocabulary: Vocabulary,
        rngs: nnx.Rngs,
    ):
        if len(vocabulary.sentinels) < MARKS:
            raise ValueError(
                f"FillInTheMiddle marks the parts of a text by {MARKS} sentinels, and this "
                f"tokenizer has {len(vocabulary.sentinels)}: write tokenizer.specials.sentinels="
                f"{MARKS} (tokenizer=file: tokenizer.sentinels={MARKS})"
            )
        super().__init__(model, loss=loss, vocabulary=vocabulary, rngs=rngs)
        self.rate, self.spm, self.shortest = rate, spm, shortest

    @property
    def marks(self) -> tuple[int, ...]:
        """The ids of <PRE>, <SUF>, <MID>."""
        return self.vocabulary.sentinels[:MARKS]

    def row_length(self, length: int) -> int:
        """length + 1, less the marks: 489 for 512. Where a last `shortest` tokens would be nothing
        but marks, the model reads up to three tokens less than `length`."""
        blocks = -(-(length + 1) // (self.shortest + MARKS))
        last = length + 1 - (blocks - 1) * (self.shortest + MARKS)
        return max((blocks - 1) * self.shortest + max(last - MARKS, 0), 1)

    def wide(self, width: int) -> int:
        """The width that rows of `width` tokens have with their marks."""
        return width + MARKS * -(-width // self.shortest)

    def corrupt(self, rows: Rows) -> Batch:
        """rows [B, row_length(T)] -> tokens, segments, targets, weights [B, T]."""
        self.accept(rows)
        return super().corrupt(self.turned(rows))

    def turned(self, rows: Rows) -> Rows:
        """The rows with the pieces turned. tokens, segments, examples: [B, T+1]."""
        height, width = rows.tokens.shape
        pieces = pieces_of(rows, self.vocabulary)
        draws = pieces.draws(rows.seed, rows.epoch)
        kind = self.kinds(pieces, draws)
        marks = MARKS * (kind > 0)
        room = self.wide(width) - np.bincount(pieces.row, weights=pieces.lengths, minlength=height)
        fits = sums_before(marks, pieces.row, height) + marks <= room[pieces.row]
        self.tally.add("pieces without room for their marks", np.count_nonzero(~fits))
        tokens, piece = self.moved(pieces, np.where(fits, kind, 0), self.cuts(pieces, draws))
        tokens, segments = laid(
            tokens, piece, pieces, height, self.wide(width), self.vocabulary.pad
        )
        return Rows(tokens, segments, np.where(segments > 0, 0, -1), rows.seed, rows.epoch)

    def kinds(self, pieces: Pieces, draws: Draws) -> np.ndarray:
        """0: left as it is, 1: PSM, 2: SPM. [P] int64."""
        turned = draws.uniform("whether") < self.rate
        body = counts_of(pieces.piece, pieces.count, ~pieces.end)
        return (turned & (body > 0)) * (1 + (draws.uniform("order") < self.spm))

    def cuts(self, pieces: Pieces, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
        """Ordinary tokens before the first and the second cut, each uniform on 0 … m. [P] each."""
        body = counts_of(pieces.piece, pieces.count, ~pieces.end)
        one, two = (draws.below("cut", body + 1, place) for place in (0, 1))
        return np.minimum(one, two), np.maximum(one, two)

    def moved(
        self, pieces: Pieces, kind: np.ndarray, cuts: tuple[np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """(tokens, piece) with marks put in and parts in their new order, sorted by both."""
        body, piece = ~pieces.end, pieces.piece
        rank = sums_before(body, piece, pieces.count)
        total = counts_of(piece, pieces.count, body)[piece]
        part = 1 + (rank >= cuts[0][piece]) + (rank >= cuts[1][piece]).astype(np.int64)  # 1, 2, 3
        # Where each part goes: marks are at 1, 4 and 6; the beginning at 0, the end at 9.
        order = np.array([[0, 2, 2, 2], [0, 2, 8, 5], [0, 7, 8, 5]])[kind[piece], part]
        order = np.where(body, order, np.where((rank == total) & (total > 0), 9, 0))
        turned = np.flatnonzero(kind)
        first = np.repeat(turned, MARKS)
        steps = np.array([[0, 0, 0], [1, 4, 6], [1, 4, 6]])[kind[turned]].reshape(-1)
        tokens = np.concatenate([pieces.tokens, np.tile(self.marks, len(turned))])
        owner = np.concatenate([piece, first])
        place = np.argsort(owner * 10 + np.concatenate([order, steps]), kind="stable")
        return tokens[place].astype(np.int32), owner[place]

    def questions(self, hole: Hole) -> list[Question]:
        """In the order prefix, suffix, middle; a hole at the end of the text as a causal LM."""
        if hole.closed(self.vocabulary):
            return super().questions(hole)
        before, after, then = ([mark] for mark in self.marks)
        special = self.vocabulary.special
        lead = np.argmin(np.append(special[hole.left], False))  # bos stays in front, eos at the end
        tail = hole.right[~special[hole.right]]
        parts = (hole.left[:lead], before, hole.left[lead:], after, tail, then)
        left = np.concatenate(parts).astype(np.int32)
        return super().questions(Hole(left, hole.middle, hole.right[:0]))

    def laws(self) -> tuple[Law, ...]:
        """Shares, cuts, the text put together again, and those of a causal LM."""
        causal = super().laws()
        own = (law.through(lambda rows, batch: (self.turned(rows), batch)) for law in causal)
        return (*fim_laws(self), *own)
