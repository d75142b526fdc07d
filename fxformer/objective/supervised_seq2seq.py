"""Objectives on given pairs of texts: generate the second, or label each token of the first."""

from typing import Literal

import numpy as np
from flax import nnx

from fxformer.batch import Batch, Rows, Vocabulary
from fxformer.errors import UserError
from fxformer.objective.base import Objective, require
from fxformer.objective.causal import scored
from fxformer.objective.shift import answer
from fxformer.ops.cross_entropy import CrossEntropy
from fxformer.types import Part


class Seq2SeqLM(Objective):
    """-log p(target | source) for given pairs. Sutskever et al. 2014; Vaswani et al. 2017.

    Rows must carry `source` and `source_segments` [B, S], with the segment ids of the targets.
    """

    legal = frozenset({"seq2seq"})
    reads_pairs = True
    two_vocabularies = True

    def __init__(
        self,
        model: Part,
        *,
        start: Literal["eos", "bos", "pad"] = "eos",
        loss: CrossEntropy = CrossEntropy(),
        vocabulary: Vocabulary,
        rngs: nnx.Rngs,
    ):
        require(vocabulary, (start,), "seq2seq")
        super().__init__(model, loss=loss, vocabulary=vocabulary, rngs=rngs)
        self.start = start

    def source_length(self, length: int) -> int:
        """As long as the targets."""
        return length

    def corrupt(self, rows: Rows) -> Batch:
        """rows [B, T], [B, S] -> tokens, segments, targets, weights [B, T]; source [B, S]."""
        source, segments = sources(self.accept(rows), "seq2seq")
        tokens, targets, weights = answer(rows, getattr(self.vocabulary, self.start))
        return Batch(
            tokens=tokens,
            segments=rows.segments,
            targets=targets,
            weights=weights,
            source=source,
            source_segments=segments,
        )


class TokenLabel(Objective):
    """-log p(target at i | whole source): one label for each token, from a bidirectional encoder.

    Rows must carry a `source` whose pieces lie exactly where those of the targets lie; with it a
    copying, reversing or sorting task can be given to an encoder. Special tokens have no label: the
    template puts them there, whatever the text says.
    """

    legal = frozenset({"encoder"})
    reads_pairs = True

    def __init__(
        self,
        model: Part,
        *,
        loss: CrossEntropy = CrossEntropy(),
        vocabulary: Vocabulary,
        rngs: nnx.Rngs,
    ):
        super().__init__(model, loss=loss, vocabulary=vocabulary, rngs=rngs)

    def corrupt(self, rows: Rows) -> Batch:
        """rows [B, T] with a source of the same shape -> a batch of [B, T]."""
        source, segments = sources(self.accept(rows), "tokenlabel")
        if source.shape != rows.tokens.shape or (segments != rows.segments).any():
            raise UserError(
                f"objective=tokenlabel needs a label for each token: sources {source.shape} and "
                f"targets {rows.tokens.shape} must have the same pieces in the same places; for "
                "pairs of different lengths write objective=seq2seq model=bart"
            )
        counts = self.labelled(rows)
        targets = np.where(counts, rows.tokens, 0).astype(np.int32)
        return Batch(source, segments, targets, counts.astype(np.float32))

    def labelled(self, rows: Rows) -> np.ndarray:
        """Tokens whose label counts. [B, T] bool."""
        return (rows.segments > 0) & scored(rows) & ~self.vocabulary.special[rows.tokens]


def sources(rows: Rows, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(source, source_segments) [B, S] int32 of rows of pairs; UserError if they carry none."""
    source, segments = rows.source, rows.source_segments
    if source is None or segments is None:
        raise UserError(
            f"objective={name} learns from pairs of texts, and this data has single texts: choose "
            "data with a source and a target (records with data.source_field= and "
            "data/packing=paired, or data=copy), or an objective for single texts: objective=clm, "
            "objective=mlm or objective=denoise"
        )
    return np.asarray(source, np.int32), np.asarray(segments, np.int32)
