"""The options of a search: which go together, and how many trials there are."""

import pytest
from search import fake_worker

from fxformer.search import space
from fxformer.search.prune import NoPruning, SuccessiveHalving
from fxformer.search.sample import Auto, Grid, Random


@pytest.mark.parametrize(
    "options,said",
    [
        (
            {"objectives": ["loss", "kwh"], "pruner": SuccessiveHalving()},
            "write search/pruner=none",
        ),
        ({"objectives": ["kwh", "loss"]}, "the first a metric of the evaluation"),
        ({"objectives": ["loss", "loss"]}, "expected distinct names"),
        ({"objectives": []}, "expected distinct names"),
        ({"storage": "nowhere"}, "search.storage=nowhere: expected postgresql"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        fake_worker.search(**options)


def test_objectives_are_maximized_where_higher_is_better():
    names = ["accuracy", "loss", "ema_f1", "kwh", "fairness"]
    found = fake_worker.search(objectives=names, pruner=NoPruning())
    assert found.maximized("loss", None) == ("accuracy", "ema_f1")
    alone = fake_worker.search()
    assert alone.maximized("loss", None) == () and alone.maximized("bleu", None) == ("bleu",)
    assert alone.maximized("fairness", "maximize") == ("fairness",)
    given = fake_worker.search(objectives=["accuracy"], maximize=[])
    assert given.maximized("loss", None) == ()


def test_several_objectives_go_without_a_pruner():
    assert fake_worker.search(objectives=["loss", "kwh"], pruner=NoPruning()).objectives[1] == "kwh"


def test_how_many_trials_there_are():
    listed, drawn = space.parse(["a=1,2,3", "b=x,y"])[1], space.parse(["a=interval(0,1)"])[1]
    auto = fake_worker.search(sampler=Auto())
    assert auto.resolved(listed).total(listed) == 6 and auto.resolved(drawn).total(drawn) == 20
    few = fake_worker.search(sampler=Grid(), trials=4)
    assert (
        few.total(listed) == 4 and fake_worker.search(sampler=Grid(), trials=9).total(listed) == 6
    )
    assert fake_worker.search(sampler=Random(), trials=9).total(listed) == 9
    with pytest.raises(ValueError, match="a is an interval; write choice"):
        few.resolved(drawn)
