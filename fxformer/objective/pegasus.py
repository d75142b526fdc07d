"""Gap sentence generation (Pegasus): important sentences are masked and generated."""

import dataclasses
from typing import cast

import numpy as np

from fxformer.objective.infilling import InfillExample, ScoringRequest
from fxformer.objective.masking.base import Masked
from fxformer.objective.pieces import Pieces
from fxformer.objective.span_corruption import DropTokens
from fxformer.objective.span_target import Side


class GapSentenceGeneration(DropTokens):
    """-log p(gap sentences | text with a mask for each). Zhang et al. 2020 (Pegasus), sec. 3.1.

    The target is the masked sentences in the order of the text, then what closes the piece. Without
    the masked LM of the paper, which it found not to help.
    """

    needs = ("mask",)

    def _source(self, pieces: Pieces, masked: Masked) -> Side:
        first = masked.begins(pieces)
        tokens = pieces.tokens.copy()
        tokens[masked.index[first]] = self.vocabulary.mask
        stays = np.ones(len(tokens), bool)
        stays[masked.index[~first]] = False
        return Side(tokens[stays], pieces.piece[stays])

    def scoring_requests(self, example: InfillExample) -> list[ScoringRequest]:
        """A mask stands for the example."""
        (question,) = super().scoring_requests(example)
        mask = cast(int, self.vocabulary.mask)
        source = np.concatenate([example.left, [mask], example.right]).astype(np.int32)
        return [dataclasses.replace(question, source=source)]
