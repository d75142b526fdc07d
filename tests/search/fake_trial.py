"""A trial without a model: a process that keeps a run's folder, reports, saves and dies as asked.

    python fake_trial.py OVERRIDE…    key=value is a parameter; resume='FOLDER' resumes a run

The loss at step s is (log10 x + 3)² + y + 1 / s. FAKE says how it goes: steps=6 pause=0.01 and, for
each slot, what happens to it at its first attempt (3:raise) or at every (3:raise!): raise, kill,
oom, nan, diverge, bad, hang. FAKE_GATE is a file without which no trial makes its last step.
"""

import json
import math
import os
import signal
import sys
import time
import uuid
from pathlib import Path

from fxformer import jsonl
from fxformer.search import leases, study_io
from fxformer.search.study import Study
from fxformer.search.trial_env import TrialEnv
from fxformer.track.run_lock import this_process, utc_now

JOULES = 3600.0  # a step uses: 1 Wh


def wishes() -> tuple[dict[str, float], dict[int, str]]:
    numbers, ends = {"steps": 6.0, "pause": 0.0}, {}
    for word in os.environ.get("FAKE", "").split():
        if "=" in word:
            numbers[word.partition("=")[0]] = float(word.partition("=")[2])
        else:
            ends[int(word.partition(":")[0])] = word.partition(":")[2]
    return numbers, ends


def loss(params: dict, step: int) -> float:
    return (math.log10(params.get("x", 1e-3)) + 3) ** 2 + params.get("y", 0) + 1 / step


class Trial:
    def __init__(self) -> None:
        self.ticket = TrialEnv.from_environment()
        self.study = Study.open(self.ticket.study)
        self.attempt = uuid.uuid4().hex
        resumed = [word for word in sys.argv[1:] if word.startswith("resume=")]
        if resumed:
            self.run = Path(resumed[0].partition("=")[2].strip("'"))
        else:
            self.run = self.study.runs / f"run-{self.ticket.slot}-{self.attempt[:6]}"
            self.run.mkdir()
            (self.run / "config.yaml").write_text("energy: {}\n")
        self.facts("running")
        self.tell(run=os.path.relpath(self.run, self.study.runs))

    def facts(self, status: str, reason: str | None = None) -> None:
        body = {"id": self.run.name, "status": status, "reason": reason, "owner": this_process(),
                "started": utc_now(), "sweep": self.study.name}  # fmt: skip
        jsonl.replace(self.run / "run.json", json.dumps(body))

    def tell(self, **changes) -> None:
        if not leases.is_current(
            self.study.folder / "leases", self.ticket.slot, self.ticket.attempt
        ):
            os._exit(75)
        trial = self.study.trial(self.ticket.slot).to_json()
        study_io.write(self.study, self.study.trial(self.ticket.slot).from_json(trial | changes))

    def may_end(self) -> bool:
        """Wait for FAKE_GATE; False: this process is to leave before."""
        gate = Path(os.environ.get("FAKE_GATE", "/"))
        while not gate.exists():
            if os.getppid() != self.ticket.parent or self.asked:
                self.facts("interrupted", "asked to leave")
                return False
            time.sleep(0.02)
        return True

    def charge(self, joules: float, seconds: float) -> None:
        line = {"attempt": self.attempt, "joules": joules, "seconds_by_phase": {"train": seconds},
                "entries": [["train", "cpu", "fake", "modelled", 0.1, joules]]}  # fmt: skip
        jsonl.Writer(self.run / "energy.jsonl").write(line)

    def train(self) -> int:
        numbers, ends = wishes()
        end = ends.get(self.ticket.slot, "")
        end = end if end.endswith("!") or self.ticket.attempt == 1 else ""
        trial = self.study.trial(self.ticket.slot)
        saved = self.run / "saved"
        first = int(saved.read_text()) if saved.exists() else 0
        before = trial.reports[-1][2] if trial.reports else 0.0
        for made, step in enumerate(range(first + 1, int(numbers["steps"]) + 1), 1):
            if os.getppid() != self.ticket.parent or self.asked:
                self.facts("interrupted", "asked to leave")
                return 75
            time.sleep(numbers["pause"])
            if step == numbers["steps"] and not self.may_end():
                return 75
            self.charge(made * JOULES, made * 1.0)
            value = loss(trial.params, step)
            if step == 3 and end:
                value = self.happen(end.rstrip("!"), value)
            reports = [r for r in self.study.trial(self.ticket.slot).reports if r[0] < step]
            kwh = before + made * JOULES / 3.6e6
            self.tell(reports=jsonl.encode([*reports, (step, value, kwh)]))
            jsonl.replace(saved, str(step))
            if step < numbers["steps"] and (reason := self.verdict()):
                self.facts("pruned", reason)
                return 0
        self.facts("done", "made all steps")
        with (self.study.folder / "completions").open("a") as file:
            file.write(f"{self.ticket.slot}\n")
        return 0

    def verdict(self) -> str | None:
        if self.study.pruner is None:
            return None
        from fxformer.search import prune

        plain = dict(self.study.pruner)
        kind = getattr(prune, plain.pop("_target_").rpartition(".")[2])
        trials = self.study.trials()
        return kind(**plain).stop_reason(self.study, trials[self.ticket.slot], trials)

    def happen(self, what: str, value: float) -> float:
        if what == "raise":
            raise RuntimeError("boom")
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "oom":
            raise MemoryError("RESOURCE_EXHAUSTED: cannot allocate 7 GB")
        if what == "diverge":
            self.facts("diverged", "5 consecutive updates were not finite")
            sys.exit(3)
        if what == "bad":
            print("fxformer: model.dim: 3 is not divisible by 2")
            sys.exit(2)
        if what == "hang":
            time.sleep(60)
        return math.nan if what == "nan" else value

    asked = False


if __name__ == "__main__":
    me = Trial()
    signal.signal(signal.SIGTERM, lambda *_: setattr(me, "asked", True))
    raise SystemExit(me.train())
