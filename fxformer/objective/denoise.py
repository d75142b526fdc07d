"""Denoising of an encoder-decoder (BART): from a corrupted text to the original."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from flax import nnx

from fxformer.batch import Batch, Rows, Vocabulary
from fxformer.objective.base import Objective, require
from fxformer.objective.infilling import InfillExample, ScoringRequest, shifted
from fxformer.objective.noise.base import Noise
from fxformer.objective.pieces import Pieces, laid_out, pieces_of
from fxformer.objective.segments import ranks_of
from fxformer.objective.shift import answer
from fxformer.ops.cross_entropy import CrossEntropy
from fxformer.types import Part


class DenoisingLM(Objective):
    """-log p(text | corrupted text) over all its tokens. Lewis et al. 2020 (BART), sec. 2.2.

    The noises are applied one after the other to each piece. The target is the whole original
    piece, the decoder's input that shifted right by the `start` token; source and target of a
    piece have the same segment id, so pieces stay paired when packed.

    A source is S = T + sum of the noises' `growth` tokens long. Only marks of empty spans can make
    a source longer than its target; should a row ever not fit, the last such marks are left out,
    which always suffices (without them it has at most T tokens), and `tally` counts them
    ("marks of empty spans without room").
    """

    legal = frozenset({"seq2seq"})

    def __init__(
        self,
        model: Part,
        *,
        noises: Sequence[Noise],
        start: Literal["eos", "bos", "pad"] = "eos",
        loss: CrossEntropy = CrossEntropy(),
        vocabulary: Vocabulary,
        rngs: nnx.Rngs,
    ):
        self.noises = tuple(noises)
        require(
            vocabulary, (start, *(n for noise in self.noises for n in noise.needs)), "denoising"
        )
        super().__init__(model, loss=loss, vocabulary=vocabulary, rngs=rngs)
        self.start = start

    def source_length(self, length: int) -> int:
        """length, and what the noises may add; see the class."""
        return length + sum(noise.growth(length) for noise in self.noises)

    def corrupt(self, rows: Rows) -> Batch:
        """rows [B, T] -> a batch of [B, T]; its source and source_segments are [B, S]."""
        self.accept(rows)
        height, width = rows.tokens.shape
        pieces = pieces_of(rows, self.vocabulary)
        for index in range(len(self.noises)):
            pieces = self._corrupted(pieces, index, rows)
        room = self.source_length(width)
        fitted = fit(pieces, height, room)
        surplus = len(pieces.tokens) - len(fitted.tokens)
        self.tally.add("marks of empty spans without room", surplus)
        source, source_segments = laid_out(fitted, height, room, self.vocabulary.pad)
        tokens, targets, weights = answer(rows, getattr(self.vocabulary, self.start))
        return Batch(
            tokens=tokens,
            segments=rows.segments,
            targets=targets,
            weights=weights,
            source=source,
            source_segments=source_segments,
        )

    def _corrupted(self, pieces: Pieces, index: int, rows: Rows) -> Pieces:
        """One noise applied, with draws of its own even if the same noise is listed twice."""
        draws = pieces.draws(rows.seed, rows.epoch).within(f"noise {index}")
        return self.noises[index](pieces, draws, self.vocabulary)

    def stages(self, rows: Rows) -> list[Pieces]:
        """The pieces before the first noise and after each. [noises + 1]."""
        stages = [pieces_of(rows, self.vocabulary)]
        for index in range(len(self.noises)):
            stages.append(self._corrupted(stages[-1], index, rows))
        return stages

    def scoring_requests(self, example: InfillExample) -> list[ScoringRequest] | None:
        """The source has what the first noise that hides tokens leaves of them; the decoder writes
        the left side, then the example."""
        fills = (noise.fill(len(example.middle), self.vocabulary) for noise in self.noises)
        fill = next((fill for fill in fills if fill is not None), None)
        if fill is None:
            return None
        source = np.concatenate([example.left, fill, example.right]).astype(np.int32)
        scored = np.arange(len(example.left), len(example.left) + len(example.middle))
        tokens = shifted(example.text, getattr(self.vocabulary, self.start))
        return [ScoringRequest(tokens, example.text, scored, source)]


def fit(pieces: Pieces, rows: int, room: int) -> Pieces:
    """The pieces; rows of more than `room` tokens lose their last marks of empty spans."""
    row = pieces.row[pieces.piece]
    excess = np.bincount(row, minlength=rows) - room
    if not len(row) or excess.max() <= 0:
        return pieces
    spare = np.flatnonzero(pieces.spare)
    number = np.bincount(row[spare], minlength=rows)
    keep = ranks_of(row[spare], rows) < (number - np.maximum(excess, 0))[row[spare]]
    stays = np.ones(len(row), bool)
    stays[spare[~keep]] = False
    return pieces.take(np.flatnonzero(stays))
