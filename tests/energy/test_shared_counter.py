"""SharedCounter: the parts of all processes add up to the rise of the counter."""

import json
import math
import os
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from fxformer.energy.attribution import GAP_SECONDS
from fxformer.energy.config import AutoEnergy
from fxformer.energy.machine_state import MachineState, shared_folder
from fxformer.energy.sensor import Register, counter_step
from fxformer.energy.shared_counter import SharedCounter
from tests.energy.fakes import Clock, Steady
from tests.energy.test_nvml import FakeNVML
from tests.energy.test_rapl import zone
from tests.ports import reserved_port


class FakeCounter:
    """A counter set by the test; `uses` is what the processes use."""

    name = key = "fake"
    every, sample_every, sigma, provenance = 0.0, None, 0.05, "measured"
    step = staticmethod(counter_step)

    def __init__(self, value=0.0, wraps_at=None):
        self.registers = {"a": Register("cpu", 800.0, wraps_at)}
        self.value, self.uses = value, None

    def raw(self):
        if isinstance(self.value, Exception):
            raise self.value
        return {"a": self.value}

    def update_use(self, processes, state):
        for process, more in zip(processes, self.uses or (), strict=False):
            process.use += more
        return self.uses is not None

    def close(self):
        pass


def single(value, **options):
    """A counter read by one process, with a model of 40 W as its fallback."""
    clock = Clock()
    counter = FakeCounter(value, **options)
    model = Steady(clock, 40, name="model:cpu", provenance="modelled")
    return clock, counter, SharedCounter(counter, {"cpu": model}, folder=None, clock=clock)


def read(shared):
    found = {"measured": 0.0, "modelled": 0.0}
    for reading in shared.read():
        found[reading.provenance] += reading.joules
    return found["measured"], found["modelled"]


def step(clock, counter, shared, value, seconds=0.5):
    clock.go(seconds)
    counter.value = value
    return read(shared)


@pytest.mark.parametrize(("before", "after"), [
    (200_000.0, 199_999.999999), (50.0, 1.0), (10.0, 2**63 / 1e3), (10.0, math.nan),
    (10.0, math.inf), (10.0, 5000.0),
])  # fmt: skip
def test_a_step_no_device_can_make_is_a_reset_counted_by_the_model_and_said(before, after):
    clock, counter, shared = single(before, wraps_at=262143.32885)
    step(clock, counter, shared, before + 30)
    assert step(clock, counter, shared, after) == (30, 20)  # 40 W for half a second
    (note,) = shared.problems
    assert "cannot be right" in note.reason and "0.5 s" in note.reason
    assert "model:cpu counts that time" in note.remedy
    if math.isfinite(after):  # counts on from there, and from where it was if that was a bad read
        assert step(clock, counter, shared, after + 30) == (60, 20)


def test_a_counter_that_wraps_is_corrected():
    clock, counter, shared = single(262_140.0, wraps_at=262_143.0)
    assert step(clock, counter, shared, 7.0) == (10, 0) and not shared.problems
    clock.go(400)  # at 800 W it may have wrapped twice
    assert step(clock, counter, shared, 17.0, 0)[1] == pytest.approx(40 * 400)


def test_one_failed_read_loses_nothing_and_a_long_failure_is_modelled_until_it_is_read_again():
    clock, counter, shared = single(0.0)
    step(clock, counter, shared, 50.0)
    assert step(clock, counter, shared, ValueError("''")) == (50, 0)
    assert step(clock, counter, shared, 150.0) == (150, 0) and not shared.problems
    for _ in range(12):
        step(clock, counter, shared, OSError("gone"))
    assert read(shared)[1] == pytest.approx(40 * 6)
    step(clock, counter, shared, 1000.0)
    measured, modelled = step(clock, counter, shared, 1050.0)
    assert (measured, modelled) == (200, pytest.approx(40 * 6.5))
    assert "gone" in str(shared.problems[0]) or "could not be read" in str(shared.problems[0])


def test_a_counter_that_does_not_move_is_not_a_measured_zero():
    clock, counter, shared = single(77.0)
    for _ in range(3600):
        clock.go(1)
        shared.read()
    measured, modelled = read(shared)
    assert measured == 0 and modelled == pytest.approx(40 * 3600, abs=40 * GAP_SECONDS)
    assert "does not move" in str(shared.problems[0])
    assert step(clock, counter, shared, 177.0, 1.0)[0] == 100  # it moves: it counts again


def pair(tmp_path, value=0.0):
    clock, counter = Clock(), FakeCounter(value)
    return (
        clock,
        counter,
        [SharedCounter(counter, {}, folder=tmp_path, clock=clock) for _ in range(2)],
    )


