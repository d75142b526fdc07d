"""Sums, their words and their way through JSON."""

import json

import pytest

from fxformer.energy.totals import EnergyEntry, EnergyTotals


def test_totals_survive_json_and_add():
    a = EnergyTotals((EnergyEntry("train", "cpu", "rapl", "measured", 0.05, 3.0),), {"train": 1.0})
    b = EnergyTotals(
        (
            EnergyEntry("train", "cpu", "rapl", "measured", 0.05, 4.0),
            EnergyEntry("data", "ram", "model:ram", "modelled", 0.4, 1.0),
        ),
        {"train": 2.0},
    )
    both = EnergyTotals.from_json(json.loads(json.dumps((a + b).to_json())))
    assert both.joules == 8 and both.seconds == {"train": 3.0} and len(both.entries) == 2
    assert both.total.provenance == "measured 88 %, modelled 12 %"
    assert EnergyTotals().total.provenance == "nothing counted"


def test_something_else_is_refused():
    with pytest.raises(ValueError, match="not energy totals"):
        EnergyTotals.from_json({"joules": 3})
