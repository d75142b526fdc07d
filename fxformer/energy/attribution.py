"""One reading of a counter, divided among its members: the protocol that `Shared` states."""

import os
from collections.abc import Mapping
from typing import Any

from fxformer.energy import host_usage
from fxformer.energy.counter import Counter, ImplausibleError, Member

PATIENCE = 2.0  # seconds without a reading that moves; hardware counters move every 0.1 s
SILENT = 600.0  # seconds after which a process that cannot be seen from here is taken for dead


class Division:
    """A reading, and the state of the book that it is divided in.

    state: {"parts": {part: {"raw", "time", "open": when a reading first failed}}, "members": {id:
        {"pid", "start", "space", "use", "marks": {part: use when its last interval ended}, "owed",
        "unsure": {device: J}, "gaps": {device: [why, s]}, "time": of its last reading, "left"}},
        "use": the counter's own}
    """

    def __init__(self, state: dict[str, Any], who: str, counter: Counter, now: float):
        self.state, self.who, self.counter, self.now = state, who, counter, now
        if not _sound(state):  # of another version, or damaged
            state.clear()
            state.update(parts={}, members={}, use={})
        self.members = state["members"]

    def settle(self) -> dict[str, Any]:
        """Divide; returns what was written to `who`, and takes it out. One that is new joins after
        the division, and where nobody was a member the counter's past is nobody's."""
        left = self._bury()
        if not self.members:
            self.state["parts"], left = {}, {}
        told, (raw, error) = self._use(), self._raw()
        for name, part in self.counter.parts.items():
            if part.device in left:
                self._give(name, part.device, left.pop(part.device), told)
            self._part(name, raw.get(name), error, told)
        mine = self.members.setdefault(self.who, _fresh())
        self._use()
        mine["time"] = self.now
        taken = {key: mine[key] for key in ("owed", "unsure", "gaps")}
        mine |= {key: {} for key in taken}
        return taken

    def closed(self) -> list[str]:
        """The devices of which no interval is open."""
        times: dict[str, float] = {}
        for name, part in self.counter.parts.items():
            then = self.state["parts"][name]["time"]
            times[part.device] = min(times.get(part.device, then), then)
        return [device for device, then in times.items() if then == self.now]

    def leave(self) -> None:
        """What is still owed to `who` is divided among the others at the next reading."""
        if self.who in self.members:
            self.members[self.who]["left"] = True

    def _raw(self) -> tuple[Mapping[str, float], str]:
        try:
            return self.counter.raw(), "it cannot be read"
        except Exception as error:  # noqa: BLE001 - any failure is the same to a run
            return {}, f"it cannot be read ({str(error) or type(error).__name__})"

    def _part(self, name: str, raw: float | None, error: str, told: bool) -> None:
        """Close the interval of a part: as joules, as a gap, or leave it open."""
        part, last = self.counter.parts[name], self.state["parts"].get(name)
        if last is None:
            self.state["parts"][name] = {"raw": raw, "time": self.now, "open": None}
            return self._mark(name)
        seconds = self.now - last["time"]
        joules, why = 0.0, error
        if raw is not None and last["raw"] is not None:
            try:
                joules = self.counter.step(part, last["raw"], raw, seconds)
            except ImplausibleError as implausible:
                return self._gap(name, raw, f"its reading cannot be right, {implausible}")
            if joules > 0:
                self._give(name, part.device, joules, told)
                self._mark(name)
                last |= {"raw": raw, "time": self.now, "open": None}
                return None
            why, last["open"] = "it does not move", last["time"]
        elif raw is not None:  # the first good reading since a gap
            return self._gap(name, raw, "it could not be read")
        last["open"] = self.now if last["open"] is None else last["open"]
        return self._gap(name, raw, why) if self.now - last["open"] >= PATIENCE else None

    def _gap(self, name: str, raw: float | None, why: str) -> None:
        """Every member counts the time since the last reading by its stand-in."""
        device, last = self.counter.parts[name].device, self.state["parts"][name]
        parts = sum(part.device == device for part in self.counter.parts.values())
        for one in self.members.values():
            seconds = one["gaps"].get(device, [why, 0.0])[1] + (self.now - last["time"]) / parts
            one["gaps"][device] = [why, seconds]
        last |= {"raw": raw, "time": self.now, "open": self.now - PATIENCE if raw is None else None}
        self._mark(name)

    def _give(self, name: str, device: str, joules: float, told: bool) -> None:
        """Write to each member its part of the joules."""
        weights = {
            who: max(one["use"] - one["marks"].get(name, one["use"]), 0.0)
            for who, one in self.members.items()
        }
        total = sum(weights.values())
        if not told or total <= 0:
            weights, total = dict.fromkeys(weights, 1.0), float(len(weights))
        for who, one in self.members.items():
            part = joules * weights[who] / total
            one["owed"][device] = one["owed"].get(device, 0.0) + part
            if not told:
                one["unsure"][device] = one["unsure"].get(device, 0.0) + part

    def _mark(self, name: str) -> None:
        for one in self.members.values():
            one["marks"][name] = one["use"]

    def _use(self) -> bool:
        """Bring the members' use up to date; whether their parts can be told."""
        there = list(self.members.values())
        asked = [Member(one["pid"], one["start"], one["use"]) for one in there]
        told = self.counter.use(asked, self.state["use"])
        for one, member in zip(there, asked, strict=True):
            one["use"] = member.use
            for name in self.counter.parts:
                one["marks"].setdefault(name, member.use)  # who joins has used nothing yet
        return told or len(there) <= 1

    def _bury(self) -> dict[str, float]:
        """Remove the dead; returns {device: joules} that they have not taken."""
        left: dict[str, float] = {}
        for who, one in list(self.members.items()):
            if who == self.who or not one["left"] and self._lives(one):
                continue
            for device, joules in self.members.pop(who)["owed"].items():
                left[device] = left.get(device, 0.0) + joules
        return left

    def _lives(self, one: dict[str, Any]) -> bool:
        if one["space"] != host_usage.pid_space():
            return self.now - one["time"] < SILENT
        return host_usage.lives(one["pid"], one["start"])


def _fresh() -> dict[str, Any]:
    start, use = host_usage.process()
    identity = {"pid": os.getpid(), "start": start, "space": host_usage.pid_space()}
    books = {"marks": {}, "owed": {}, "unsure": {}, "gaps": {}}
    return {**identity, **books, "use": use, "time": 0.0, "left": False}


def _sound(state: dict[str, Any]) -> bool:
    if any(not isinstance(state.get(key), dict) for key in ("parts", "members", "use")):
        return False
    keys = _fresh().keys()
    return all(isinstance(m, dict) and keys <= m.keys() for m in state["members"].values())
