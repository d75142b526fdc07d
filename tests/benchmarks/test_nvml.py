"""The counter beside the power, with made-up boards whose two ways differ by a known share."""

import json
import time

import pytest

from benchmarks.nvml import AGREE, DIFFER, NO_GPU, main
from fxformer.energy.sensor import Unreadable, UnreadableError
from tests.energy.test_nvml import FakeNVML


class Board(FakeNVML):
    """A counter that rises by 200 W, and a power that says `watts`."""

    def __init__(self, watts, **counters):
        super().__init__(**counters)
        self.watts, self.began = watts, time.monotonic()

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        before = super().nvmlDeviceGetTotalEnergyConsumption(handle)
        return before + int(200_000 * (time.monotonic() - self.began))

    def nvmlDeviceGetPowerUsage(self, handle):
        return 1000 * self.watts


@pytest.mark.parametrize(("watts", "code"), [(203, AGREE), (230, DIFFER)])
def test_both_ways_are_compared_and_kept(tmp_path, monkeypatch, watts, code):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    library = Board(watts, a=5, old=None)
    assert main(["--seconds", "0.5"], library, tmp_path) == code
    (file,) = tmp_path.glob("nvml-*.json")
    one, other = json.loads(file.read_text())["gpus"]
    assert one["ratio"] == pytest.approx(watts / 200, rel=0.2) and other["counter"] is None


def test_without_a_gpu_it_says_so(monkeypatch, capsys, tmp_path):
    def refuse():
        raise UnreadableError(Unreadable("nvml", "no library", "needs an NVIDIA GPU"))

    monkeypatch.setattr("benchmarks.nvml.open_library", refuse)
    assert main([], results=tmp_path) == NO_GPU
    assert "nothing was measured" in capsys.readouterr().out and not list(tmp_path.iterdir())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert main([], Board(1, a=0), tmp_path) == NO_GPU
