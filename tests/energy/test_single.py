"""Whoever comes first counts a machine for all of its processes."""

import os
import sys
import threading
import time

import pytest

from fxformer.energy.energy import AutoEnergy
from fxformer.energy.meter import Meter
from fxformer.energy.rapl import RAPL
from fxformer.energy.single import Single
from tests.energy.fakes import Clock, Steady
from tests.energy.test_nvml import FakeNVML
from tests.energy.test_rapl import zone


def pair(tmp_path, what="rapl"):
    clock = Clock()
    return clock, *(Single(Steady(clock, 100), what, tmp_path) for _ in range(2))


def test_two_that_see_one_counter_count_it_once(tmp_path):
    clock, first, second = pair(tmp_path)
    clock.go(10)
    assert first.mine and not second.mine
    assert [r.joules for r in first.read()] == [1000] and second.read() == ()
    other = Single(Steady(clock, 100), "gpu:GPU-0/x", tmp_path)  # another device, another lock
    assert other.mine


def test_when_the_first_ends_the_next_one_goes_on_from_there(tmp_path):
    clock, first, second = pair(tmp_path)
    meters = [Meter([one], clock=clock) for one in (first, second)]
    clock.go(10)
    ended = meters[0].close().joules
    clock.go(3)  # nobody looks: lost, half a second of it in a run
    meters[1].read()
    clock.go(20)
    assert (ended, meters[1].close().joules) == (1000, 2000)


def test_a_lock_that_cannot_be_had_costs_no_joule(tmp_path):
    (tmp_path / "file").touch()
    clock = Clock()
    assert Single(Steady(clock, 1), "rapl", tmp_path / "file").mine


def test_whole_meters_share_what_they_see_and_say_so(tmp_path, monkeypatch):
    """Two meters as of two processes: one GPU and one RAPL, each counted by the first alone; what
    is modelled is of the process and counted by both."""
    file = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    library = FakeNVML(a=0)
    monkeypatch.setattr("fxformer.energy.single.Single.__init__.__defaults__", (tmp_path / "l",))
    monkeypatch.setattr("fxformer.energy.energy.RAPL", lambda **k: RAPL(root=tmp_path, **k))
    monkeypatch.setattr("fxformer.energy.nvml.open_library", lambda: library)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    energy = AutoEnergy(read_every_seconds=0)
    first, second = (energy.open(accelerators=["NVIDIA H100"]) for _ in range(2))
    assert not first.unreadable and [u.name for u in second.unreadable] == ["rapl", "gpu:GPU-a"]
    file.write_text("5000000\n")
    library.counters["GPU-a"] = 7000
    one, two = (m.totals().by("device") for m in (first, second))
    assert (one["cpu"].joules, one["gpu:GPU-a"].joules) == (5, 7)
    assert set(one) - set(two) == {"cpu", "gpu:GPU-a"} and "ram" in two
    first.close()
    second.read()
    file.write_text("9000000\n")
    assert second.totals().by("device")["cpu"].joules == 4


class Rising(threading.Thread):
    """A package counter that rises by 100 W until it is told to stop."""

    def __init__(self, file):
        super().__init__(daemon=True)
        self.file, self.ended, self.began = file, threading.Event(), time.monotonic()

    def run(self):
        while not self.ended.wait(0.02):
            fresh = self.file.with_suffix(".new")
            fresh.write_text(f"{int(1e8 * (time.monotonic() - self.began))}\n")
            os.replace(fresh, self.file)


def test_a_run_of_two_processes_counts_its_machine_once(tmp_path):
    """Two jax.distributed processes train one model, each with a ledger line of its own in the
    run's energy.jsonl: together they hold what the machine's counter rose by."""
    pytest.importorskip("jax")
    import subprocess

    from fxformer.energy import ledger
    from tests.energy.two import free_port

    rising = Rising(zone(tmp_path, "intel-rapl:0", "package-0", 0))
    rising.start()
    command = [sys.executable, "-m", "tests.energy.two", str(free_port()), str(tmp_path)]
    env = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1"}
    env.pop("XLA_FLAGS", None)
    children = [
        subprocess.Popen([*command, str(n)], env=env, stdout=subprocess.PIPE, text=True)
        for n in range(2)
    ]
    try:
        said = [child.communicate(timeout=120)[0] for child in children]
    finally:
        rising.ended.set()
        for child in children:
            child.kill()
    assert [child.returncode for child in children] == [0, 0], said
    spans = [line.split()[1:] for text in said for line in text.splitlines() if "span" in line]
    rose = (max(int(b) for _, b in spans) - min(int(a) for a, _ in spans)) / 1e6
    attempts = ledger.attempts(tmp_path / "energy.jsonl")
    totals = ledger.totals(tmp_path / "energy.jsonl")
    assert len(attempts) == 2 and rose > 50
    assert totals.by("provenance")["measured"].joules == pytest.approx(rose, abs=60)  # 0.6 s
    each = [sum(e[5] for e in line["entries"] if e[2] == "rapl") for line in attempts.values()]
    assert max(each) > 0.7 * rose
    assert any("another process" in str(line["unreadable"]) for line in attempts.values())
