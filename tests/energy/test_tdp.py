"""TDP model: watts times use; design powers of processors and their source."""

import csv

import pytest

from fxformer.energy import host_usage
from fxformer.energy.tdp import (
    CPU_TDP,
    WATTS_PER_THREAD,
    AcceleratorModel,
    CPUModel,
    RAMModel,
    cpu_watts_per_thread,
)
from tests.energy.fakes import Clock


def test_the_processor_is_charged_for_what_this_process_uses():
    used = iter([5.0, 8.0])
    cpu = CPUModel(tdp_watts=128, threads=64, sigma=0.4, seconds=lambda: next(used))
    (reading,) = cpu.read()
    assert reading.joules == pytest.approx(2 * 3) and reading.provenance == "modelled"
    assert cpu.assumption == "128 W / 64 threads"


def test_memory_is_charged_by_size_and_time():
    clock, size = Clock(), [4e9]
    ram = RAMModel(watts_per_gb=0.5, sigma=0.4, resident=lambda: size[0], clock=clock)
    clock.go(10)
    assert ram.read()[0].joules == pytest.approx(20)
    size[0] = 8e9
    clock.go(10)
    assert ram.read()[0].joules == pytest.approx(20 + 30)  # it grew from 4 to 8 in between


def test_an_unreadable_accelerator_is_charged_by_its_design_power():
    clock = Clock()
    gpu = AcceleratorModel(
        {"gpu:0": "NVIDIA A100-SXM4-80GB"}, tdp_watts=None, load=0.5, sigma=0.4, clock=clock
    )
    clock.go(10)
    assert gpu.read()[0].joules == pytest.approx(2000)
    assert "TDP 400 W of A100" in gpu.assumption


def test_this_process_uses_something():
    before = host_usage.cpu_seconds()
    while host_usage.cpu_seconds() == before:
        sum(range(1000))
    assert host_usage.resident_bytes() > 1e6


def test_a_processor_is_found_and_what_is_not_says_so():
    assert cpu_watts_per_thread("AMD EPYC 7763 64-Core Processor")[0] == 280 / 128
    assert cpu_watts_per_thread("Apple M2 Ultra")[0] == 105 / 24
    watts, statement = cpu_watts_per_thread("Fnord 3000")
    assert watts == WATTS_PER_THREAD and "Fnord 3000 is not in the table" in statement


def test_watts_of_a_thread_are_those_of_a_thread():
    """A wrong number of threads would stand out: 1 to 8 W each, and the fallback in the middle."""
    each = sorted(watts / threads for watts, threads in CPU_TDP.values())
    assert each[0] > 1 and each[-1] < 8
    assert each[len(each) // 2 - 5] <= WATTS_PER_THREAD <= each[len(each) // 2 + 5]


def test_watts_are_those_codecarbon_has_collected(real_data):
    with open(real_data / "codecarbon" / "cpu_power.csv", encoding="utf-8") as file:
        rows = {row["Name"]: row["TDP"] for row in csv.DictReader(file)}
    theirs = {name: float(rows[name]) for name in CPU_TDP}
    assert theirs == {name: watts for name, (watts, _) in CPU_TDP.items()}
