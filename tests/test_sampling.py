"""The tenth of the slow tests that CI runs: the same for a seed, another for another seed."""

from collections import Counter

from tests.sampling import tenth

NAMES = [
    f"tests/{file}.py::test[{n}]"
    for file, count in (("a", 57), ("b", 120), ("c", 3))
    for n in range(count)
]


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
