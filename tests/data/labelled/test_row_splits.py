"""Splits by share: stratified, independent of order, and equal inputs on one side."""

import random
from collections import Counter

import pytest

from fxformer.data.labelled.rows import Row
from fxformer.data.labelled.splits import by_share, group_key, input_key, shared_inputs, subset
from fxformer.errors import UserError

KEY = group_key(None)


def made(labels, text="text {}", **more):
    return [
        Row({"text": text.format(n), "label": label} | more, f"line {n}", n)
        for n, label in enumerate(labels)
    ]


def texts(rows):
    return {row.value("text") for row in rows}


def test_each_label_has_its_share():
    labels = [str(n % 7 % 5) for n in range(700)]
    found = by_share(made(labels), {"test": 0.2, "valid": 0.1}, KEY)
    assert {split: len(rows) for split, rows in found.items()} == {
        "train": 490, "test": 140, "valid": 70,
    }  # fmt: skip
    for split, share in (("train", 0.7), ("test", 0.2), ("valid", 0.1)):
        counts = Counter(row.value("label") for row in found[split])
        assert all(abs(counts[y] - share * n) <= 1 for y, n in Counter(labels).items())
    assert all([row.index for row in rows] == sorted(row.index for row in rows)
               for rows in found.values())  # fmt: skip


def test_rare_labels_are_trained_on_and_sum_to_the_share():
    found = by_share(made([n // 4 for n in range(400)]), {"valid": 0.1}, KEY)  # 100 labels, 4 each
    assert 39 <= len(found["valid"]) <= 41
    assert len({row.value("label") for row in found["train"]}) == 100
    found = by_share(made(["a"] * 50 + ["b"]), {"valid": 0.5}, KEY)
    assert "b" in {row.value("label") for row in found["train"]}


def test_the_choice_does_not_depend_on_order():
    rows = made([n % 3 for n in range(300)])
    known = texts(by_share(rows, {"valid": 0.1}, KEY)["valid"])
    for seed in range(3):
        mixed = random.Random(seed).sample(rows, len(rows))
        assert texts(by_share(mixed, {"valid": 0.1}, KEY)["valid"]) == known


def test_equal_inputs_stay_on_one_side():
    rows = made([n % 2 for n in range(200)]) * 2
    rows += made([1 - n % 2 for n in range(200)], "  TEXT {} ")  # of the other label
    found = by_share(rows, {"valid": 0.3}, KEY)
    assert shared_inputs(found["train"], found["valid"]) == 0
    assert shared_inputs(found["train"], found["train"][:5]) == 5
    assert abs(len(found["valid"]) - 180) <= 6


def test_numbers_and_several_labels_are_one_stratum():
    for labels in ([n / 7 for n in range(100)], [["a"], []] * 50, [None] * 100):
        assert len(by_share(made(labels), {"valid": 0.1}, KEY)["valid"]) == 10


def test_questions_about_a_text_stay_together_and_so_do_given_groups():
    rows = [
        Row({"question": f"q{n}", "context": f"c{n % 40}", "title": f"t{n % 4}"}, "", n)
        for n in range(200)
    ]
    for by in ("context", "title"):
        key = group_key(None if by == "context" else by)
        found = by_share(rows, {"valid": 0.25}, key)
        sides = [{row.value(by) for row in found[split]} for split in ("train", "valid")]
        assert not sides[0] & sides[1] and len(found["valid"]) == 50
    with pytest.raises(UserError, match="data.group_by=titel: .* did you mean .*title"):
        by_share(rows, {"valid": 0.25}, group_key("titel"))


def test_a_split_without_rows_is_refused():
    with pytest.raises(UserError, match=r"data.valid_share=0.1 of 3 rows holds out none"):
        by_share(made("abc"), {"valid": 0.1}, KEY)


def test_all_inputs_count():
    some = [{"text": "a", "pair": "b"}, {"text": "a", "pair": "c"}, {"text": "a b"},
            {"words": ["a", "b"]}, {"text": "a"}]  # fmt: skip
    keys = [input_key(Row(values, "", 0)) for values in some]
    assert keys[2] == keys[3] and len(set(keys)) == 4
    plain = [input_key(Row({"sentence": s, "label": y}, "", 0)) for s, y in ("xa", "xb", "ya")]
    assert plain[0] == plain[1] != plain[2]


def test_subsets_are_nested_and_keep_proportions():
    rows = made(["a", "a", "a", "b"] * 100)
    before: set[str] = set()
    for number in (8, 40, 200, 400):
        some = subset(rows, number)
        assert len(some) == number and before <= texts(some)
        assert Counter(row.value("label") for row in some)["b"] == number // 4
        assert [row.index for row in some] == sorted(row.index for row in some)
        before = texts(some)
    assert texts(subset(rows[::-1], 40)) == texts(subset(rows, 40))
