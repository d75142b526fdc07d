"""Next sentence prediction (BERT): is B what follows A, or a text of another document?"""

from typing import cast

import numpy as np

from fxformer.batch import Batch, Pairs, Rows
from fxformer.objective.law import Law
from fxformer.objective.pieces import Pieces
from fxformer.objective.sentence_law import roles, unhidden, wrong_tokens
from fxformer.objective.sentence_pairs import SentencePairLM


class NextSentence(SentencePairLM):
    """A wrong pair has another document's text in place of B. Devlin et al. 2019, task 2.

    B is replaced by a negative (data/packing_sentences.py): as long as B, and whole sentences.
    """

    needs_negatives = True

    def spoilt(self, pieces: Pieces, pairs: Pairs, wrong: np.ndarray) -> tuple:
        assert pairs.negatives is not None  # `shown` refuses rows without
        here = pairs.documents >= 0
        tokens = np.where(wrong[pieces.piece], pairs.negatives[here], pieces.tokens)
        return tokens.astype(np.int32), pairs.types[here]

    def wrong_laws(self) -> tuple[Law, ...]:
        """B is the negative where the class says so, which is from another document."""

        def other(rows: Rows, batch: Batch) -> np.ndarray:
            tokens, wrong = unhidden(batch), wrong_tokens(rows, batch, self.vocabulary)
            negatives = cast(np.ndarray, cast(Pairs, rows.pairs).negatives)
            right = np.where(wrong, negatives, rows.tokens)
            return (tokens != right)[rows.segments > 0]

        def same(rows: Rows, batch: Batch) -> np.ndarray:
            text = np.zeros(rows.tokens.shape, bool)
            text[rows.segments > 0] = roles(rows, self.vocabulary) == 3
            text &= wrong_tokens(rows, batch, self.vocabulary)
            pairs = cast(Pairs, rows.pairs)
            return np.asarray(pairs.negative_documents == pairs.documents)[text]

        return (
            Law("texts other than their class says", 0.0, other, "exact"),
            Law("wrong second texts from the same document", 0.0, same, "exact"),
        )
