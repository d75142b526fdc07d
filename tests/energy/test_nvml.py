"""NVML with a made-up library: masks, reordering, missing counters."""

import pytest

from fxformer.energy.nvml import NVMLCounter, open_gpus, visible
from fxformer.energy.source import UnreadableError


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


@pytest.mark.parametrize(("mask", "seen"), [
    (None, ["GPU-aa", "GPU-ab", "GPU-c"]), ("2,0", ["GPU-c", "GPU-aa"]), ("GPU-ab", ["GPU-ab"]),
    ("GPU-c,GPU-aa", ["GPU-c", "GPU-aa"]), ("1,7,0", ["GPU-ab"]), ("GPU-a", []), ("-1", []),
    ("", []),
])
def test_the_mask_decides_what_is_seen(mask, seen):
    library = FakeNVML(aa=0, ab=0, c=0)
    assert list(visible(library, mask)) == seen


def test_joules_follow_the_uuid_when_devices_are_reordered():
    library = FakeNVML(a=1000, b=2000)
    nvml = NVMLCounter(library, visible(library, None), sigma=0.05, every=0)
    library.order.reverse()
    library.counters["GPU-b"] += 7000
    assert {r.device: r.joules for r in nvml.read()} == {"gpu:GPU-a": 0, "gpu:GPU-b": 7}


def test_a_gpu_without_counter_is_integrated():
    library = FakeNVML(new=0, old=None)
    sources, kinds = open_gpus(sigma_counter=0.05, sigma_power=0.1, every=0, power_every=60,
                               library=library, mask="0,1")
    counter, power = sources
    assert [s.devices for s in sources] == [["gpu:GPU-new"], ["gpu:GPU-old"]] and len(kinds) == 2
    power.sample()
    (reading,) = power.read()
    assert reading.provenance == "integrated" and reading.joules > 0
    power.close()
    counter.close()


def test_a_reset_counter_is_not_negative_joules():
    library = FakeNVML(a=1000)
    nvml = NVMLCounter(library, visible(library, None), sigma=0.05, every=0)
    library.counters["GPU-a"] = 10
    with pytest.raises(RuntimeError, match="was reset"):
        nvml.read()


@pytest.mark.parametrize("mask", ["MIG-1234", "9"])
def test_what_cannot_be_metered_says_why(mask):
    with pytest.raises(UnreadableError, match=r"MIG slice|no GPU visible"):
        open_gpus(sigma_counter=0.05, sigma_power=0.1, every=0, power_every=1,
                  library=FakeNVML(a=0), mask=mask)
