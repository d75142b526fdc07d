"""Span corruption (T5): spans are replaced by sentinels and generated."""

from typing import Literal

import numpy as np
from flax import nnx

from fxformer.batch import Vocabulary
from fxformer.errors import UserError
from fxformer.objective.infilling import InfillExample, ScoringRequest, shifted
from fxformer.objective.masking.base import Masked, Seq2SeqMasking
from fxformer.objective.masking.random_spans import RandomSpans
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, numbered, ranks_of, starts_of
from fxformer.objective.span_target import MaskedText, Side, closing
from fxformer.ops.cross_entropy import CrossEntropy
from fxformer.types import Count, Natural, Part


class SpanCorruption(MaskedText):
    """Each span gives way to a sentinel; write the spans, each after its sentinel. T5, sec. 3.1.4.

    "Thank you <X> me to your party <Y> week" -> "<X> for inviting <Y> last <Z>": Raffel et al.
    2020, figure 2, with the unused final sentinel of the figure. The sentinels of a piece are
    <extra_id_0>, <extra_id_1>, … in the order of their numbers, each once on either side (in T5's
    own vocabulary their ids descend). Special tokens at the ends of a piece stay in the source;
    those that close it also close the target.

    sentinels: how many a tokenizer has that is trained for this objective: `sentinels` of
        conf/tokenizer/specials follows it. Spans are marked by all that the vocabulary has
    """

    marks = 1

    def __init__(
        self,
        model: Part,
        *,
        masking: Seq2SeqMasking = RandomSpans(),
        sentinels: Natural = 100,
        start: Literal["eos", "bos", "pad"] = "pad",
        shortest: Count = 32,
        loss: CrossEntropy = CrossEntropy(),
        vocabulary: Vocabulary,
        rngs: nnx.Rngs,
    ):
        if not vocabulary.sentinels:
            raise UserError(
                f"{type(self).__name__} marks spans by sentinels, and this tokenizer has none: "
                "write tokenizer.specials.sentinels=100 (tokenizer=file: tokenizer.sentinels=100)"
            )
        super().__init__(
            model,
            masking=masking,
            start=start,
            shortest=shortest,
            loss=loss,
            vocabulary=vocabulary,
            rngs=rngs,
        )

    @property
    def span_sentinels(self) -> tuple[int, ...]:
        """The marks of spans."""
        return self.vocabulary.sentinels

    def row_length(self, length: int) -> int:
        """length, if there are sentinels enough for a piece of it."""
        self._check_sentinels(self.masking.most(length)[1], f"a row of {length} tokens")
        return length

    def _check_sentinels(self, spans: int, where: str) -> None:
        have = len(self.span_sentinels)
        if spans + 1 > have:
            raise UserError(
                f"{where} can have {spans} spans and a final mark, and this tokenizer has {have} "
                f"sentinels for them: write tokenizer.specials.sentinels="
                f"{spans + 1 + len(self.vocabulary.sentinels) - have}, or a smaller data.length"
            )

    def _source(self, pieces: Pieces, masked: Masked) -> Side:
        first = masked.begins(pieces)
        tokens = pieces.tokens.copy()
        tokens[masked.index[first]] = self._sentinels(masked.span[first])
        stays = np.ones(len(tokens), bool)
        stays[masked.index[~first]] = False
        return Side(tokens[stays], pieces.piece[stays])

    def _target(self, pieces: Pieces, masked: Masked) -> Side:
        """Each masked token comes after those before it and after one sentinel more than spans."""
        tail = closing(pieces, self.vocabulary)
        owner, spans = pieces.piece[masked.index], masked.number(pieces)
        number = counts_of(owner, pieces.count)
        used = number + spans + 1 + counts_of(pieces.piece, pieces.count, tail)
        used *= pieces.lengths > 0  # nothing at all for a piece that is left out
        piece, rank = numbered(used)
        tokens, start = np.zeros(len(piece), np.int32), starts_of(used)
        place = start[owner] + ranks_of(owner, pieces.count) + masked.span + 1
        tokens[place] = pieces.tokens[masked.index]
        first = masked.begins(pieces)
        tokens[place[first] - 1] = self._sentinels(masked.span[first])
        alive = pieces.lengths > 0
        tokens[(start + number + spans)[alive]] = self._sentinels(spans[alive])
        last = pieces.piece[tail]
        tokens[(start + number + spans)[last] + 1 + ranks_of(last, pieces.count)] = pieces.tokens[
            tail
        ]
        return Side(tokens, piece)

    def _sentinels(self, span: np.ndarray) -> np.ndarray:
        self._check_sentinels(int(span.max(initial=0)), "a piece")
        return np.array(self.span_sentinels, np.int32)[span]

    def scoring_requests(self, example: InfillExample) -> list[ScoringRequest]:
        """The first sentinel stands for the middle; the target is it, the middle, the second."""
        one, two = self.span_sentinels[:2]
        source = np.concatenate([example.left, [one], example.right]).astype(np.int32)
        target = np.concatenate([[one], example.middle, [two]]).astype(np.int32)
        tokens = shifted(target, getattr(self.vocabulary, self.start))
        return [ScoringRequest(tokens, target, np.arange(1, len(example.middle) + 1), source)]


class DropTokens(MaskedText):
    """The masked tokens leave no mark; write them in order. Raffel et al. 2020, table 3.

    "Thank you me to your party week" -> "for inviting last".
    """

    marks = 0

    def _source(self, pieces: Pieces, masked: Masked) -> Side:
        stays = np.ones(len(pieces.tokens), bool)
        stays[masked.index] = False
        return Side(pieces.tokens[stays], pieces.piece[stays])

    def _target(self, pieces: Pieces, masked: Masked) -> Side:
        wanted = closing(pieces, self.vocabulary)
        wanted[masked.index] = True
        return Side(pieces.tokens[wanted], pieces.piece[wanted])

    def scoring_requests(self, example: InfillExample) -> list[ScoringRequest]:
        """Nothing marks the example in the source."""
        source = np.concatenate([example.left, example.right])
        tokens = shifted(example.middle, getattr(self.vocabulary, self.start))
        return [ScoringRequest(tokens, example.middle, np.arange(len(example.middle)), source)]
