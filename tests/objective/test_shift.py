"""The decoder's input is the target shifted right, piece by piece."""

import numpy as np

from fxformer.objective.shift import answer


def test_each_piece_begins_with_the_start_token(pack):
    rows = pack([[(0, 3), (1, 2)], [(2, 6)]], 6)
    tokens, targets, weights = answer(rows, 9)
    a, b, c = (rows.tokens[0, :3], rows.tokens[0, 3:5], rows.tokens[1])
    assert tokens[0].tolist() == [9, *a[:2], 9, b[0], 0]
    assert tokens[1].tolist() == [9, *c[:5]]
    assert (targets == rows.tokens).all()
    assert weights.tolist() == [[1, 1, 1, 1, 1, 0], [1] * 6]
    assert tokens.dtype == targets.dtype == np.int32 and weights.dtype == np.float32
