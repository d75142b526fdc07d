"""Attribution of one counter reading to processes: the protocol described in `shared_counter`."""

import os
from collections.abc import Mapping
from typing import Any

from fxformer.energy import host_usage
from fxformer.energy.sensor import Counter, ImplausibleError, MeteredProcess

GAP_SECONDS = 2.0  # without a reading that moves; hardware counters move every 0.1 s
SILENT_SECONDS = 600.0  # after which a process of another pid namespace counts as dead


class Attribution:
    """One reading of a counter, attributed to the processes in the counter's shared state.

    state, JSON values:
        "registers": {register: {"raw", "time", "failing_since": first failed reading or None}}
        "processes": {id: {"pid", "start", "pid_namespace", "use", "use_before": {register: use at
            the end of its last interval}, "joules": {device: J it has not taken yet},
            "unattributed": {device: J of them from an equal split}, "gaps": {device: [reason,
            seconds]}, "time": of its last reading, "left": whether it has stopped metering}}
        "use": values the counter stores for itself
    process_id: key of this process in the state
    now: seconds of the machine's monotonic clock
    """

    def __init__(self, state: dict[str, Any], process_id: str, counter: Counter, now: float):
        self.state, self.process_id, self.counter, self.now = state, process_id, counter, now
        if not _is_valid(state):  # of another version, or damaged
            state.clear()
            state.update(registers={}, processes={}, use={})
        self.processes = state["processes"]

    def settle(self) -> dict[str, Any]:
        """Read the counter and attribute the joules since the last reading; returns this process's
        {"joules", "unattributed", "gaps"} and clears them in the state.

        A new process joins after the attribution; where no process was metering, the joules of the
        past are attributed to nobody.
        """
        left = self._remove_dead()
        if not self.processes:
            self.state["registers"], left = {}, {}
        use_known, (raw, error) = self._update_use(), self._read()
        for name, register in self.counter.registers.items():
            if register.device in left:
                self._attribute(name, register.device, left.pop(register.device), use_known)
            self._settle_register(name, raw.get(name), error, use_known)
        own = self.processes.setdefault(self.process_id, _new_process())
        self._update_use()
        own["time"] = self.now
        taken = {key: own[key] for key in ("joules", "unattributed", "gaps")}
        own |= {key: {} for key in taken}
        return taken

    def settled_devices(self) -> list[str]:
        """The devices whose registers were all read now."""
        times: dict[str, float] = {}
        for name, register in self.counter.registers.items():
            then = self.state["registers"][name]["time"]
            times[register.device] = min(times.get(register.device, then), then)
        return [device for device, then in times.items() if then == self.now]

    def leave(self) -> None:
        """Stop metering: joules this process has not taken go to the others at the next reading."""
        if self.process_id in self.processes:
            self.processes[self.process_id]["left"] = True

    def _read(self) -> tuple[Mapping[str, float], str]:
        """(values by register, reason where a register has none)."""
        try:
            return self.counter.raw(), "it cannot be read"
        except Exception as error:  # noqa: BLE001 - no failure of a sensor stops a run
            return {}, f"it cannot be read ({str(error) or type(error).__name__})"

    def _settle_register(self, name: str, raw: float | None, error: str, use_known: bool) -> None:
        """End the interval of a register as joules or as a gap, or leave it open."""
        register, last = self.counter.registers[name], self.state["registers"].get(name)
        if last is None:
            self.state["registers"][name] = {"raw": raw, "time": self.now, "failing_since": None}
            return self._start_interval(name)
        seconds = self.now - last["time"]
        joules, why = 0.0, error
        if raw is not None and last["raw"] is not None:
            try:
                joules = self.counter.step(register, last["raw"], raw, seconds)
            except ImplausibleError as implausible:
                return self._gap(name, raw, f"its reading cannot be right, {implausible}")
            if joules > 0:
                self._attribute(name, register.device, joules, use_known)
                self._start_interval(name)
                last |= {"raw": raw, "time": self.now, "failing_since": None}
                return None
            why, last["failing_since"] = "it does not move", last["time"]
        elif raw is not None:  # the first good reading since a gap
            return self._gap(name, raw, "it could not be read")
        if last["failing_since"] is None:
            last["failing_since"] = self.now
        if self.now - last["failing_since"] >= GAP_SECONDS:
            self._gap(name, raw, why)
        return None

    def _gap(self, name: str, raw: float | None, why: str) -> None:
        """Every process counts the time since the last reading by its fallback sensor."""
        device, last = self.counter.registers[name].device, self.state["registers"][name]
        count = sum(register.device == device for register in self.counter.registers.values())
        for one in self.processes.values():
            seconds = one["gaps"].get(device, [why, 0.0])[1] + (self.now - last["time"]) / count
            one["gaps"][device] = [why, seconds]
        failing_since = self.now - GAP_SECONDS if raw is None else None
        last |= {"raw": raw, "time": self.now, "failing_since": failing_since}
        self._start_interval(name)

    def _attribute(self, name: str, device: str, joules: float, use_known: bool) -> None:
        """Add to each process its part of the joules, in proportion to its use; equal parts where
        the use is unknown or zero."""
        weights = {
            key: max(one["use"] - one["use_before"].get(name, one["use"]), 0.0)
            for key, one in self.processes.items()
        }
        total = sum(weights.values())
        if not use_known or total <= 0:
            weights, total = dict.fromkeys(weights, 1.0), float(len(weights))
        for key, one in self.processes.items():
            part = joules * weights[key] / total
            one["joules"][device] = one["joules"].get(device, 0.0) + part
            if not use_known:
                one["unattributed"][device] = one["unattributed"].get(device, 0.0) + part

    def _start_interval(self, name: str) -> None:
        for one in self.processes.values():
            one["use_before"][name] = one["use"]

    def _update_use(self) -> bool:
        """Bring the processes' use up to date; whether it is known."""
        metering = list(self.processes.values())
        processes = [MeteredProcess(one["pid"], one["start"], one["use"]) for one in metering]
        known = self.counter.update_use(processes, self.state["use"])
        for one, process in zip(metering, processes, strict=True):
            one["use"] = process.use
            for name in self.counter.registers:  # a process that joins has used nothing yet
                one["use_before"].setdefault(name, process.use)
        return known or len(metering) <= 1

    def _remove_dead(self) -> dict[str, float]:
        """Remove dead processes; returns {device: joules} that they have not taken."""
        left: dict[str, float] = {}
        for key, one in list(self.processes.items()):
            if key == self.process_id or not one["left"] and self._is_alive(one):
                continue
            for device, joules in self.processes.pop(key)["joules"].items():
                left[device] = left.get(device, 0.0) + joules
        return left

    def _is_alive(self, one: dict[str, Any]) -> bool:
        if one["pid_namespace"] != host_usage.pid_namespace():
            return self.now - one["time"] < SILENT_SECONDS
        return host_usage.is_alive(one["pid"], one["start"])


def _new_process() -> dict[str, Any]:
    start, use = host_usage.process()
    identity = {"pid": os.getpid(), "start": start, "pid_namespace": host_usage.pid_namespace()}
    joules = {"use_before": {}, "joules": {}, "unattributed": {}, "gaps": {}}
    return {**identity, **joules, "use": use, "time": 0.0, "left": False}


def _is_valid(state: dict[str, Any]) -> bool:
    if any(not isinstance(state.get(key), dict) for key in ("registers", "processes", "use")):
        return False
    keys = _new_process().keys()
    return all(isinstance(m, dict) and keys <= m.keys() for m in state["processes"].values())
