"""Next sentence prediction (BERT): whether text B follows text A in its document."""

import numpy as np

from fxformer.batch import Pairs
from fxformer.objective.pieces import Pieces
from fxformer.objective.sentence_pairs import SentencePairLM


class NextSentence(SentencePairLM):
    """A wrong pair has another document's text in place of B. Devlin et al. 2019, task 2.

    B is replaced by a negative (data/packing_sentences.py): as long as B, and whole sentences.
    """

    needs_negatives = True

    def with_wrong_pairs(self, pieces: Pieces, pairs: Pairs, wrong: np.ndarray) -> tuple:
        assert pairs.negatives is not None  # `shown` refuses rows without
        here = pairs.documents >= 0
        tokens = np.where(wrong[pieces.piece], pairs.negatives[here], pieces.tokens)
        return tokens.astype(np.int32), pairs.types[here]
