"""Associative recall: one layer of attention cannot, two can."""

import pytest

from tests.physics.training import trained


@pytest.mark.slow
@pytest.mark.parametrize(("layers", "low", "high"), [(1, 0.1, 0.6), (2, 0.99, 1.0)])
def test_recall_takes_two_layers(layers, low, high):
    """Only the values asked for are scored. One layer can look a key up, but the vector it finds
    there does not know which value came next."""
    run = trained("experiment=recall_depth", f"model.layers={layers}")
    assert low <= run.valid["accuracy"] <= high
