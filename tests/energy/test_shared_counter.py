"""A machine's counter divided among processes: the sum of shares is what the counter rose by."""

import json
import math
import os
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from fxformer.energy.attribution import PATIENCE
from fxformer.energy.config import AutoEnergy
from fxformer.energy.counter import Part, gain
from fxformer.energy.machine_state import Book, meeting_place
from fxformer.energy.shared_counter import Shared
from tests.energy.fakes import Clock, Steady
from tests.energy.test_nvml import FakeNVML
from tests.energy.test_rapl import zone


class Dial:
    """A counter that a test turns; `uses` is what the members use."""

    name = key = "dial"
    every, sample_every, sigma, provenance = 0.0, None, 0.05, "measured"
    step = staticmethod(gain)

    def __init__(self, value=0.0, span=None, watts=800.0):
        self.parts, self.value, self.uses = {"a": Part("cpu", watts, span)}, value, None

    def raw(self):
        if isinstance(self.value, Exception):
            raise self.value
        return {"a": self.value}

    def use(self, members, state):
        for member, more in zip(members, self.uses or (), strict=False):
            member.use += more
        return self.uses is not None

    def close(self):
        pass


def alone(value, **knobs):
    """A dial read by one process beside a model of 40 W."""
    clock = Clock()
    dial = Dial(value, **knobs)
    model = Steady(clock, 40, name="model:cpu", provenance="modelled")
    return clock, dial, Shared(dial, {"cpu": model}, place=None, clock=clock)


def read(shared):
    found = {"measured": 0.0, "modelled": 0.0}
    for reading in shared.read():
        found[reading.provenance] += reading.joules
    return found["measured"], found["modelled"]


def turn(clock, dial, shared, value, seconds=0.5):
    clock.go(seconds)
    dial.value = value
    return read(shared)


@pytest.mark.parametrize(("before", "after"), [
    (200_000.0, 199_999.999999), (50.0, 1.0), (10.0, 2**63 / 1e3), (10.0, math.nan),
    (10.0, math.inf), (10.0, 5000.0),
])  # fmt: skip
def test_a_step_no_device_can_make_is_a_reset_counted_by_the_model_and_said(before, after):
    clock, dial, shared = alone(before, span=262143.32885)
    turn(clock, dial, shared, before + 30)
    assert turn(clock, dial, shared, after) == (30, 20)  # 40 W for half a second
    (note,) = shared.notes
    assert "cannot be right" in note.reason and "0.5 s" in note.reason
    assert "model:cpu counts that time" in note.remedy
    if math.isfinite(after):  # counts on from there, and from where it was if that was a bad read
        assert turn(clock, dial, shared, after + 30) == (60, 20)


def test_a_counter_that_wraps_is_mended():
    clock, dial, shared = alone(262_140.0, span=262_143.0)
    assert turn(clock, dial, shared, 7.0) == (10, 0) and not shared.notes
    clock.go(400)  # at 800 W it may have gone round twice
    assert turn(clock, dial, shared, 17.0, 0)[1] == pytest.approx(40 * 400)


def test_one_failed_read_loses_nothing_and_a_long_failure_is_modelled_until_it_is_read_again():
    clock, dial, shared = alone(0.0)
    turn(clock, dial, shared, 50.0)
    assert turn(clock, dial, shared, ValueError("''")) == (50, 0)
    assert turn(clock, dial, shared, 150.0) == (150, 0) and not shared.notes
    for _ in range(12):
        turn(clock, dial, shared, OSError("gone"))
    assert read(shared)[1] == pytest.approx(40 * 6)
    turn(clock, dial, shared, 1000.0)
    measured, modelled = turn(clock, dial, shared, 1050.0)
    assert (measured, modelled) == (200, pytest.approx(40 * 6.5))
    assert "gone" in str(shared.notes[0]) or "could not be read" in str(shared.notes[0])


def test_a_counter_that_does_not_move_is_not_a_measured_zero():
    clock, dial, shared = alone(77.0)
    for _ in range(3600):
        clock.go(1)
        shared.read()
    measured, modelled = read(shared)
    assert measured == 0 and modelled == pytest.approx(40 * 3600, abs=40 * PATIENCE)
    assert "does not move" in str(shared.notes[0])
    assert turn(clock, dial, shared, 177.0, 1.0)[0] == 100  # it moves: it is believed again


