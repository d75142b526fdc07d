"""NVML with a fake library: masks, reordering, missing counters."""

import time

import pytest

from fxformer.energy.config import AutoEnergy
from fxformer.energy.nvml import NVMLCounter, open_gpus, visible
from fxformer.energy.sensor import UnreadableError
from fxformer.energy.shared_counter import SharedCounter


class FakeNVML:
    """GPUs by UUID; a counter of None is not supported."""

    class NVMLError(Exception):
        pass

    def __init__(self, **counters):
        self.order = [f"GPU-{name}" for name in counters]
        self.counters = dict(zip(self.order, counters.values(), strict=True))
        self.down = False

    def nvmlDeviceGetCount(self):
        return len(self.order)

    def nvmlDeviceGetHandleByIndex(self, n):
        return self.order[n]

    def nvmlDeviceGetUUID(self, handle):
        return handle.encode()

    def nvmlDeviceGetName(self, handle):
        return "NVIDIA H100 80GB HBM3"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        if self.down or self.counters[handle] is None:
            raise self.NVMLError("Not Supported")
        return self.counters[handle]

    def nvmlDeviceGetPowerUsage(self, handle):
        return 100_000

    def nvmlShutdown(self):
        self.down = True


def shared(counter):
    """The counter, read by this process alone."""
    return SharedCounter(counter, {}, folder=None)


@pytest.mark.parametrize(
    ("mask", "uuids"),
    [
        (None, ["GPU-aa", "GPU-ab", "GPU-c"]),
        ("2,0", ["GPU-c", "GPU-aa"]),
        ("GPU-ab", ["GPU-ab"]),
        ("GPU-c,GPU-aa", ["GPU-c", "GPU-aa"]),
        ("1,7,0", ["GPU-ab"]),
        ("GPU-a", []),
        ("-1", []),
        ("", []),
    ],
)
def test_the_mask_decides_which_gpus_are_visible(mask, uuids):
    library = FakeNVML(aa=0, ab=0, c=0)
    assert list(visible(library, mask)) == uuids


def test_joules_follow_the_uuid_when_devices_are_reordered():
    library = FakeNVML(a=1000, b=2000)
    counters = [
        shared(NVMLCounter(library, uuid, handle, sigma=0.05, every=0))
        for uuid, handle in visible(library, None).items()
    ]
    library.order.reverse()
    library.counters["GPU-b"] += 7000
    read = [reading for counter in counters for reading in counter.read()]
    assert {r.device: r.joules for r in read} == {"gpu:GPU-a": 0, "gpu:GPU-b": 7}


def test_a_gpu_without_counter_is_integrated():
    library = FakeNVML(new=0, old=None)
    counters, kinds = open_gpus(
        sigma_counter=0.05, sigma_power=0.1, every=0, power_every=60, library=library, mask="0,1"
    )
    counter, power = map(shared, counters)
    assert [s.devices for s in (counter, power)] == [["gpu:GPU-new"], ["gpu:GPU-old"]]
    assert len(kinds) == 2
    power.sample()
    (reading,) = power.read()
    assert reading.provenance == "integrated" and reading.joules > 0
    power.close()
    counter.close()


def test_a_reset_counter_is_not_negative_joules():
    library = FakeNVML(a=1000)
    nvml = shared(NVMLCounter(library, "GPU-a", "GPU-a", sigma=0.05, every=0))
    library.counters["GPU-a"] = 10
    assert nvml.read()[0].joules == 0 and "cannot be right" in str(nvml.problems[0])


@pytest.mark.parametrize("mask", ["MIG-1234", "9"])
def test_what_cannot_be_metered_says_why(mask):
    with pytest.raises(UnreadableError, match=r"MIG slice|no GPU visible"):
        open_gpus(
            sigma_counter=0.05,
            sigma_power=0.1,
            every=0,
            power_every=1,
            library=FakeNVML(a=0),
            mask=mask,
        )


def test_indices_of_unlike_gpus_are_used_in_the_bus_order_only(monkeypatch):
    class Unlike(FakeNVML):
        def nvmlDeviceGetName(self, handle):
            return f"NVIDIA {handle}"

    options = {"sigma_counter": 0.05, "sigma_power": 0.1, "every": 0, "power_every": 1}
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    with pytest.raises(UnreadableError, match="CUDA_DEVICE_ORDER=PCI_BUS_ID"):
        open_gpus(library=Unlike(a=0, b=0), mask="1", **options)
    assert list(open_gpus(library=Unlike(a=0, b=0), mask="GPU-b", **options)[1]) == ["gpu:GPU-b"]
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert list(open_gpus(library=Unlike(a=0, b=0), mask="1", **options)[1]) == ["gpu:GPU-b"]


def test_a_gpu_that_falls_off_the_bus_is_counted_by_the_model_since(monkeypatch, tmp_path):
    library = FakeNVML(a=0, b=0)
    monkeypatch.setattr("fxformer.energy.nvml.open_library", lambda: library)
    monkeypatch.setattr("fxformer.energy.config.shared_folder", lambda: tmp_path)
    monkeypatch.setattr("fxformer.energy.attribution.GAP_SECONDS", 3600.0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    meter = AutoEnergy(read_every_seconds=0).open(accelerators=["NVIDIA H100"] * 2)
    library.counters |= {"GPU-a": 5000, "GPU-b": 9000}
    meter.read()
    library.counters["GPU-a"] = None
    monkeypatch.setattr("fxformer.energy.attribution.GAP_SECONDS", 0.05)  # b moves at each reading
    for _ in range(3):
        time.sleep(0.06)
        library.counters["GPU-b"] += 1000
        meter.read()
    monkeypatch.undo()
    by = meter.totals().by("device")
    assert by["gpu:GPU-b"].provenance == "measured" and by["gpu:GPU-b"].joules == 12
    assert by["gpu:GPU-a"].shares["measured"] == 5 and by["gpu:GPU-a"].shares["modelled"] > 0
    assert [u.name for u in meter.unreadable if "not counted" in u.reason] == ["nvml (gpu:GPU-a)"]
    meter.close()