def test_parts_follow_use_and_add_up(tmp_path):
    clock, counter, (one, other) = pair(tmp_path)
    counter.uses = [3.0, 1.0]
    measured = [read(one)[0]]
    counter.value = 400.0
    clock.go(1)
    measured = [read(one)[0], read(other)[0]]
    assert measured == pytest.approx([300, 100]) and not one.unattributed


def test_an_unknown_use_is_split_equally_and_reported_as_not_attributable(tmp_path):
    clock, counter, (one, other) = pair(tmp_path)
    counter.value = 400.0
    clock.go(1)
    assert [read(one)[0], read(other)[0]] == pytest.approx([200, 200])
    assert one.unattributed == other.unattributed == pytest.approx({"cpu": 200})
    assert "not attributable" in str(one.problems[0])


def test_idle_power_is_split_equally_and_attributable(tmp_path):
    clock, counter, (one, other) = pair(tmp_path)
    counter.uses, counter.value = [0.0, 0.0], 10.0
    clock.go(1)
    assert [read(one)[0], read(other)[0]] == pytest.approx([5, 5]) and not one.unattributed


def test_joules_of_a_process_that_left_go_to_the_others_and_a_new_one_gets_none_of_the_past(
    tmp_path,
):
    clock, counter, (one, other) = pair(tmp_path)
    counter.uses, counter.value = [1.0, 1.0], 100.0
    clock.go(1)
    read(one)
    other.close()  # it has not taken its 50
    counter.uses = [1.0]
    counter.value = 160.0
    clock.go(1)
    assert read(one)[0] == 160
    one.close()
    clock.go(60)
    counter.value = 1000.0
    third = SharedCounter(counter, {}, folder=tmp_path, clock=clock)
    assert read(third)[0] == 0
    counter.value = 1030.0
    clock.go(1)
    assert read(third)[0] == 30


def test_a_damaged_state_is_replaced(tmp_path):
    clock, counter, (one, other) = pair(tmp_path)
    counter.uses = [1.0, 1.0]
    for rubbish in ("{", "[]", json.dumps({"registers": {}, "processes": {"x": 1}, "use": {}})):
        MachineState(tmp_path / "fake").path.write_text(rubbish)
        read(one), read(other)
        before = read(one)[0] + read(other)[0]
        clock.go(1)
        counter.value += 40.0
        assert read(one)[0] + read(other)[0] - before == 40


def test_without_a_shared_folder_one_counts_alone_and_says_so(tmp_path):
    (tmp_path / "file").touch()
    shared = SharedCounter(FakeCounter(), {}, folder=tmp_path / "file")
    assert "other processes of this machine count it again" in str(shared.problems[0])


def test_the_shared_folder_is_the_machines_and_open_to_all(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "job"))
    (tmp_path / "b").mkdir()
    folder = shared_folder((str(tmp_path / "a"), str(tmp_path / "b")))
    assert folder == tmp_path / "b" / "fxformer-energy" and folder.stat().st_mode & 0o7777 == 0o1777
    file = MachineState(folder / "rapl")
    with file.change() as state:
        state["x"] = 1
    assert file.path.stat().st_mode & 0o666 == 0o666
    assert shared_folder((str(tmp_path / "a"),)) is None
    assert str(shared_folder()).startswith(("/run/lock", "/dev/shm", "/var/tmp", "/tmp"))


def sample(pid, util, when=1):
    return SimpleNamespace(pid=pid, smUtil=util, timeStamp=when)


class FakeUtilisation(FakeNVML):
    """A GPU with utilisation samples by process."""

    class NVMLError_NotFound(FakeNVML.NVMLError):  # noqa: N801 - NVML's own name
        pass

    samples: list = []  # noqa: RUF012

    def nvmlDeviceGetProcessUtilization(self, handle, last):
        if isinstance(self.samples, Exception):
            raise self.samples
        return self.samples


@pytest.mark.parametrize(
    ("samples", "known"),
    [
        ([sample(os.getpid(), 40)], True),
        ([sample(1, 40)], False),  # a pid of another namespace
        (FakeNVML.NVMLError("Not Supported"), False),
        (FakeUtilisation.NVMLError_NotFound("idle"), True),
    ],
)
def test_a_gpu_is_attributed_by_the_utilisation_of_processes(samples, known, tmp_path, monkeypatch):
    library = FakeUtilisation(a=0)
    library.samples = [sample(os.getpid(), 10)]
    monkeypatch.setattr("fxformer.energy.config.shared_folder", lambda: tmp_path)
    monkeypatch.setattr("fxformer.energy.nvml.open_library", lambda: library)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    energy = AutoEnergy(read_every_seconds=0)
    one, other = (energy.open(accelerators=["NVIDIA H100"]) for _ in range(2))
    library.samples, library.counters["GPU-a"] = samples, 8000
    totals = [meter.totals().by("device")["gpu:GPU-a"].joules for meter in (one, other)]
    assert sum(totals) == pytest.approx(8)
    assert bool(one.unattributed) is not known
    if known:
        assert not any("attributable" in str(note) for note in one.unreadable)


