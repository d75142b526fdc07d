"""From Hydra's grammar to dimensions and back: what each form spans, what is refused and why."""

import dataclasses
import math

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from fxformer.errors import UserError
from fxformer.search import space
from fxformer.search.study import Dimension, _dimension


def only(word: str) -> Dimension:
    fixed, (dimension,) = space.parse([word])
    assert fixed == []
    return dimension


def test_words_are_fixed_or_span_a_dimension_and_the_later_counts():
    fixed, found = space.parse(["a=1", "b=2,3", "c=x", "a=4,5", "b=7"])
    assert fixed == ["c=x", "b=7"] and [one.key for one in found] == ["a"]


@pytest.mark.parametrize(
    "word,choices,literals",
    [
        ("k=1,2.5,true,null,w", (1, 2.5, True, None, "w"), ("1", "2.5", "True", "null", "w")),
        ("k=choice('a b',\"c,d\")", ("a b", "c,d"), ("a\\ b", "c\\,d")),
        ("k=[1,2],[3]", ("[1,2]", "[3]"), ("[1,2]", "[3]")),
        ("k=range(1,9,3)", (1, 4, 7), ("1", "4", "7")),
        ("k=sort(3,1,2)", (1, 2, 3), ("1", "2", "3")),
    ],
)
def test_enumerated_forms(word, choices, literals):
    assert only(word) == Dimension("k", "choice", choices=choices, literals=literals)


@pytest.mark.parametrize(
    "word,kind,low,high,log",
    [
        ("k=interval(0,2)", "interval", 0, 2, False),
        ("k=tag(log,interval(1e-4,1e-2))", "interval", 1e-4, 1e-2, True),
        ("k=int(interval(2,8))", "integer", 2, 8, False),
        ("k=tag(int,interval(2,8))", "integer", 2, 8, False),
        ("k=int(tag(log,interval(1,64)))", "integer", 1, 64, True),
    ],
)
def test_intervals(word, kind, low, high, log):
    assert only(word) == Dimension("k", kind, low, high, log)


@pytest.mark.parametrize(
    "word,said",
    [
        ("k=tag(log,interval(0,1))", "begin above 0"),
        ("k=interval(2,1)", "lower end first"),
        ("k=tag(lgo,interval(1,2))", "unknown tag lgo; known: log, int"),
        ("k=tag(log,choice(1,2))", "requires an interval"),
        ("k=tag(int,interval(0.5,2))", "integer ends"),
        ("k=range(3,3)", "no value"),
    ],
)
def test_what_spans_nothing_is_refused(word, said):
    with pytest.raises(ValueError, match=said):
        space.parse([word])


def test_a_yaml_says_the_same_as_a_command_line():
    given = {"a.lr": "tag(log,interval(1e-4,1e-2))", "b": {"layers": [1, 2]}, "c": "x,y", "d": 3}
    words = ["a.lr=tag(log,interval(1e-4,1e-2))", "b.layers=choice(1,2)", "c=x,y", "d=3"]
    assert space.space_overrides(given) == words


def test_a_glob_is_asked_of_the_groups():
    class Loader:
        def get_group_options(self, group, results_filter=None):
            return ["clm", "mlm", "mlm_words"] if group == "objective" else []

    (found,) = space.parse(["objective=glob(mlm*)"], Loader())[1]
    assert found.choices == ("mlm", "mlm_words")


@pytest.mark.parametrize(
    "word", ["k=interval(0,2)", "k=tag(log,interval(1e-5,3))", "k=int(interval(2,8))",
             "k=int(tag(log,interval(1,64)))", "k=a,'b c',1,null"],
)  # fmt: skip
def test_places_give_values_that_a_command_line_gives_back(word):
    dimension = only(word)
    for place in [0.0, 1 - 2**-53, *np.random.default_rng(0).random(200)]:
        value = space.value_at(dimension, place)
        if dimension.kind == "choice":
            assert value in dimension.choices
        else:
            assert dimension.low <= value <= dimension.high
        (override,) = OverridesParser.create().parse_overrides(
            list(space.overrides([dimension], {"k": value}))
        )
        assert override.value() == value and type(override.value()) is type(value)


def test_draws_are_even_in_the_value_or_in_its_logarithm():
    places = (np.arange(8000) + 0.5) / 8000
    whole = only("k=int(interval(2,5))")
    counts = np.unique([space.value_at(whole, place) for place in places], return_counts=True)
    assert counts[0].tolist() == [2, 3, 4, 5] and np.ptp(counts[1]) <= 1
    log = only("k=tag(log,interval(1e-4,1e-2))")
    drawn = np.array([space.value_at(log, place) for place in places])
    assert np.mean(drawn < 1e-3) == pytest.approx(0.5, abs=1e-3)
    even = only("k=interval(0,1)")
    assert np.mean([space.value_at(even, place) for place in places]) == pytest.approx(
        0.5, abs=1e-4
    )


def test_corners_are_all_combinations_at_both_ends_or_every_choice_once():
    _, few = space.parse(["a=1,2,3", "b=x,y", "c=interval(0,1)"])
    points = list(space.corners(few))
    assert len(points) == 12 and {(p["a"], p["b"], p["c"]) for p in points} == {
        (a, b, c) for a in (1, 2, 3) for b in "xy" for c in (0, 1)
    }
    _, many = space.parse([f"k{n}=range(0,{20 + n})" for n in range(4)])
    points = list(space.corners(many))
    assert len(points) == 23
    for one in many:
        assert {point[one.key] for point in points} == set(one.choices)
    assert list(space.corners([])) == [{}]


def test_the_size_of_a_grid():
    assert space.size(space.parse(["a=1,2,3", "b=x,y"])[1]) == 6
    assert space.size(space.parse(["a=1,2,3", "b=interval(0,1)"])[1]) is None
    assert math.prod([]) == space.size([]) == 1


def test_an_arm_stands_for_several_overrides_but_the_command_line_goes_first():
    given = {"small": ["model.layers=2", "trainer.epochs=3"], "large": ["data.x={a: 'b c'}"]}
    found = space.arms(given, {"model.layers"})
    assert found.choices == ("small", "large")
    assert found.words == (("trainer.epochs=3",), ("data.x={a: 'b c'}",))
    seed = only("seed=1,2")
    assert space.overrides([found, seed], {"arm": "large", "seed": 2}) == (
        "data.x={a: 'b c'}",
        "seed=2",
    )
    assert space.arms(given, {"trainer.steps"}).words[0] == ("model.layers=2",)
    again = _dimension(dataclasses.asdict(found))
    assert again == found


@pytest.mark.parametrize(
    "words,said", [(["a=1,2"], "an arm gives a key one value"), (["a"], "search.arms.one")]
)
def test_an_arm_that_is_no_setting_is_refused(words, said):
    with pytest.raises(UserError, match=said):
        space.arms({"one": words}, set())
