"""Means, standard errors and ratios of the fine-tuning benchmark, on figures made by hand."""

import math

import pytest

from benchmarks.finetune import timing
from benchmarks.finetune_report import markdown, mean_error, seeds_of
from benchmarks.finetune_tasks import TASKS


def run(ours, theirs):
    turns = {
        "ours": [{"seconds": [9.0], "cpu": 9.0, "peak_mb": 10, "compile_seconds": 5},
                 {"seconds": [1.0, 3.0], "cpu": 4.0, "peak_mb": 20},
                 {"seconds": [2.0], "cpu": 1.0, "peak_mb": 30}],
        "theirs": [{"seconds": [1.0], "cpu": 1.0, "peak_mb": 7},
                   {"seconds": [4.0, 4.0], "cpu": 6.0, "peak_mb": 8},
                   {"seconds": [2.0], "cpu": 3.0, "peak_mb": 9}],
    }  # fmt: skip
    return {"metrics": {"accuracy": ours}, "their_metrics": {"accuracy": theirs}} | timing(turns)


def test_a_ratio_is_of_the_same_turn_and_leaves_out_the_first():
    made = run(0.5, 0.5)
    assert made["turns"]["step"] == {"ours": [2.0, 2.0], "theirs": [4.0, 2.0]}
    assert made["ratio"]["median"] == pytest.approx(1.5)
    assert made["ratio_cpu"]["median"] == pytest.approx((3 / 2 + 3) / 2)
    assert (made["peak_mb"], made["their_peak_mb"], made["compile_seconds"]) == (30, 9, 5)


def test_seeds_have_a_standard_error_and_one_seed_has_none():
    runs = [run(0.5, 0.6), run(0.7, 0.6), run(0.9, 0.6)]
    found = seeds_of("accuracy", runs)
    assert mean_error([0.5, 0.7, 0.9]) == pytest.approx((0.7, 0.2 / math.sqrt(3)))
    assert found["difference"] == pytest.approx(0.1) and found["within_one_error"]
    assert seeds_of("accuracy", runs[:1])["within_one_error"] is None
    parity = {"parity": {"first": 1e-8, "largest": 2e-6}, "runs": runs}
    table = markdown({"polarity": found | parity})
    assert "| 0.7000 ± 0.1155 | 0.6000 ± 0.0000 | +0.1000 | 1.50 (1.25–1.75) |" in table


def test_packed_rows_hold_about_as_many_examples_as_padded_ones(tmp_path):
    task = TASKS["sentence_polarity"]
    packed, padded = (task.words(tmp_path, tmp_path, 32, one) for one in ("segments", "padded"))
    assert "data.batch=14" in packed and "data.batch=32" in padded
