"""Groups of processes, here threads: exchange, agreement, signs of life, ledger lines."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from memory_client import MemoryClient

from fxformer.distributed.agreement import GroupAgreement
from fxformer.distributed.config import DistributedConfig
from fxformer.distributed.group import ProcessGroup
from fxformer.distributed.monitor import PeerMonitor
from fxformer.energy.ledger_relay import LineReceiver, LineSender
from fxformer.energy.totals import EnergyEntry, EnergyTotals
from fxformer.errors import UserError


@pytest.fixture
def groups():
    client = MemoryClient()
    made = [ProcessGroup(index, 3, client) for index in range(3)]
    yield made
    for one in made:
        one.closed.set()


def in_each(groups, act):
    """What `act(group)` returns in each, at the same time."""
    with ThreadPoolExecutor(len(groups)) as pool:
        return list(pool.map(act, groups))


def test_values_are_exchanged_in_order_and_leave_nothing_behind(groups):
    for value in ("a", "b", "c"):
        found = in_each(groups, lambda one, v=value: one.exchange("x", f"{v}{one.index}"))
        assert found == [[f"{value}{n}" for n in range(3)]] * 3
    assert in_each(groups, lambda one: one.share("y", one.index)) == [0, 0, 0]
    left = [key for key in groups[0].client.values if key.startswith("x/")]
    assert left == ["x/2"]


@pytest.mark.parametrize("asks", [0, 2])
def test_all_stop_at_one_point_that_none_has_passed(groups, asks):
    def loop(group):
        agreement, reached = GroupAgreement(group, "loop"), 0
        while reached < 5000:
            reached += 1
            wish = "SIGTERM" if group.index == asks and reached >= 20 else None
            if agreement.settled("stop", wish):
                return reached
            time.sleep(0.001 * group.index)  # they run at different speeds
        return reached

    points = in_each(groups, loop)
    assert len(set(points)) == 1 and 20 < points[0] < 5000


def test_only_process_0_asks_for_a_save_and_it_holds_once(groups):
    def loop(group):
        agreement, saved = GroupAgreement(group, "loop"), []
        for step in range(60):
            late = group.index == 1 or (group.index == 0 and step == 10)
            if agreement.settled("save", "late" if late else None):
                saved.append(step)
            group.barrier("step")
        return saved

    found = in_each(groups, loop)
    assert found[0] == found[1] == found[2] and len(found[0]) == 1 and found[0][0] >= 10


def test_a_process_that_is_silent_or_has_failed_is_named(groups, monkeypatch):
    ended = {}
    monitors = [PeerMonitor(group, bound=0.6, stall=None) for group in groups]
    for monitor in monitors:
        index = monitor.group.index
        monkeypatch.setattr(monitor, "_end", lambda *what, i=index: ended.setdefault(i, what))
        monitor._seen = dict.fromkeys(range(3), (-1, time.monotonic()))
    until = time.monotonic() + 20
    while len(ended) < 2 and time.monotonic() < until:
        for monitor in monitors[:2]:  # process 2 gives no sign of life
            monitor._beat()
        time.sleep(0.02)
    assert ended == {n: (75, "process 2 is lost: no sign of life for 0.6 s") for n in (0, 1)}
    groups[2].set("ended/2", [2, "UserError: no such file"])
    code, words = monitors[0]._missing(time.monotonic())["code"], monitors[0]._missing(0)["words"]
    assert code == 2 and words == "process 2 has ended with exit code 2: UserError: no such file"


def test_a_run_that_makes_no_step_writes_its_stacks(groups, tmp_path, monkeypatch):
    monitor, ended = PeerMonitor(groups[1], bound=60, stall=0.1), []
    monkeypatch.setattr(monitor, "_end", lambda *what: ended.append(what))
    monitor.folder = tmp_path
    monitor._beat()
    assert not ended  # nothing is waited for before the first step
    monitor.moved()
    threading.Event().wait(0.2)
    monitor._beat()
    assert ended == [(75, "no step for 0 s: the run stands still")]
    assert "test_a_run_that_makes" in (tmp_path / "stacks/process-1.txt").read_text()


def test_the_ledger_lines_of_the_others_reach_process_0(groups):
    def line(joules, hours):
        entry = EnergyEntry("train", "cpu", "tdp", "modelled", 0.4, joules)
        totals = EnergyTotals((entry,), {"train": 1.0}, hours)
        return {"attempt": "a", "host": "node", "unreadable": ["rapl: no"], **totals.to_json()}

    sender, receiver = LineSender(groups[1]), LineReceiver(groups[0])
    sender.write(line(1.0, {1: 1.0}))
    sender.write(line(3.0, {2: 2.0}))  # a line has only the hours that changed
    assert [one["joules"] for one in receiver.lines()] == [1.0, 3.0]
    assert receiver.latest[1].joules == 3.0 and receiver.latest[1].hours == {1: 1.0, 2: 2.0}
    assert receiver.lines() == []
    said = [str(one) for one in receiver.unreadable]
    assert said[0].startswith("process 2: sent no reading")
    assert said[1].startswith("process 1 on node: rapl: no")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"coordinator": "a:1"}, "go together"),
        ({"coordinator": "a:1", "processes": 2, "process": 2}, "from 0 to 1"),
    ],
)
def test_half_an_address_is_refused(options, words):
    with pytest.raises(UserError, match=words):
        DistributedConfig(**options)


@pytest.mark.parametrize("process", ["one", None])
def test_a_broken_environment_is_refused_in_a_sentence(monkeypatch, process):
    known = {"COORDINATOR": "a:1", "PROCESSES": "2", "PROCESS": process}
    for name, value in known.items():
        if value is None:
            monkeypatch.delenv(f"FXFORMER_{name}", raising=False)
        else:
            monkeypatch.setenv(f"FXFORMER_{name}", value)
    with pytest.raises(UserError, match="distributed=auto: FXFORMER_COORDINATOR, .* unset them"):
        DistributedConfig(detect=True).join()


def test_one_process_joins_nothing(monkeypatch):
    monkeypatch.delenv("FXFORMER_PROCESSES", raising=False)
    for config in (DistributedConfig(), DistributedConfig(detect=True)):
        joined = config.join()
        assert joined.group.alone and joined.monitor is None
        assert joined.group.exchange("x", 1) == [1]
