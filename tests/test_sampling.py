"""Parts of the tests, one case in n and a tenth of the slow ones by a seed, and their order."""

from collections import Counter
from pathlib import Path

from tests import order
from tests.sampling import one_in, tenth

NAMES = [
    f"tests/{file}.py::test[{n}]"
    for file, count in (("a", 57), ("b", 120), ("c", 3))
    for n in range(count)
]


def test_one_case_in_n_is_always_the_same_and_never_none():
    cases = [f"tests/a.py::test[{n}]" for n in range(30)]
    assert len(one_in(4, cases)) == 8 and one_in(4, cases) == one_in(4, cases[::-1])
    assert one_in(4, cases[:2]) and one_in(4, cases) < set(cases)


def test_a_seed_always_draws_the_same():
    assert tenth(NAMES, "c0ffee") == tenth(NAMES[::-1], "c0ffee")
    assert tenth(NAMES, "c0ffee") != tenth(NAMES, "decade")


def test_a_tenth_of_every_file_is_drawn():
    drawn = tenth(NAMES, "c0ffee")
    per_file = Counter(name.partition("::")[0] for name in drawn)
    assert len(drawn) == 18
    assert per_file["tests/a.py"] in (5, 6) and per_file["tests/b.py"] in (11, 12, 13)


def test_every_test_is_drawn_in_the_end():
    assert set().union(*(tenth(NAMES, str(seed)) for seed in range(200))) == set(NAMES)


def test_the_longest_files_exist_and_come_first():
    assert all((Path(__file__).parents[1] / name).is_file() for name in order.LONGEST)
    first, other = order.LONGEST[0], "tests/a.py"
    assert order.rank(f"{first}::test[1]") == 0 < order.rank(f"{other}::test")
    assert order.rank(other) == len(set(order.LONGEST))
