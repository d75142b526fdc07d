"""Given pairs: the source is read as it is; data without pairs is refused in words."""

import dataclasses

import numpy as np
import pytest

from fxformer.batch import Rows
from fxformer.objective.pairs import Seq2SeqLM, TokenLabel


class Paired(Rows):
    """Rows with a source: the tokens backwards, piece by piece the same length."""

    @property
    def source(self):
        return np.where(self.segments > 0, self.tokens + 1, 0)

    @property
    def source_segments(self):
        return self.segments


@pytest.fixture
def rows(pack):
    return Paired(**vars(pack([[(0, 20), (1, 9)], [(2, 30)]], 32)))


@pytest.mark.parametrize("objective", [Seq2SeqLM, TokenLabel])
def test_the_laws_hold_and_can_be_broken(objective, rows, build, broken):
    made = build(objective)
    batch = made.corrupt(rows)
    assert broken(made.laws(), [(rows, batch)]) == set()
    wrong = dataclasses.replace(batch, targets=batch.targets + 1)
    assert broken(made.laws(), [(rows, wrong)])
    field = "tokens" if objective is TokenLabel else "source"
    wrong = dataclasses.replace(batch, **{field: getattr(batch, field) + 1})
    assert any("source" in name for name in broken(made.laws(), [(rows, wrong)]))


@pytest.mark.parametrize("objective", [Seq2SeqLM, TokenLabel])
def test_single_texts_are_refused(objective, pack, build):
    with pytest.raises(ValueError, match="objective=clm"):
        build(objective).corrupt(pack([[(0, 20)]], 32))


def test_labels_must_lie_where_the_tokens_lie(rows, build):
    class Short(Paired):
        source = source_segments = rows.source[:, :16]

    with pytest.raises(ValueError, match="objective=seq2seq"):
        build(TokenLabel).corrupt(Short(**vars(rows)))
