"""Fill in the middle: a decoder generates the middle of a text after its beginning and end."""

import dataclasses
from typing import Annotated, Literal, cast

import numpy as np
from flax import nnx

from fxformer.batch import Batch, Limit, Rows, Vocabulary
from fxformer.errors import UserError
from fxformer.objective.causal import CausalLM
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.fim_split import CharacterSplit, Split, TokenSplit, either
from fxformer.objective.infilling import InfillExample, ScoringRequest
from fxformer.objective.pieces import Pieces, laid, pieces_of
from fxformer.objective.segments import counts_of, sums_before
from fxformer.ops.cross_entropy import CrossEntropy
from fxformer.spelling import Spelling
from fxformer.types import Count, Part, Range, Share

MARKS = 3  # tokens that a turned piece is longer by


@dataclasses.dataclass(frozen=True)
class Plan:
    """What becomes of P pieces.

    kind: [P] as of `kinds`, 0 where there is no room for marks
    exact: [P] bool, cut where it was drawn; else between tokens
    text: the pieces with their parts tokenized anew
    cuts: tokens before the first and the second cut, [P] each
    mute, tight: how many have no exact spelling, or no room for marks
    """

    kind: np.ndarray
    exact: np.ndarray
    text: Pieces
    cuts: tuple[np.ndarray, np.ndarray]
    mute: int
    tight: int


