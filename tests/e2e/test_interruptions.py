"""Runs that are stopped, killed and damaged, then resumed: the same losses, bit for bit."""

import random
import signal
import time

import pytest
from shell import CHAIN, DECODER, called, facts, fxformer, kill, lines, only, start, trace, until

from fxformer.energy import ledger
from fxformer.track.run_reader import StoredRun

STEPS = 300
RUN = ("train", *DECODER, f"trainer.steps={STEPS}", "trainer.save_every=7", "trainer.eval_every=50")
RUN += ("energy.ledger_every_seconds=0.2",)
FEW = 40  # steps, where nothing waits for the processor between them
SHORT = (*RUN, f"trainer.steps={FEW}", "trainer.eval_every=15")


def undisturbed(words, steps, folder):
    """A run that nothing disturbed."""
    code, out, err = called(*words, folder=folder)
    assert code == 0, err
    run = only(folder)
    assert list(trace(run)) == list(range(1, steps + 1))
    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return undisturbed(RUN, STEPS, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    return undisturbed(SHORT, FEW, tmp_path_factory.mktemp("short"))


def goes_on(run, whole):
    """A resumed run is the same run: losses, tokens, and totals that only rise."""
    assert trace(run) == trace(whole) and trace(run, "valid") == trace(whole, "valid")
    train = [line for line in lines(run) if line["split"] == "train"]
    assert [line["tokens"] for line in train] == [
        line["tokens"] for line in lines(whole) if line["split"] == "train"
    ]
    for name in ("seconds", "joules"):
        values = [line[name] for line in train]
        assert values == sorted(values), name
    every = {}  # whatever was computed twice came out the same
    for line in lines(run, "metrics_all"):
        assert every.setdefault((line["step"], line["split"]), line["loss"]) == line["loss"]


def counted_whole(run):
    """The energy of both attempts is in the sums, each by phase and by device."""
    first, second = ledger.attempts(run / "energy.jsonl").values()
    assert first["final"] and second["final"] and min(first["joules"], second["joules"]) > 0
    totals = StoredRun(run).energy()
    assert totals.joules == pytest.approx(first["joules"] + second["joules"])
    assert lines(run)[-1]["joules"] <= totals.joules
    for parts in (totals.by("phase"), totals.by("device")):
        assert sum(part.joules for part in parts.values()) == pytest.approx(totals.joules, rel=0.01)
    assert {"startup", "compile", "train", "evaluate", "checkpoint"} <= set(totals.by("phase"))


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_loses_nothing(number, tmp_path, short):
    process = start(*SHORT, "data.workers=0", folder=tmp_path, hold=20)
    run = until(20, process, tmp_path)
    process.send_signal(number)
    assert process.wait() == 75
    assert facts(run)["status"] == "interrupted"
    before = max(trace(run))
    code, out, err = called("train", "resume=last", folder=tmp_path)
    assert code == 0, err
    goes_on(run, short)
    steps = [line["step"] for line in lines(run, "metrics_all") if line["split"] == "train"]
    assert steps == list(range(1, FEW + 1)) and before < FEW
    joules = [line["joules"] for line in lines(run, "metrics_all")]
    assert joules == sorted(joules)
    code, out, err = called("train", "resume=last", folder=tmp_path)
    assert code == 0 and "is done after 40 steps" in out and "trainer.steps=80" in out
    assert len(facts(run)["attempts"]) == 2
    counted_whole(run)
    code, out, err = called("train", "resume=last", "optimizer.lr=1.0", folder=tmp_path)
    assert code == 2 and "optimizer.lr" in err and "another run" in err


@pytest.mark.slow
def test_a_newest_checkpoint_that_is_damaged_is_passed_over(tmp_path, whole):
    process = start(*RUN, folder=tmp_path)
    run = until(100, process, tmp_path)
    kill(process)
    newest = sorted(p for p in (run / "checkpoints").iterdir() if p.name.isdigit())[-1]
    file = newest / "state.safetensors"
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)
    code, out, err = fxformer("train", "resume=last", folder=tmp_path)
    assert code == 0, err
    assert "damaged" in err and (run / "checkpoints" / ".bad" / newest.name).is_dir()
    goes_on(run, whole)


def killed_again_and_again(folder, seed, times):
    """Kills a run at random moments until it has ended; how often, and the run."""
    draw, kills, run = random.Random(seed), 0, None
    process = start(*RUN, "data.workers=3", folder=folder)
    while run is None:
        run = until(1, process, folder)
    while process.poll() is None and kills < times:
        seen = len(lines(run, "metrics_all"))
        wanted = seen + draw.randint(1, 60)
        while process.poll() is None and len(lines(run, "metrics_all")) < wanted:
            time.sleep(0.02)  # reading is work too
        time.sleep(draw.random() * 0.02)
        if process.poll() is None:
            kill(process)
            kills += 1
            process = start("train", "resume=last", folder=folder)
    assert process.wait() == 0, (folder / "err.txt").read_text()
    return kills, run


@pytest.mark.slow
def test_two_kills_change_nothing(tmp_path, whole):
    kills, run = killed_again_and_again(tmp_path, seed=0, times=2)
    assert kills == 2
    goes_on(run, whole)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 4))
def test_many_kills_change_nothing(tmp_path, whole, seed):
    kills, run = killed_again_and_again(tmp_path, seed, times=8)
    assert kills >= 3
    goes_on(run, whole)


@pytest.mark.slow
def test_a_run_has_one_process(tmp_path):
    process = start(*RUN, "trainer.steps=100000", folder=tmp_path)
    until(1, process, tmp_path)
    code, out, err = fxformer("train", "resume=last", folder=tmp_path)
    assert code == 2 and f"in use by pid {process.pid}" in err, err
    kill(process)


@pytest.mark.slow
def test_more_steps_are_remembered(tmp_path):
    few = ("trainer.steps=20", "trainer.eval_every=0")
    code, out, err = fxformer(*RUN, *few, folder=tmp_path)
    run = only(tmp_path)
    code, out, err = fxformer("train", "resume=last", "trainer.steps=30", folder=tmp_path)
    assert code == 0 and "was 20 and is 30" in out, err
    assert list(trace(run)) == list(range(1, 31))
    code, out, err = fxformer("train", "resume=last", folder=tmp_path)
    assert code == 0 and "is done after 30 steps" in out, err


@pytest.mark.slow
def test_other_data_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("one line of text\n\n" * 300)
    argv = ["train", *(word for word in DECODER if word not in CHAIN), "energy=tdp"]
    argv += ["data=text", "tokenizer=char", "data.files=a.txt", "trainer.steps=4"]
    code, out, err = fxformer(*argv, f"data.cache_dir={tmp_path}/ids", folder=tmp_path)
    assert code == 0, err
    (tmp_path / "a.txt").write_text("another line of text\n\n" * 300)
    code, out, err = fxformer("train", "resume=last", "trainer.steps=8", folder=tmp_path)
    assert code == 2 and "corpus_hash" in err and "the data have changed" in err, err
