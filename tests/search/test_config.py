"""The knobs of a search: which go together, and how many trials there are."""

import pytest
from search import drive

from fxformer.search import space
from fxformer.search.prune import Halving, NoPruning
from fxformer.search.sample import Auto, Grid, Random


@pytest.mark.parametrize(
    "knobs,said",
    [
        ({"objectives": ["loss", "kwh"], "pruner": Halving()}, "write search/pruner=none"),
        ({"objectives": ["kwh", "loss"]}, "first a number of the evaluation"),
        ({"objectives": ["loss", "loss"]}, "wants different names"),
        ({"objectives": []}, "wants different names"),
        ({"storage": "nowhere"}, "search.storage=nowhere: wants postgresql"),
    ],
)
def test_knobs_that_do_not_go_together_are_refused(knobs, said):
    with pytest.raises(ValueError, match=said):
        drive.search(**knobs)


def test_several_objectives_go_without_a_pruner():
    assert drive.search(objectives=["loss", "kwh"], pruner=NoPruning()).objectives[1] == "kwh"


def test_how_many_trials_there_are():
    listed, drawn = space.read(["a=1,2,3", "b=x,y"])[1], space.read(["a=interval(0,1)"])[1]
    auto = drive.search(sampler=Auto())
    assert auto.settled(listed).total(listed) == 6 and auto.settled(drawn).total(drawn) == 20
    few = drive.search(sampler=Grid(), trials=4)
    assert few.total(listed) == 4 and drive.search(sampler=Grid(), trials=9).total(listed) == 6
    assert drive.search(sampler=Random(), trials=9).total(listed) == 9
    with pytest.raises(ValueError, match="a has no grid; write choice"):
        few.settled(drawn)
