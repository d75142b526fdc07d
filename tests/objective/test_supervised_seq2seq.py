"""Given pairs: the source is read as it is; data without pairs is refused in words."""

import dataclasses

import numpy as np
import pytest

from fxformer.evaluate.audit.checks.all import objective_checks
from fxformer.objective.supervised_seq2seq import Seq2SeqLM, TokenLabel


@pytest.fixture
def rows(pack):
    """Rows with a source: piece by piece the same length, other tokens."""
    rows = pack([[(0, 20), (1, 9)], [(2, 30)]], 32)
    source = np.where(rows.segments > 0, rows.tokens + 1, 0)
    return dataclasses.replace(rows, source=source, source_segments=rows.segments)


@pytest.mark.parametrize("objective", [Seq2SeqLM, TokenLabel])
def test_the_checks_hold_and_can_be_broken(objective, rows, build, broken):
    made = build(objective)
    batch = made.corrupt(rows)
    assert broken(objective_checks(made), [(rows, batch)]) == set()
    wrong = dataclasses.replace(batch, targets=batch.targets + 1)
    assert broken(objective_checks(made), [(rows, wrong)])
    field = "tokens" if objective is TokenLabel else "source"
    wrong = dataclasses.replace(batch, **{field: getattr(batch, field) + 1})
    assert any("source" in name for name in broken(objective_checks(made), [(rows, wrong)]))


@pytest.mark.parametrize("objective", [Seq2SeqLM, TokenLabel])
def test_single_texts_are_refused(objective, pack, build):
    with pytest.raises(ValueError, match="objective=clm"):
        build(objective).corrupt(pack([[(0, 20)]], 32))


def test_labels_must_lie_where_the_tokens_lie(rows, build):
    half = rows.source[:, :16]
    short = dataclasses.replace(rows, source=half, source_segments=half)
    with pytest.raises(ValueError, match="objective=seq2seq"):
        build(TokenLabel).corrupt(short)
