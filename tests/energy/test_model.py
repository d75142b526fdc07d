"""The stated model: watts times use."""

import pytest

from fxformer.energy import host
from fxformer.energy.model import ChipModel, CPUModel, RAMModel
from tests.energy.fakes import Clock


def test_the_processor_is_charged_for_what_this_process_uses():
    used = iter([5.0, 8.0])
    cpu = CPUModel(tdp_watts=128, threads=64, sigma=0.4, seconds=lambda: next(used))
    (reading,) = cpu.read()
    assert reading.joules == pytest.approx(2 * 3) and reading.provenance == "modelled"
    assert cpu.statement == "128 W / 64 threads"


def test_memory_is_charged_by_size_and_time():
    clock, size = Clock(), [4e9]
    ram = RAMModel(watts_per_gb=0.5, sigma=0.4, resident=lambda: size[0], clock=clock)
    clock.go(10)
    assert ram.read()[0].joules == pytest.approx(20)
    size[0] = 8e9
    clock.go(10)
    assert ram.read()[0].joules == pytest.approx(20 + 30)  # it grew from 4 to 8 in between


def test_an_unreadable_chip_is_charged_by_its_design_power():
    clock = Clock()
    chip = ChipModel(
        {"gpu:0": "NVIDIA A100-SXM4-80GB"}, tdp_watts=None, load=0.5, sigma=0.4, clock=clock
    )
    clock.go(10)
    assert chip.read()[0].joules == pytest.approx(2000)
    assert "TDP 400 W of A100" in chip.statement


def test_this_process_uses_something():
    before = host.cpu_seconds()
    while host.cpu_seconds() == before:
        sum(range(1000))
    assert host.resident_bytes() > 1e6
