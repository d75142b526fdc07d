"""Other tools beside our meter, as small modules of the same interface."""

import sys
import types

import pytest

from fxformer.energy.config import TDPEnergy
from fxformer.energy.crosscheck import CodeCarbon, CrossCheck, Zeus, open_tool
from fxformer.energy.meter import Meter
from tests.energy.fakes import Clock, Steady


def meter():
    clock = Clock()
    parts = [Steady(clock, 100), Steady(clock, 10, name="b", device="ram"),
             Steady(clock, 300, name="c", device="gpu:GPU-1")]  # fmt: skip
    return clock, Meter(parts, clock=clock)


@pytest.fixture
def codecarbon(monkeypatch):
    """A module with an offline tracker that finds 2 Wh of processor and 1 Wh of memory."""
    module = types.ModuleType("codecarbon")
    module.__spec__ = types.SimpleNamespace(name="codecarbon")

    class OfflineEmissionsTracker:
        def __init__(
            self,
            *,
            country_iso_code,
            measure_power_secs,
            tracking_mode,
            save_to_file,
            log_level,
            allow_multiple_runs,
        ):
            assert not save_to_file and tracking_mode == "process" and measure_power_secs == 1

        def start(self):
            self.started = True

        def stop(self):
            assert self.started
            self.final_emissions_data = types.SimpleNamespace(
                cpu_energy=2e-3, ram_energy=1e-3, gpu_energy=0
            )
            return 0.1

    module.OfflineEmissionsTracker = OfflineEmissionsTracker
    monkeypatch.setitem(sys.modules, "codecarbon", module)
    return module


def test_codecarbon_is_compared_with_the_meter(codecarbon):
    clock, mine = meter()
    clock.go(5)  # before it began: not compared
    check = CrossCheck(open_tool("codecarbon"), mine)
    check.begin()
    clock.go(100)
    found = check.end()
    assert found["tool_joules"] == pytest.approx(10800) and found["own_joules"] == pytest.approx(
        41000
    )
    assert found["relative_difference"] == pytest.approx(10800 / 41000 - 1)
    by = {device: pytest.approx(both) for device, both in found["by_device"].items()}
    assert by == {"cpu": [7200, 10000], "ram": [3600, 1000], "gpu": [0, 30000]}
    assert check.end() == found
    assert "1.08e+04 J, here 4.1e+04 J (-74%); cpu 7200 J, here 1e+04 J" in check.text()


def test_zeus_is_compared_with_the_meter(monkeypatch):
    calls = []

    class ZeusMonitor:
        def __init__(self, *, sync_execution_with):
            calls.append(sync_execution_with)

        def begin_window(self, key, sync_execution):
            calls.append(("begin", key, sync_execution))

        def end_window(self, key, sync_execution):
            return types.SimpleNamespace(
                gpu_energy={0: 20.0, 1: 30.0}, cpu_energy={0: 5.0}, dram_energy=None
            )

    module = types.ModuleType("zeus.monitor")
    module.ZeusMonitor = ZeusMonitor
    monkeypatch.setitem(sys.modules, "zeus.monitor", module)
    tool = Zeus()
    tool.start()
    assert tool.stop() == {"cpu": 5.0, "gpu": 50.0}
    assert calls == ["jax", ("begin", "fxformer", False)]


def test_a_tool_that_fails_or_reads_nothing_says_so_and_disturbs_nothing():
    class Broken:
        package = "codecarbon"

        def start(self):
            raise OSError("no power here")

    class Empty:
        package = "zeus"

        def start(self): ...

        def stop(self):
            return {}

    _, mine = meter()
    broken, empty = CrossCheck(Broken(), mine), CrossCheck(Empty(), mine)
    broken.begin()
    empty.begin()
    assert broken.text().endswith("failed: OSError: no power here")
    assert empty.text().endswith("failed: it could read no device here")


def test_a_tool_is_ended_when_its_run_fails_before_it_began_or_later(codecarbon):
    ended = []
    codecarbon.OfflineEmissionsTracker.stop = lambda self: ended.append(1)
    for begun in (False, True):
        check = CrossCheck(open_tool("codecarbon"), meter()[1])
        if begun:
            check.begin()
        check.close()
        check.close()
        assert len(ended) == begun


def test_a_tool_that_is_not_installed_is_refused_with_the_pip_command(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install codecarbon"):
        TDPEnergy(crosscheck="codecarbon")


def test_nothing_is_imported_without_the_option():
    energy = TDPEnergy()
    check = energy.cross_check(energy.open(accelerators=[]))
    check.begin()
    check.close()
    assert check.end() == {} and check.text() == ""
    assert CodeCarbon.package not in sys.modules


@pytest.mark.slow
def test_the_real_codecarbon_has_this_interface():
    """Where it is installed. Its processor and ours are watts times load, some way apart."""
    pytest.importorskip("codecarbon")
    mine = TDPEnergy().open(accelerators=[])
    check = CrossCheck(open_tool("codecarbon"), mine)
    check.begin()
    for _ in range(60):
        sum(range(2_000_000))
    found = check.end()
    assert "failed" not in found, found
    their, our = found["by_device"]["cpu"]
    assert our > 0 and 0.2 < their / our < 5
