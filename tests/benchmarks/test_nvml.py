"""The counter beside the power, with made-up boards whose two ways differ by a known share."""

import json
from functools import partial
from types import SimpleNamespace

import pytest

from benchmarks.nvml import AGREE, DIFFER, NO_GPU, main
from fxformer.energy.sensor import Unreadable, UnreadableError
from fxformer.energy.shared_counter import SharedCounter
from tests.energy.fakes import Clock
from tests.energy.test_nvml import FakeNVML


class Board(FakeNVML):
    """A counter that rises by 200 W of `clock`, and a power that says `watts`."""

    def __init__(self, watts, clock, **counters):
        super().__init__(**counters)
        self.watts, self.clock = watts, clock

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        before = super().nvmlDeviceGetTotalEnergyConsumption(handle)
        return before + int(200_000 * self.clock())

    def nvmlDeviceGetPowerUsage(self, handle):
        return 1000 * self.watts


@pytest.mark.parametrize(("watts", "code"), [(203, AGREE), (230, DIFFER)])
def test_both_ways_are_compared_and_kept(tmp_path, monkeypatch, watts, code):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    clock = Clock()  # goes on while there is work, so that no load of this machine counts
    monkeypatch.setattr("benchmarks.nvml.time", SimpleNamespace(monotonic=clock))
    monkeypatch.setattr("benchmarks.nvml.SharedCounter", partial(SharedCounter, clock=clock))
    monkeypatch.setattr("benchmarks.nvml.matrices", lambda: (partial(clock.go, 0.1), "nothing"))
    library = Board(watts, clock, a=5, old=None)
    assert main(["--seconds", "0.5"], library, tmp_path) == code
    (file,) = tmp_path.glob("nvml-*.json")
    one, other = json.loads(file.read_text())["gpus"]
    assert one["ratio"] == pytest.approx(watts / 200, rel=1e-3) and other["counter"] is None


def test_without_a_gpu_it_says_so(monkeypatch, capsys, tmp_path):
    def refuse():
        raise UnreadableError(Unreadable("nvml", "no library", "needs an NVIDIA GPU"))

    monkeypatch.setattr("benchmarks.nvml.open_library", refuse)
    assert main([], results=tmp_path) == NO_GPU
    assert "nothing was measured" in capsys.readouterr().out and not list(tmp_path.iterdir())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert main([], Board(1, Clock(), a=0), tmp_path) == NO_GPU
