"""The loop and its callbacks: order, resuming, signals, divergence."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import jax
import numpy as np
import pytest
from tiny_training import Meter, Parts, Tracker, batch, batches, same
from training_process import train

from fxformer.metrics.classification import Accuracy
from fxformer.metrics.results import MetricResults
from fxformer.train import checkpoint_files
from fxformer.train.callbacks import (
    MAX_FAILED_SAVES,
    Callback,
    FunctionCallback,
    SaveCheckpoint,
)
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.config import TrainerConfig
from fxformer.train.evaluation import Evaluate, EvaluationAborted
from fxformer.train.loop import Budget, BudgetLimit, fit
from fxformer.train.loop_state import LoopState, RunTotals
from fxformer.train.rollback import RollBack

HERE = Path(__file__).parent


def go(toy, until, *, state=None, callbacks=(), loader=None, **knobs):
    state = toy.state if state is None else state
    loader = batches(int(state.step)) if loader is None else loader
    tracker = knobs.pop("tracker", None) or Tracker()
    return fit(
        toy.step,
        state,
        loader,
        until=until,
        tracker=tracker,
        meter=Meter(),
        callbacks=callbacks,
        **knobs,
    )


def test_every_step_is_logged_once_and_in_order():
    run = go(Parts(), 7)
    lines = run.tracker.of("train")
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6, 7]
    assert [line["tokens"] for line in lines] == [48 * n for n in range(1, 8)]
    assert (run.status, run.code, run.totals.tokens) == ("done", 0, 7 * 48)
    assert {"loss", "seconds", "joules", "tokens_per_second", "data_wait_seconds"} <= set(lines[0])


def test_numbers_are_read_one_step_behind():
    seen = []
    watch = FunctionCallback(1, lambda run: None)
    watch.due = lambda run: seen.append((run.step, run.read))
    go(Parts(), 4, callbacks=[watch])
    assert seen == [(1, 0), (2, 1), (3, 2), (4, 3)]


def test_log_every_and_progress():
    read = []
    run = go(Parts(), 7, log_every=3, progress=lambda run: read.append(run.read))
    assert [line["step"] for line in run.tracker.of("train")] == [3, 6]
    assert read == [1, 2, 3, 4, 5, 6, 7]


def test_speeds_of_a_line_are_means_since_the_line_before(monkeypatch):
    """Steps of 1, 2, 3 … seconds, a checkpoint of 100 after the fourth."""
    clock = [0.0]
    monkeypatch.setattr("fxformer.train.loop_state.time.perf_counter", lambda: clock[0])
    run = LoopState(None, 0, RunTotals(), Tracker(), Meter(), log_every=3, _began=0.0, _last=0.0)
    for step in range(1, 8):
        run.advance(None, {"tokens": (np.float32(10 * step), np.float32(1))})
        clock[0] += step
        if step == 4:
            run.catch_up()
            clock[0] += 100
            run.after_callback()
    run.catch_up()
    first, second = run.tracker.of("train")
    assert first["tokens_per_second"] == pytest.approx(60 / 6) and first["step_seconds"] == 2
    assert second["tokens_per_second"] == pytest.approx(150 / 15) and second["step_seconds"] == 5
    assert run.totals.seconds == 28 + 100


def test_the_end_of_the_data_and_of_the_time_are_ends():
    assert "the data ended after step 3" in go(Parts(), 9, loader=batches(0, 3)).reason
    short = BudgetLimit("trainer.budget_minutes", 1e-9, "minutes", lambda totals: totals.seconds)
    run = go(Parts(), 10**6, budget=Budget((short,)))
    assert (run.status, run.step) == ("done", 2)


def test_a_loader_at_another_step_is_refused():
    with pytest.raises(ValueError, match="gave batch 4 for step 0"):
        go(Parts(), 9, loader=batches(4))


def test_evaluation_is_one_average_over_all_batches():
    toy, valid = Parts(ema=0.5), [batch(100), batch(101), batch(102)]
    run = go(
        toy,
        5,
        callbacks=[Evaluate(2, toy.evaluate, valid, derive=lambda n: {"twice": 2 * n["loss"]})],
    )
    assert [line["step"] for line in run.tracker.of("valid")] == [2, 4, 5]
    pairs = [toy.evaluate(run.state.params, each)[0]["loss"] for each in valid]
    expected = sum(float(s) for s, _ in pairs) / sum(float(w) for _, w in pairs)
    assert run.valid["loss"] == pytest.approx(expected, rel=1e-6)
    assert run.valid["twice"] == 2 * run.valid["loss"]
    assert run.valid["ema_loss"] != run.valid["loss"]
    assert run.meter.phases.count("evaluate") == 3


class Written:
    """Metrics of generated texts: at the steps that `every` divides, and of the last parameters.

    The share of right texts is 1/2, at the end 1.
    """

    def __init__(self, every, aborts=False):
        self.every, self.aborts, self.made = every, aborts, -1

    def results(self, loop, params):
        self.made = self.made if loop.step % self.every else loop.step
        return None if loop.step % self.every else self._right([0, 1])

    def last_results(self, loop):
        if self.aborts:
            raise EvaluationAborted
        return None if self.made == loop.step else self._right([1, 1])

    def _right(self, predicted):
        return MetricResults([Accuracy()], np.eye(2)[predicted], np.array([1, 1]))


def test_generated_texts_are_judged_when_due_and_at_the_end():
    toy, valid = Parts(), [batch(100)]
    run = go(toy, 6, callbacks=[Evaluate(2, toy.evaluate, valid, generated=Written(4))])
    lines = [(line["step"], line.get("accuracy")) for line in run.tracker.of("valid")]
    assert lines == [(2, None), (4, 0.5), (6, None), (6, 1.0)]
    assert run.status == "done" and run.valid["accuracy"] == 1.0 and run.valid["loss"] > 0
    run = go(toy, 6, callbacks=[Evaluate(2, toy.evaluate, valid, generated=Written(4, True))])
    assert run.status == "interrupted"


def test_patience_stops_the_run():
    toy, values = Parts(), iter([3.0, 2.0, float("nan"), 2.5, 1.0])

    def evaluate(params, _):
        return {"loss": (np.float32(next(values)), np.float32(1))}, None

    judge = Evaluate(2, evaluate, [0])
    judge.patience = 2
    run = go(toy, 100, callbacks=[judge])
    assert (run.step, run.status, run.totals.best, run.totals.best_step) == (8, "done", 2.0, 4)
    assert "no better loss in 2 evaluations" in run.reason


def scored(*values, name="loss"):
    """An evaluation that gives these numbers, one after the other."""
    numbers = iter(values)
    return lambda params, _: ({name: (np.float32(next(numbers)), np.float32(1))}, None)


@pytest.mark.parametrize(
    ("direction", "best", "best_step", "stopped"),
    [("minimize", 0.2, 2, 6), ("maximize", 0.7, 8, 12)],
)
def test_patience_and_the_best_checkpoint_follow_the_direction(
    tmp_path, direction, best, best_step, stopped
):
    toy, checkpoints = Parts(), Checkpoints(tmp_path)
    evaluate = scored(0.2, 0.5, 0.4, 0.7, float("nan"), 0.6, 0.1, name="score")
    trainer = TrainerConfig(
        eval_every=2, save_every=2, metric="score", direction=direction, patience=2
    )
    run = go(toy, 100, callbacks=trainer.callbacks(evaluate, [0], checkpoints, toy.state))
    assert (run.step, run.status) == (stopped, "done")
    assert run.totals.best == pytest.approx(best) and run.totals.best_step == best_step
    assert checkpoints.best() == best_step and best_step in checkpoints.steps()


def test_the_direction_is_that_of_the_metric():
    assert TrainerConfig().best_direction({}) == "minimize"
    assert TrainerConfig(metric="accuracy").best_direction({}) == "maximize"
    assert TrainerConfig(metric="ema_f1", ema=0.9).best_direction({"f1": False}) == "minimize"
    assert TrainerConfig(metric="f1", direction="minimize").best_direction({}) == "minimize"
    with pytest.raises(ValueError, match="trainer.metric=fairness: .* trainer.direction=maximize"):
        TrainerConfig(metric="fairness").best_direction({})


def test_a_value_that_is_not_finite_is_never_the_best():
    evaluate = scored(float("nan"), float("inf"), 3.0)
    run = go(Parts(), 3, callbacks=[Evaluate(1, evaluate, [0])])
    assert (run.totals.best, run.totals.best_step, run.totals.stale) == (3.0, 3, 0)


def test_a_metric_that_is_not_evaluated_is_refused():
    toy = Parts()
    with pytest.raises(ValueError, match="trainer.metric=lss is not evaluated; available: loss"):
        go(toy, 2, callbacks=[Evaluate(1, toy.evaluate, [batch(0)], metric="lss")])


def test_divergence_rolls_back_once_and_then_gives_up(tmp_path):
    toy, checkpoints = Parts(), Checkpoints(tmp_path)
    callbacks = [RollBack(3, 1, checkpoints, toy.state), SaveCheckpoint(4, checkpoints)]
    bad = {6, 7, 8, 9, *range(20, 40)}
    run = go(toy, 30, callbacks=callbacks, loader=batches(bad=bad))
    assert (run.status, run.code, run.totals.rollbacks) == ("diverged", 3, 1)
    # Refused from batch 20 on; three in a row are known one step later.
    assert run.step in (23, 24)
    assert "after 1 roll-backs" in run.reason
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run.state.params))
    assert checkpoints.steps()[-1] == 20


def test_rolling_back_goes_on_with_later_batches(tmp_path):
    toy, checkpoints, notes = Parts(), Checkpoints(tmp_path), Notes()
    back = RollBack(2, 1, checkpoints, toy.state, note=notes)
    run = go(
        toy, 12, callbacks=[back, SaveCheckpoint(4, checkpoints)], loader=batches(bad={5, 6, 7})
    )
    assert (run.status, run.step, run.totals.rollbacks) == ("done", 12, 1)
    ((kind, facts),) = notes
    assert (kind, facts["step"], facts["to"], facts["rollbacks"]) == ("rollback", 8, 4, 1)
    assert "3 consecutive updates were not finite by step 8" in facts["why"]
    found = checkpoints.restore(toy.state)
    assert (found.step, found.host["totals"]["rollbacks"]) == (12, 1)
    assert int(found.state.skipped) == 3


def test_without_a_checkpoint_divergence_ends_the_run(tmp_path):
    toy, notes = Parts(), Notes()
    callbacks = [RollBack(2, 1, Checkpoints(tmp_path), toy.state, note=notes)]
    run = go(toy, 12, callbacks=callbacks, loader=batches(bad=range(100)))
    assert (run.code, "no checkpoint" in run.reason) == (3, True)
    assert [kind for kind, _ in notes] == ["diverged"]


class Notes(list):
    """What an event puts on record."""

    def __call__(self, kind, **facts):
        self.append((kind, facts))


def test_a_last_checkpoint_that_cannot_be_saved_is_not_done(tmp_path, monkeypatch):
    toy, checkpoints, notes = Parts(), Checkpoints(tmp_path), Notes()
    save = SaveCheckpoint(2, checkpoints, note=notes, pause=0.0)

    def full(run):
        checkpoints.wait()
        monkeypatch.setattr(checkpoint_files, "write_tensors", refuse)

    with pytest.warns(UserWarning, match="No space left"):
        run = go(toy, 8, callbacks=[save, FunctionCallback(4, full)])
    assert (run.status, run.code, checkpoints.steps()) == ("interrupted", 75, [4])
    assert "checkpoint of step 8 could not be saved (No space left on device)" in run.reason
    assert "the newest on disk is that of step 4" in run.reason
    assert notes[-1] == ("checkpoint_missing", {"step": 8, "newest": 4, "why": mock.ANY})
    monkeypatch.undo()
    found = checkpoints.restore(toy.state)  # what is done again is the same
    again = go(toy, 8, state=found.state, callbacks=[SaveCheckpoint(2, checkpoints)])
    assert (again.status, checkpoints.steps()) == ("done", [6, 8])
    assert same(again.state, run.state)


def test_a_last_state_that_is_not_finite_is_not_done(tmp_path):
    """It is known a step late, so after the last step it is known at the end."""

    class Broken(Callback):
        def finish(self, run):
            run.train["parameter_norm"] = float("nan")

    checkpoints = Checkpoints(tmp_path)
    run = go(Parts(), 4, callbacks=[Broken(0), SaveCheckpoint(2, checkpoints)])
    assert (run.status, run.code) == ("diverged", 3) and "not finite after step 4" in run.reason


def refuse(path, arrays):
    path.write_bytes(b"half")
    raise OSError(28, "No space left on device")


def test_checkpoints_deleted_while_training_are_saved_anew(tmp_path):
    toy, checkpoints = Parts(), Checkpoints(tmp_path / "checkpoints")

    def delete(run):
        checkpoints.wait()
        shutil.rmtree(tmp_path / "checkpoints")

    run = go(
        toy, 8, callbacks=[SaveCheckpoint(4, checkpoints), FunctionCallback(8, delete)]
    )  # after the last save
    assert (run.status, checkpoints.steps()) == ("done", [8])
    assert same(checkpoints.restore(toy.state).state, run.state)


def test_a_run_stops_when_no_checkpoint_can_be_saved_any_more(tmp_path, monkeypatch):
    toy, checkpoints, notes = Parts(), Checkpoints(tmp_path), Notes()
    monkeypatch.setattr(checkpoint_files, "write_tensors", refuse)
    with pytest.warns(UserWarning, match="No space left"):
        run = go(toy, 100, callbacks=[SaveCheckpoint(1, checkpoints, note=notes, pause=0.0)])
    assert run.status == "interrupted"
    # Saved beside the steps: the loop learns of a failure now or one step later, or of two at once.
    counts = (MAX_FAILED_SAVES, MAX_FAILED_SAVES + 1)
    failures = int(run.reason.split(" checkpoints in a row could not be saved", 1)[0])
    assert run.step in counts and failures in counts
    assert "none is on disk" in run.reason
    assert 1 <= [kind for kind, _ in notes].count("checkpoint_failed") <= failures


def test_an_evaluation_that_was_given_up_is_made_when_the_run_goes_on(tmp_path):
    """SIGTERM in the middle of one: the state is saved, its numbers come out the same later."""
    toy, whole, cut = Parts(ema=0.5), Tracker(), Tracker()
    valid = [batch(100), batch(101)]

    def callbacks(folder, batches=valid):
        checkpoints = Checkpoints(tmp_path / folder)
        return [Evaluate(4, toy.evaluate, batches), SaveCheckpoint(8, checkpoints)], checkpoints

    go(toy, 12, tracker=whole, callbacks=callbacks("whole")[0])

    class Kicking:
        def __iter__(self):
            for n, each in enumerate(valid):
                yield each
                if n == 0 and len(cut.of("train")) == 8:
                    os.kill(os.getpid(), signal.SIGTERM)

    first, checkpoints = callbacks("cut", Kicking())
    run = go(toy, 12, tracker=cut, callbacks=first)
    assert (run.code, run.step, len(cut.of("valid"))) == (75, 8, 1)
    found = checkpoints.restore(toy.state)
    totals = RunTotals(**found.host["totals"])
    go(toy, 12, tracker=cut, state=found.state, totals=totals, callbacks=callbacks("cut")[0])
    assert [(v["step"], v["loss"], v["ema_loss"]) for v in cut.of("valid")] == [
        (v["step"], v["loss"], v["ema_loss"]) for v in whole.of("valid")
    ]
    assert cut.trace == whole.trace and checkpoints.best() is not None


@pytest.mark.parametrize("at", [3, 8])
def test_resuming_at_any_step_is_bit_exact(tmp_path, at):
    toy, whole, cut = Parts(dropout=0.3, ema=0.9), Tracker(), Tracker()
    reference = go(toy, 12, tracker=whole)
    checkpoints = Checkpoints(tmp_path)
    go(toy, at, tracker=cut, callbacks=[SaveCheckpoint(0, checkpoints)])
    found = checkpoints.restore(toy.state)
    totals = RunTotals(**found.host["totals"])
    run = go(toy, 12, tracker=cut, state=found.state, totals=totals)
    assert cut.trace == whole.trace
    assert same(run.state, reference.state)
    assert run.totals.tokens == reference.totals.tokens


def test_a_full_trainer_makes_its_events_and_they_fit_together(tmp_path):
    toy, seen = Parts(ema=0.9), []
    trainer = TrainerConfig(steps=10, eval_every=4, save_every=4, ema=0.9, metric="ema_loss")
    checkpoints = Checkpoints(tmp_path, keep_checkpoints=trainer.keep_checkpoints)
    valid = [batch(100)]
    callbacks = trainer.callbacks(
        toy.evaluate, valid, checkpoints, toy.state, samples=seen.append, facts=lambda: {"id": 5}
    )
    run = go(toy, trainer.steps, callbacks=callbacks)
    assert checkpoints.steps() == [8, 10]
    assert checkpoints.best() == run.totals.best_step == 10
    assert checkpoints.host(10)["id"] == 5
    assert len(seen) == 1
    with pytest.raises(ValueError, match="needs a moving average: trainer.ema"):
        TrainerConfig(metric="ema_loss")


def test_milestones_are_made_and_stay(tmp_path, monkeypatch):
    assert TrainerConfig(steps=1000).milestone_steps == {500, 250, 125}
    assert TrainerConfig(steps=199).milestone_steps == {99}  # none before step 50
    assert not TrainerConfig(steps=1000, milestones=0).milestone_steps
    monkeypatch.setattr("fxformer.train.config.FIRST_MILESTONE", 1)
    toy, trainer = Parts(), TrainerConfig(steps=10, save_every=4)
    checkpoints = Checkpoints(tmp_path, keep_checkpoints=2, milestones=trainer.milestone_steps)
    callbacks = trainer.callbacks(toy.evaluate, [batch(100)], checkpoints, toy.state)
    go(toy, trainer.steps, callbacks=callbacks)
    assert checkpoints.steps() == [1, 2, 5, 8, 10]


def test_donating_the_state_changes_no_number(tmp_path):
    toy = Parts(ema=0.9)
    like, given = jax.eval_shape(lambda: toy.state), jax.tree.map(jax.numpy.copy, toy.state)
    step = jax.jit(toy.raw, donate_argnums=0)

    def callbacks(folder, **knobs):
        checkpoints = Checkpoints(tmp_path / folder, **knobs)
        return [RollBack(2, 1, checkpoints, like), SaveCheckpoint(3, checkpoints)]

    run = fit(
        step,
        given,
        batches(bad={4, 5}),
        until=9,
        tracker=Tracker(),
        meter=Meter(),
        callbacks=callbacks("donated", copy_state=True),
    )
    other = go(toy, 9, loader=batches(bad={4, 5}), callbacks=callbacks("kept"))
    assert run.totals.rollbacks == 1
    assert same(run.state, other.state)
    assert run.tracker.trace == other.tracker.trace


def spawn(folder, until, hold):
    command = [
        sys.executable,
        str(HERE / "training_process.py"),
        str(folder),
        str(until),
        str(hold),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def trace(folder):
    """Every line a run wrote, over all its attempts."""
    path = folder / "trace"
    lines = path.read_text().splitlines() if path.exists() else []
    return [tuple(line.split()) for line in lines if len(line.split()) == 2]


def wait_for(folder, step, process):
    while len(trace(folder)) < step:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def test_killed_and_interrupted_runs_go_on_as_if_nothing_had_been(tmp_path):
    """kill -9, then SIGTERM, then to the end: the losses of an undisturbed run, bit for bit."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    train(whole, 40)

    process = spawn(broken, 40, hold=14)
    wait_for(broken, 13, process)  # each is known a step later
    process.kill()
    process.wait()
    before = len(trace(broken))

    process = spawn(broken, 40, hold=20)
    wait_for(broken, before + 4, process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=300)
    assert (process.returncode, output.split()[0]) == (75, "interrupted")
    reached = int(trace(broken)[-1][0])
    assert Checkpoints(broken / "checkpoints").steps()[-1] == reached  # no step is lost

    run = train(broken, 40)
    assert run.status == "done"
    assert len(trace(broken)) - 40 <= 6 + 5  # lost: at most the interval and a save under way
    assert set(trace(broken)) == set(trace(whole))  # equal in every attempt
    like = Parts(dropout=0.2, ema=0.9).state
    left, right = (Checkpoints(f / "checkpoints").restore(like) for f in (whole, broken))
    assert same(left.state, right.state)
    assert left.host["totals"]["tokens"] == right.host["totals"]["tokens"]


def test_a_second_signal_leaves_at_once():
    code = "import time; from fxformer.train.signals import Signals\nwith Signals() as signals:\n"
    # short naps: one that comes just before a long sleep is handled only after it
    code += " print('ready', flush=True)\n for _ in range(2000): time.sleep(0.05)"
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", code], stdout=pipe, stderr=pipe, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert "again to stop now" in process.stderr.readline() + process.stderr.readline()
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=300) == 130


def test_a_signal_saves_in_this_process_too(tmp_path):
    toy, checkpoints = Parts(), Checkpoints(tmp_path)
    kick = FunctionCallback(3, lambda run: os.kill(os.getpid(), signal.SIGTERM))
    run = go(toy, 100, callbacks=[kick, SaveCheckpoint(0, checkpoints)])
    assert (run.code, run.step, checkpoints.steps()) == (75, 3, [3])
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
