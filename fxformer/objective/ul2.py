"""Mixture of denoisers (UL2): each piece is corrupted in one of several modes, named in front."""

import dataclasses
from collections.abc import Sequence
from typing import Literal, cast

import numpy as np
from flax import nnx

from fxformer.batch import Limit, Vocabulary
from fxformer.errors import UserError
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.infilling import InfillExample, ScoringRequest
from fxformer.objective.masking.base import Masked, Seq2SeqMasking
from fxformer.objective.masking.random_spans import Suffix
from fxformer.objective.pieces import Pieces
from fxformer.objective.span_corruption import SpanCorruption
from fxformer.objective.span_target import Side
from fxformer.ops.cross_entropy import CrossEntropy
from fxformer.types import Count, Natural, Part, Positive


@dataclasses.dataclass(frozen=True)
class Denoiser:
    """A masking; `weight`: of its share of the pieces; `mode`: number of its mode token."""

    masking: Seq2SeqMasking
    mode: Natural = 0
    weight: Positive = 1.0


@dataclasses.dataclass(frozen=True)
class Mixed(Seq2SeqMasking):
    """Each piece by one of the denoisers, drawn with their weights."""

    denoisers: tuple[Denoiser, ...]

    @property
    def shares(self) -> np.ndarray:
        """Probability of each denoiser. float64."""
        weights = np.array([denoiser.weight for denoiser in self.denoisers])
        return weights / weights.sum()

    def __call__(self, pieces: Pieces, draws: CounterRNG) -> Masked:
        """The masked tokens, and which denoiser masked those of each piece."""
        steps = np.cumsum(self.shares)[:-1]
        kind = np.searchsorted(steps, draws.uniform("denoiser"), side="right")
        index, span = [], []
        for number, denoiser in enumerate(self.denoisers):
            place = np.flatnonzero(kind[pieces.piece] == number)
            found = denoiser.masking(pieces.take(place), draws.within(f"denoiser {number}"))
            index.append(place[found.index])
            span.append(found.span)
        index, span = np.concatenate(index), np.concatenate(span)
        order = np.argsort(index, kind="stable")
        return Masked(index[order], span[order], kind)

    def most(self, length: int) -> tuple[int, int]:
        """The most that any denoiser masks, in tokens and in spans."""
        tokens, spans = zip(*(d.masking.most(length) for d in self.denoisers), strict=True)
        return max(tokens), max(spans)


class MixtureOfDenoisers(SpanCorruption):
    """Span corruption by denoisers of several kinds, after a token that names the kind (its mode).

    Tay et al. 2023 (UL2), sec. 3.1. The mode tokens are the last `modes` sentinels of the tokenizer
    (so no other special tokens are needed): with 100 sentinels and 3 modes, <extra_id_97> to
    <extra_id_99>. A mode token comes first in its source, so a source row has a place more for each
    piece of `shortest` tokens. Every piece draws its denoiser, also where several share a row.
    """

    def __init__(
        self,
        model: Part,
        *,
        denoisers: Sequence[Denoiser],
        modes: Count = 3,
        sentinels: Natural = 100,
        start: Literal["eos", "bos", "pad"] = "pad",
        shortest: Count = 32,
        loss: CrossEntropy = CrossEntropy(),
        vocabulary: Vocabulary,
        rngs: nnx.Rngs,
    ):
        denoisers = tuple(denoisers)
        if wrong := [d.mode for d in denoisers if d.mode >= modes]:
            raise UserError(
                f"a denoiser has mode {wrong[0]}, and objective.modes={modes} are 0 … {modes - 1}: "
                f"write objective.modes={max(wrong) + 1}"
            )
        super().__init__(
            model,
            masking=Mixed(denoisers),
            sentinels=sentinels,
            start=start,
            shortest=shortest,
            loss=loss,
            vocabulary=vocabulary,
            rngs=rngs,
        )
        self.modes = modes

    @property
    def span_sentinels(self) -> tuple[int, ...]:
        """The marks of spans: all sentinels but the modes."""
        return self.vocabulary.sentinels[: max(len(self.vocabulary.sentinels) - self.modes, 0)]

    def source_length(self, length: int) -> int:
        """length, and a mode token for each piece of `shortest` tokens."""
        return length + max(length // self.shortest, 1)

    def limits(self, width: int) -> tuple[Limit, ...]:
        """Span corruption's, and places for the sources with their mode tokens."""

        def source(size: np.ndarray, around: int, behind: int) -> np.ndarray:
            return size + around + 1

        return (*super().limits(width), Limit(source, self.source_length(width)))

    def _source(self, pieces: Pieces, masked: Masked) -> Side:
        source = super()._source(pieces, masked)
        alive = np.flatnonzero(pieces.lengths > 0)
        piece = np.concatenate([alive, source.piece])
        tokens = np.concatenate([self.mode_tokens(masked)[alive], source.tokens])
        order = np.argsort(piece, kind="stable")  # the mode token first
        return Side(tokens[order].astype(np.int32), piece[order])

    def mode_tokens(self, masked: Masked) -> np.ndarray:
        """The mode token of each piece. [P]."""
        modes = np.array(self.vocabulary.sentinels[len(self.span_sentinels) :])
        denoisers = cast(Mixed, self.masking).denoisers
        return modes[np.array([d.mode for d in denoisers])[masked.kind]]

    def scoring_requests(self, example: InfillExample) -> list[ScoringRequest]:
        """Span corruption's, in the mode of the first denoiser that masks such a place: a suffix
        where nothing comes after the example."""
        wanted = example.closed(self.vocabulary)
        denoisers = cast(Mixed, self.masking).denoisers
        fitting = [d for d in denoisers if isinstance(d.masking, Suffix) == wanted]
        mode = (fitting or denoisers)[0].mode
        first = self.vocabulary.sentinels[len(self.span_sentinels) + mode]
        (question,) = super().scoring_requests(example)
        source = np.concatenate([[first], cast(np.ndarray, question.source)]).astype(np.int32)
        return [dataclasses.replace(question, source=source)]
