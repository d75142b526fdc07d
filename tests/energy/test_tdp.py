"""The tables of design powers."""

import pytest

from fxformer.energy.tdp import WATTS_PER_THREAD, chip_watts, cpu_watts_per_thread


@pytest.mark.parametrize(("name", "watts"), [
    ("NVIDIA H100 80GB HBM3", 700), ("NVIDIA H100 PCIe", 350), ("NVIDIA L40S", 350),
    ("NVIDIA L4", 72), ("Tesla T4", 70), ("NVIDIA A100-SXM4-40GB", 400), ("TPU v3", 450),
    ("NVIDIA GB200", 1200), ("NVIDIA A10", 150), ("NVIDIA H200", 700),
])
def test_a_chip_is_found_by_whole_words(name, watts):
    assert chip_watts(name)[0] == watts


def test_what_is_not_in_the_tables_says_so():
    assert cpu_watts_per_thread("AMD EPYC 7763 64-Core Processor")[0] == 280 / 128
    assert cpu_watts_per_thread("Apple M2 Ultra")[0] == 105 / 24
    watts, statement = cpu_watts_per_thread("Fnord 3000")
    assert watts == WATTS_PER_THREAD and "Fnord 3000 is not in the table" in statement
    assert "not in the table" in chip_watts("Fnord Accelerator")[1]