def two(tmp_path, value=0.0):
    clock, dial = Clock(), Dial(value)
    return clock, dial, [Shared(dial, {}, place=tmp_path, clock=clock) for _ in range(2)]


def test_parts_follow_use_and_add_up(tmp_path):
    clock, dial, (one, other) = two(tmp_path)
    dial.uses = [3.0, 1.0]
    measured = [read(one)[0]]
    dial.value = 400.0
    clock.go(1)
    measured = [read(one)[0], read(other)[0]]
    assert measured == [300, 100] and not one.unattributed


def test_what_nothing_divides_is_split_equally_and_said_not_to_be_attributable(tmp_path):
    clock, dial, (one, other) = two(tmp_path)
    dial.value = 400.0
    clock.go(1)
    assert [read(one)[0], read(other)[0]] == [200, 200]
    assert one.unattributed == other.unattributed == {"cpu": 200}
    assert "not attributable" in str(one.notes[0])


def test_idle_power_is_split_equally_and_attributable(tmp_path):
    clock, dial, (one, other) = two(tmp_path)
    dial.uses, dial.value = [0.0, 0.0], 10.0
    clock.go(1)
    assert [read(one)[0], read(other)[0]] == [5, 5] and not one.unattributed


def test_who_leaves_owes_to_the_others_and_who_comes_later_pays_nothing_of_the_past(tmp_path):
    clock, dial, (one, other) = two(tmp_path)
    dial.uses, dial.value = [1.0, 1.0], 100.0
    clock.go(1)
    read(one)
    other.close()  # it has not taken its 50
    dial.uses = [1.0]
    dial.value = 160.0
    clock.go(1)
    assert read(one)[0] == 160
    one.close()
    clock.go(60)
    dial.value = 1000.0
    third = Shared(dial, {}, place=tmp_path, clock=clock)
    assert read(third)[0] == 0
    dial.value = 1030.0
    clock.go(1)
    assert read(third)[0] == 30


def test_a_damaged_book_is_begun_anew(tmp_path):
    clock, dial, (one, other) = two(tmp_path)
    dial.uses = [1.0, 1.0]
    for rubbish in ("{", "[]", json.dumps({"parts": {}, "members": {"x": 1}, "use": {}})):
        Book(tmp_path / "dial").path.write_text(rubbish)
        read(one), read(other)
        before = read(one)[0] + read(other)[0]
        clock.go(1)
        dial.value += 40.0
        assert read(one)[0] + read(other)[0] - before == 40


def test_where_nobody_can_meet_one_counts_alone_and_says_so(tmp_path):
    (tmp_path / "file").touch()
    shared = Shared(Dial(), {}, place=tmp_path / "file")
    assert "other processes of this machine count it again" in str(shared.notes[0])


def test_the_meeting_place_is_the_machines_and_open_to_all(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "job"))
    (tmp_path / "b").mkdir()
    place = meeting_place((str(tmp_path / "a"), str(tmp_path / "b")))
    assert place == tmp_path / "b" / "fxformer-meters" and place.stat().st_mode & 0o7777 == 0o1777
    book = Book(place / "rapl")
    with book.change() as state:
        state["x"] = 1
    assert book.path.stat().st_mode & 0o666 == 0o666
    assert meeting_place((str(tmp_path / "a"),)) is None
    assert str(meeting_place()).startswith(("/run/lock", "/dev/shm", "/var/tmp", "/tmp"))


def sample(pid, util, when=1):
    return SimpleNamespace(pid=pid, smUtil=util, timeStamp=when)


class Shares(FakeNVML):
    """A GPU that tells what processes use of it."""

    class NVMLError_NotFound(FakeNVML.NVMLError):  # noqa: N801 - NVML's own name
        pass

    samples: list = []  # noqa: RUF012

    def nvmlDeviceGetProcessUtilization(self, handle, seen):
        if isinstance(self.samples, Exception):
            raise self.samples
        return self.samples


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        ([sample(os.getpid(), 40)], True),
        ([sample(1, 40)], False),  # numbers of another namespace
        (FakeNVML.NVMLError("Not Supported"), False),
        (Shares.NVMLError_NotFound("idle"), True),
    ],
)
def test_a_gpu_is_divided_by_what_nvml_says_processes_use(samples, told, tmp_path, monkeypatch):
    library = Shares(a=0)
    library.samples = [sample(os.getpid(), 10)]
    monkeypatch.setattr("fxformer.energy.config.meeting_place", lambda: tmp_path)
    monkeypatch.setattr("fxformer.energy.nvml.open_library", lambda: library)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    energy = AutoEnergy(read_every_seconds=0)
    one, other = (energy.open(accelerators=["NVIDIA H100"]) for _ in range(2))
    library.samples, library.counters["GPU-a"] = samples, 8000
    totals = [meter.totals().by("device")["gpu:GPU-a"].joules for meter in (one, other)]
    assert sum(totals) == pytest.approx(8)
    assert bool(one.unattributed) is not told
    if told:
        assert not any("attributable" in str(note) for note in one.unreadable)


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


