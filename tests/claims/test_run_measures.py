"""Measures of trained runs: on other rows, without some heads, of generated texts."""

import json
from typing import Any

import numpy as np
import pytest

from fxformer.claims.measures import ConfigNumber, RunJoules, SummaryNumber
from fxformer.claims.other_rows import OtherRowsNumber
from fxformer.claims.removed_heads import without
from fxformer.claims.training_cost import TrainingCostToReach, first_crossing
from fxformer.cli.main import main
from fxformer.energy.totals import EnergyTotals
from fxformer.errors import UserError
from fxformer.track.run_reader import StoredRun


def test_masks_leave_out_each_head_or_each_layer_once():
    masks = {"decoder": np.ones((2, 3)), "cross": np.ones((1, 2))}
    alone = list(without(masks, whole_layers=False))
    assert len(alone) == 8 and all(sum(m.sum() for m in one.values()) == 7 for one in alone)
    off = {tuple(np.argwhere(one["decoder"] == 0)[0]) for one in alone if not one["decoder"].all()}
    assert off == {(block, head) for block in range(2) for head in range(3)}
    layers = [[int(m.sum()) for m in one.values()] for one in without(masks, whole_layers=True)]
    assert layers == [[3, 2], [3, 2], [6, 0]] and masks["decoder"].all()


def test_changes_are_of_data_or_objective():
    with pytest.raises(UserError, match="give changes="):
        OtherRowsNumber(changes={})
    with pytest.raises(UserError, match="model.layers: expected a key of data"):
        OtherRowsNumber(changes={"model.layers": 3})


class EvaluatedRun:
    """Three evaluations, and 20 seconds of training of 40."""

    id = "run"
    lines = tuple(
        {"split": "valid", "tokens": tokens, "nll": nll}
        for tokens, nll in ((10, 4), (20, 3), (40, 2))
    )

    def energy(self):
        return EnergyTotals(seconds={"train": 20.0, "evaluate": 20.0})


RUN: Any = EvaluatedRun()


@pytest.mark.parametrize("target, tokens", [(5, 10), (4, 10), (3.5, 15), (3, 20), (2.25, 35)])
def test_the_cost_of_training_is_interpolated_between_evaluations(target, tokens):
    assert TrainingCostToReach("nll", target, "tokens").of_run(RUN) == tokens
    assert TrainingCostToReach("nll", target, "seconds").of_run(RUN) == tokens / 2


def test_a_target_that_is_never_reached_has_no_cost():
    assert np.isnan(TrainingCostToReach("nll", 1.9).of_run(RUN))
    assert np.isnan(first_crossing([], 1.0))
    with pytest.raises(UserError, match="no bits in its valid evaluations; there are nll"):
        TrainingCostToReach("bits", 1.9).of_run(RUN)


@pytest.mark.slow
def test_a_run_is_measured_on_its_own_and_on_longer_rows(tmp_path):
    words = ["train", "experiment=alibi_extrapolation", "trainer.steps=4", f"runs={tmp_path}"]
    assert main(words) == 0
    run = StoredRun(next(tmp_path.glob("2*")))
    own = OtherRowsNumber(changes={"data.length": 64})
    expected = SummaryNumber(number="valid_loss").of_run(run)
    assert own.of_run(run) == pytest.approx(expected, rel=1e-5)
    longer = OtherRowsNumber(changes={"data.length": 256}, relative=True).of_run(run)
    assert 0.8 < longer < 1.3
    with pytest.raises(UserError, match="no key data.lenght"):
        OtherRowsNumber(changes={"data.lenght": 256}).of_run(run)
    assert ConfigNumber(key="data.batch").of_run(run) == 8
    with pytest.raises(UserError, match="data.packing is .*not a number"):
        ConfigNumber(key="data.packing").of_run(run)
    parts = [RunJoules(phases=[name]).of_run(run) for name in ("train", "compile")]
    assert 0 < sum(parts) < RunJoules().of_run(run)


@pytest.mark.slow
@pytest.mark.parametrize("name, most", [("head_pruning", 1.0), ("beam_length", 50.0)])
def test_a_study_of_heads_or_texts_is_measured(name, most, tmp_path):
    """Two steps: the measures give numbers that can be."""
    words = ["reproduce", name, "--quick", "trainer.steps=2", f"runs={tmp_path}"]
    assert main(words) in (0, 5, 6)
    result = json.loads(next((tmp_path / ".searches").glob("*/result.json")).read_text())
    found = [*result["findings"].values(), *result["controls"].values()]
    assert all(one["n"] == 2 and 0 <= one["effect"] <= most for one in found)