class FillInTheMiddle(CausalLM):
    """-log p(next token) of texts of which `rate` have their middle moved to the end.

    Bavarian et al. 2022, sec. 3: a piece is cut at two uniform places into prefix, middle and
    suffix, any of which may be empty, and becomes, with <PRE>, <SUF>, <MID> as marks,
        PSM: <PRE> prefix <SUF> suffix <MID> middle
        SPM: <PRE> <SUF> suffix <MID> prefix middle  (their variant 2)
    All tokens are scored, the marks too. The special tokens at the ends of a piece stay there, so
    eos comes after the middle and tells where it ends.

    The cuts are uniform over the characters of a piece and each of the three parts is tokenized by
    itself, as in the paper, or over its tokens (`split`). A piece with a token that spells nothing
    (unk) is left alone, and `tally` counts it ("pieces without an exact spelling").
    The marks are the first three sentinels of the tokenizer. A row has room for the marks of a
    turned piece in every `shortest` tokens, and for a few tokens that cuts inside of tokens make;
    of shorter pieces fewer are packed in a row (`limits`). In a row of more new tokens the last
    pieces are cut between tokens, before the places drawn, and `tally` counts them ("pieces cut
    between tokens for want of room"); one without room for its marks is not turned, and counted.

    split: where pieces are cut, between characters or tokens
    rate: share of the pieces that are turned (0.5; up to 0.9 does no harm)
    spm: share of those that are SPM
    sentinels: how many a tokenizer has that is trained for this objective; the first three are used
    """

    legal = frozenset({"decoder"})
    carries_memory = False
    scores_text = False  # of a text in another order, with marks

    def __init__(
        self,
        model: Part,
        *,
        rate: Share = 0.5,
        spm: Share = 0.5,
        shortest: Count = 64,
        split: Literal["character", "token"] = "character",
        sentinels: Annotated[int, Range(MARKS)] = MARKS,
        loss: CrossEntropy = CrossEntropy(),
        vocabulary: Vocabulary,
        rngs: nnx.Rngs,
    ):
        if len(vocabulary.sentinels) < MARKS:
            raise UserError(
                f"FillInTheMiddle marks the parts of a text by {MARKS} sentinels, and this "
                f"tokenizer has {len(vocabulary.sentinels)}: write tokenizer.specials.sentinels="
                f"{MARKS} (tokenizer=file: tokenizer.sentinels={MARKS})"
            )
        if split == "character" and vocabulary.spelling is None:
            raise UserError(
                "objective.split=character cuts tokens in two, and this tokenizer does not give "
                "back every text exactly: write tokenizer=unigram, bpe, bytebpe, byte or char, or "
                "objective.split=token"
            )
        super().__init__(model, loss=loss, vocabulary=vocabulary, rngs=rngs)
        self.rate, self.spm, self.shortest, self.split = rate, spm, shortest, split

    @property
    def splitting(self) -> Split:
        """How pieces are cut; host only."""
        if self.split == "token":
            return TokenSplit()
        return CharacterSplit(cast(Spelling, self.vocabulary.spelling))

    @property
    def growth(self) -> int:
        """Tokens that there is room for in a turned piece, besides its own."""
        return MARKS + self.splitting.spare

    @property
    def marks(self) -> tuple[int, ...]:
        """The ids of <PRE>, <SUF>, <MID>."""
        return self.vocabulary.sentinels[:MARKS]

    def row_length(self, length: int) -> int:
        """length + 1, less the room for growth: 489 for 512 and cuts between tokens. Where a last
        `shortest` tokens would be nothing but that, the model reads a few less than `length`."""
        block = self.shortest + self.growth
        blocks = -(-(length + 1) // block)
        last = length + 1 - (blocks - 1) * block
        return max((blocks - 1) * self.shortest + max(last - self.growth, 0), 1)

    def wide(self, width: int) -> int:
        """The width that rows of `width` tokens have with their marks."""
        return width + self.growth * -(-width // self.shortest)

    def limits(self, width: int) -> tuple[Limit, ...]:
        """Places for pieces packed in rows of `width`, all of them turned."""

        def turned(size: np.ndarray, around: int, behind: int) -> np.ndarray:
            return size + around + self.growth

        return (Limit(turned, self.wide(width)),)

    def corrupt(self, rows: Rows) -> Batch:
        """rows [B, row_length(T)] -> tokens, segments, targets, weights [B, T]."""
        turned, plan = self._turned(self.accept(rows))
        self.tally.add("pieces without an exact spelling", plan.mute)
        self.tally.add("pieces without room for their marks", plan.tight)
        moved = np.count_nonzero((plan.kind > 0) & ~plan.exact)
        self.tally.add("pieces cut between tokens for want of room", moved)
        return super().corrupt(turned)

    def turned(self, rows: Rows) -> Rows:
        """The rows with the pieces turned. tokens, segments, examples: [B, T+1]."""
        return self._turned(rows)[0]

    def _turned(self, rows: Rows) -> tuple[Rows, "Plan"]:
        """And what became of each piece."""
        height, width = rows.tokens.shape
        pieces = pieces_of(rows, self.vocabulary)
        plan = self.plan(rows, pieces)
        tokens, piece = self.moved(plan.text, plan.kind, plan.cuts)
        tokens, segments = laid(
            tokens, piece, pieces, height, self.wide(width), self.vocabulary.pad
        )
        made = Rows(tokens, segments, np.where(segments > 0, 0, -1), rows.seed, rows.epoch)
        return made, plan

    def plan(self, rows: Rows, pieces: Pieces) -> "Plan":
        """What becomes of each piece, with the room that its row has."""
        height, width = rows.tokens.shape
        draws, split = pieces.draws(rows.seed, rows.epoch), self.splitting
        drawn, cuts = self.kinds(pieces, draws), self.cuts(pieces, draws)
        room = self.wide(width) - np.bincount(pieces.row, weights=pieces.lengths, minlength=height)
        marks = MARKS * (drawn > 0)
        fits = sums_before(marks, pieces.row, height) + marks <= room[pieces.row]
        kind = np.where(fits, drawn, 0)
        text, at = split.parted(pieces, kind > 0, cuts)
        growth = np.maximum(text.lengths - pieces.lengths, 0)
        left = room - np.bincount(pieces.row, weights=MARKS * (kind > 0), minlength=height)
        exact = sums_before(growth, pieces.row, height) + growth <= left[pieces.row]
        between = split.between(pieces, cuts)
        at = np.where(exact, at[0], between[0]), np.where(exact, at[1], between[1])
        body = counts_of(pieces.piece, pieces.count, ~pieces.end) > 0
        mute, tight = np.count_nonzero(body & ~split.can(pieces)), np.count_nonzero(~fits)
        return Plan(kind, exact, either(exact, text, pieces), at, int(mute), int(tight))

    def kinds(self, pieces: Pieces, draws: CounterRNG) -> np.ndarray:
        """0: left as it is, 1: PSM, 2: SPM. [P] int64."""
        turned = draws.uniform("whether") < self.rate
        return (turned & self.splitting.can(pieces)) * (1 + (draws.uniform("order") < self.spm))

    def cuts(self, pieces: Pieces, draws: CounterRNG) -> tuple[np.ndarray, np.ndarray]:
        """Characters (or tokens) before the first and the second cut, each uniform on 0 … m. [P]
        int64 each."""
        one, two = (draws.below("cut", self.measure(pieces) + 1, place) for place in (0, 1))
        return np.minimum(one, two), np.maximum(one, two)

    def measure(self, pieces: Pieces) -> np.ndarray:
        """Characters (or tokens) of each piece, m. [P] int64."""
        units = self.splitting.units(pieces.tokens) * ~pieces.end
        return np.bincount(pieces.piece, units, pieces.count).astype(np.int64)

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

    def scoring_requests(self, example: InfillExample) -> list[ScoringRequest]:
        """In the order prefix, suffix, middle; a example at the end of the text as a causal LM."""
        if example.closed(self.vocabulary):
            return super().scoring_requests(example)
        before, after, then = ([mark] for mark in self.marks)
        special = self.vocabulary.special
        lead = np.argmin(
            np.append(special[example.left], False)
        )  # bos stays in front, eos at the end
        tail = example.right[~special[example.right]]
        parts = (example.left[:lead], before, example.left[lead:], after, tail, then)
        left = np.concatenate(parts).astype(np.int32)
        return super().scoring_requests(InfillExample(left, example.middle, example.right[:0]))
