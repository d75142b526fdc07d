"""Whether a decoder reads its source: rows keep their targets and get another row's source."""

import numpy as np
import pytest

from fxformer.batch import Batch
from fxformer.metrics.confidence import ConfidenceInterval
from fxformer.train.source_use import SourceUse, source_lines, source_use_of, with_shuffled_sources
from tests.physics.steps import KINDS, TINY
from tests.physics.training import ready, trained


def test_sources_move_among_the_rows_that_have_one():
    source = np.arange(8).reshape(4, 2)
    there = np.array([[1, 1], [0, 0], [1, 0], [1, 1]])
    batch = Batch(source, there, source=source, source_segments=there, weights=np.ones((4, 2)))
    moved = with_shuffled_sources(batch)
    np.testing.assert_array_equal(moved.source[:, 0], [6, 2, 0, 4])
    np.testing.assert_array_equal(moved.source_segments[2], [1, 1])
    np.testing.assert_array_equal(moved.tokens, source)
    alone = batch.replace(source_segments=there * [[1], [0], [0], [0]])
    assert with_shuffled_sources(alone) is None


def test_only_encoder_decoders_have_a_source():
    assert source_use_of(ready(*KINDS["encoder"], *TINY)) is None
    assert isinstance(source_use_of(ready(*KINDS["seq2seq"], *TINY)), SourceUse)


@pytest.mark.slow
def test_a_reversing_model_reads_its_source_and_a_fresh_one_does_not():
    words = (*KINDS["seq2seq"], *TINY, "optimizer=adamw", "optimizer.lr=1e-2", "data.batch=32")
    ended = trained(*words, "trainer.steps=300")
    use = source_use_of(ended.setup)
    found = use.gap(ended.state.params)
    assert found.low > 0.5
    blind = {**ended.state.params["model"]}
    for path in ("encoder",):  # an encoder that says the same of every source
        blind[path] = {k: _zeros(v) for k, v in blind[path].items()}
    nothing = use.gap({**ended.state.params, "model": blind})
    assert nothing.mean == pytest.approx(0, abs=1e-5)


def _zeros(tree):
    return {k: _zeros(v) for k, v in tree.items()} if isinstance(tree, dict) else tree * 0


def test_the_summary_warns_where_the_interval_holds_0():
    assert "is read" in source_lines(ConfidenceInterval(1.0, 4, 0.9, 1.1))[0][1]
    assert "ignores its source" in source_lines(ConfidenceInterval(0.01, 4, -0.1, 0.1))[0][1]
    assert "ignores its source" in source_lines(ConfidenceInterval(2e-7, 4, 1e-8, 4e-7))[0][1]
    assert source_lines(ConfidenceInterval(1.0, 1)) == []
