"""Causal language modelling after a control code (CTRL)."""

from typing import ClassVar

import numpy as np
from flax import nnx

from fxformer.batch import Batch, Rows, Vocabulary
from fxformer.errors import UserError
from fxformer.objective.causal import CausalLM
from fxformer.objective.infilling import InfillExample
from fxformer.objective.pieces import pieces_of
from fxformer.ops.cross_entropy import CrossEntropy
from fxformer.types import Part

CODES = (
    "data.code=FIELD (data=jsonl, parquet or huggingface), data.code=folder (data=text) or "
    "data.code=module (data=stdlib_docs)"
)


class ControlledLM(CausalLM):
    """-log p(token | control code, tokens before it in its piece). Keskar et al. 2019 (CTRL).

    Every piece begins with the code of its document, a special token that data with `code` puts
    there in place of bos; it is nobody's target. All that follows is, its first token included.
    """

    legal = frozenset({"decoder"})
    carries_memory = False
    shows_codes: ClassVar[bool] = True

    def __init__(
        self,
        model: Part,
        *,
        loss: CrossEntropy = CrossEntropy(),
        vocabulary: Vocabulary,
        rngs: nnx.Rngs,
    ):
        if not vocabulary.codes:
            raise UserError(
                "ControlledLM reads a control code before each text, and this tokenizer has none: "
                f"write {CODES}, or objective=clm"
            )
        super().__init__(model, loss=loss, vocabulary=vocabulary, rngs=rngs)

    def corrupt(self, rows: Rows) -> Batch:
        """rows [B, T+1] -> tokens, segments, targets, weights [B, T]."""
        batch = super().corrupt(rows)
        pieces = pieces_of(rows, self.vocabulary)
        bare = (pieces.ranks == 0) & ~np.isin(pieces.tokens, self.vocabulary.codes)
        if bare.any():
            example = pieces.example[pieces.piece[np.argmax(bare)]]
            raise UserError(
                f"example {example} begins without a control code: write {CODES}, and "
                "data/packing=segments or padded; or objective=clm"
            )
        return batch

    def scoring_requests(self, hole: InfillExample) -> None:
        """It reads texts behind a code, and nobody says which one a hole's text would have."""