def begin(root, place, number, busy, seconds, end):
    """A process that shares, with a TMPDIR of its own, when it has joined."""
    (tmp := root / f"tmp{number}").mkdir()
    words = [sys.executable, "-m", "tests.energy.sharing", root, place, tmp / "joules", busy,
             seconds, end]  # fmt: skip
    child = subprocess.Popen(
        [*map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp)},
    )
    assert child.stdout.readline() == "joined\n"
    return child


def test_processes_share_by_processor_time_and_together_count_what_the_counter_rose_by(tmp_path):
    """Two alike, one that works a fifth, one that leaves early and one that is killed; each with
    another TMPDIR."""
    file, place = zone(tmp_path, "intel-rapl:0", "package-0", 0), tmp_path / "meet"
    place.mkdir()
    ways = [(1.0, 2.0, "stays"), (1.0, 2.0, "stays"), (0.05, 2.0, "stays"), (1.0, 0.6, "leaves"),
            (1.0, 0.6, "dies")]  # fmt: skip
    children = [begin(tmp_path, place, n, *way) for n, way in enumerate(ways)]
    rising = Rising(file)
    try:
        rising.start()
        for child in children:
            child.stdin.write("\n")
            child.stdin.flush()
        for child in children:
            child.wait(300)
    finally:
        rising.ended.set()
        for child in children:
            child.kill()
    assert [child.returncode for child in children] == [0, 0, 0, 0, -9]
    joules, used = zip(*(
        map(float, (tmp_path / f"tmp{n}" / "joules").read_text().split()) for n in range(len(ways))
    ), strict=True)  # fmt: skip
    book = json.loads(next(place.glob("rapl-*")).read_text())
    owed = sum(one["owed"].get("cpu", 0.0) for one in book["members"].values())
    rose = book["parts"]["intel-rapl:0"]["raw"]
    assert rose > 100 and sum(joules) + owed == pytest.approx(rose, rel=1e-9)
    assert joules[0] / joules[1] == pytest.approx(used[0] / used[1], rel=0.4)
    assert joules[2] < 0.7 * joules[0]
    assert min(joules) > 0


def test_a_run_of_two_processes_counts_its_machine_once(tmp_path):
    """Two jax.distributed processes train one model, each with a ledger line of its own in the
    run's energy.jsonl: together they hold what the machine's counter rose by."""
    pytest.importorskip("jax")
    from fxformer.energy import ledger
    from tests.energy.two import free_port

    rising = Rising(zone(tmp_path, "intel-rapl:0", "package-0", 0))
    rising.start()
    (tmp_path / "locks").mkdir()
    command = [sys.executable, "-m", "tests.energy.two", str(free_port()), str(tmp_path)]
    env = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1"}
    children = [
        subprocess.Popen([*command, str(n)], env=env, stdout=subprocess.PIPE, text=True)
        for n in range(2)
    ]
    try:
        said = [child.communicate(timeout=300)[0] for child in children]
    finally:
        rising.ended.set()
        for child in children:
            child.kill()
    assert [child.returncode for child in children] == [0, 0], said
    spans = [line.split()[1:] for text in said for line in text.splitlines() if "span" in line]
    rose = (max(int(b) for _, b in spans) - min(int(a) for a, _ in spans)) / 1e6
    attempts = ledger.attempts(tmp_path / "energy.jsonl")
    assert len(attempts) == 2 and rose > 50
    each = [sum(e[5] for e in line["entries"] if e[2] == "rapl") for line in attempts.values()]
    assert sum(each) == pytest.approx(rose, abs=60)  # 0.6 s
    assert min(each) > 0.05 * rose  # by processor time, which a loaded machine does not give evenly