class RisingCounter(threading.Thread):
    """A package counter that rises by 100 W until `ended` is set."""

    def __init__(self, file):
        super().__init__(daemon=True)
        self.file, self.ended = file, threading.Event()

    def run(self):
        began = time.monotonic()
        while not self.ended.wait(0.02):
            fresh = self.file.with_suffix(".new")
            fresh.write_text(f"{int(1e8 * (time.monotonic() - began))}\n")
            os.replace(fresh, self.file)


class MeteringProcess:
    """A process that shares the counter, with a TMPDIR of its own, once it has joined."""

    def __init__(self, root, folder, number, busy):
        (tmp := root / f"tmp{number}").mkdir()
        words = [sys.executable, "-m", "tests.energy.metering_process", root, folder, busy]
        pipe, env = subprocess.PIPE, os.environ | {"TMPDIR": str(tmp)}
        words = [*map(str, words)]
        self.process = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, env=env)
        self.joules = self.used = 0.0
        assert self.answer() == "joined\n"

    def ask(self, word):
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def answer(self):
        return self.process.stdout.readline()

    def read(self):
        """Take its part of what the counter rose by."""
        self.ask("read")
        self.joules, self.used = map(float, self.answer().split())


def test_processes_share_by_processor_time_and_together_count_the_rise_of_the_counter(tmp_path):
    """Two alike, one that works a twentieth, one that leaves early and one that is killed; each
    with another TMPDIR."""
    file, folder = zone(tmp_path, "intel-rapl:0", "package-0", 0), tmp_path / "shared"
    folder.mkdir()
    all_of_them = [
        MeteringProcess(tmp_path, folder, n, busy) for n, busy in enumerate((1, 1, 0.05, 1, 1))
    ]
    going, rounds = list(all_of_them), 6
    try:
        for number in range(1, rounds + 1):
            for one in going:
                one.ask("work")
            assert [one.answer() for one in going] == ["worked\n"] * len(going)
            file.write_text(f"{number * 5_000_000}\n")
            for one in going:
                one.read()
            if number == 2:
                *going, leaves, dies = going
                leaves.ask("leave")
                dies.ask("die")
                assert (leaves.process.wait(300), dies.process.wait(300)) == (0, -9)
    finally:
        for one in all_of_them:
            one.process.kill()
            one.process.communicate()
    joules, used = zip(*((one.joules, one.used) for one in all_of_them), strict=True)
    state = json.loads(next(folder.glob("rapl-*")).read_text())
    left = sum(one["joules"].get("cpu", 0.0) for one in state["processes"].values())
    assert sum(joules) + left == pytest.approx(5 * rounds, rel=1e-9)
    assert joules[0] / joules[1] == pytest.approx(used[0] / used[1], rel=0.3)  # ticks of 0.01 s
    assert joules[2] < 0.5 * joules[0]
    assert all(joules[n] > 1 for n in (0, 1, 3, 4))


def go_on(processes):
    for one in processes:
        one.stdin.write("\n")
        one.stdin.flush()


@pytest.mark.slow  # it compiles twice; that processes share is tested above
def test_a_run_of_two_processes_counts_its_machine_once(tmp_path):
    """Two jax.distributed processes train one model, each with a ledger line of its own in the
    run's energy.jsonl: together they hold what the machine's counter rose by."""
    pytest.importorskip("jax")
    from fxformer.energy import ledger

    file = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    (tmp_path / "locks").mkdir()
    module = [sys.executable, "-m", "tests.energy.distributed_process"]
    env = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1"}
    pipe, rising = subprocess.PIPE, RisingCounter(file)
    with reserved_port() as port:
        words = [*module, str(port), str(tmp_path)]
        both = [
            subprocess.Popen([*words, str(n)], env=env, stdin=pipe, stdout=pipe, text=True)
            for n in range(2)
        ]
        try:
            assert all("metering\n" in one.stdout for one in both)  # reads up to that line
            rising.start()
            go_on(both)
            assert all("trained\n" in one.stdout for one in both)
            rising.ended.set()
            rising.join()
            go_on(both)
            outputs = [one.communicate(timeout=300)[0] for one in both]
        finally:
            rising.ended.set()
            for one in both:
                one.kill()
    assert [one.returncode for one in both] == [0, 0], outputs
    rose = int(file.read_text()) / 1e6
    attempts = ledger.attempts(tmp_path / "energy.jsonl")
    assert len(attempts) == 2 and rose > 10
    each = [sum(e[5] for e in line["entries"] if e[2] == "rapl") for line in attempts.values()]
    assert sum(each) == pytest.approx(rose, rel=1e-6)
    assert min(each) > 0.05 * rose  # by processor time, which a loaded machine does not give evenly
