"""Several processes that train one model: the losses of one, and what happens when one ends."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from shell import DECODER, ROOT, SMALL, called, facts, fxformer, lines, only, start

from fxformer.cli.launch import environment, exit_code, has_gpus
from fxformer.train.checkpoint_folder import CheckpointFolder

RUN = ("train", *DECODER, "trainer.steps=3", "trainer.eval_every=0", "trainer.save_every=0")
SHARDED = ("mesh=fsdp", "mesh.data=2", "mesh.min_size=64")
SPLIT = (*SHARDED, "mesh.tensor=2")
FAST = "distributed.heartbeat_seconds=5"
LONG = ("trainer.steps=100000", "trainer.save_every=3")


def launched(processes: int, devices: int, *words: str) -> tuple[str, ...]:
    """The command of so many processes."""
    return ("launch", "--processes", str(processes), "--devices", str(devices), *words)


def losses(run: Path) -> list[float]:
    """Of each line of the log."""
    return [line["loss"] for line in lines(run)]


def test_two_processes_of_four_devices_train_the_model_of_one(tmp_path):
    ours, theirs = tmp_path / "one", tmp_path / "two"
    for folder in (ours, theirs):
        folder.mkdir()
    code, _, err = called(*RUN, folder=ours)
    assert code == 0, err
    code, out, err = fxformer(*launched(2, 4, *RUN, *SPLIT), folder=theirs)
    assert code == 0, err + out
    one, two = only(ours), only(theirs)
    assert losses(two) == pytest.approx(losses(one), abs=1e-6)
    assert [line["tokens"] for line in lines(two)] == [line["tokens"] for line in lines(one)]
    assert [p["devices"] for p in facts(two)["processes"]] == [4, 4]
    assert facts(two)["mesh"] == {"data": 2, "fsdp": 2, "tensor": 2}
    coverage = [facts(run)["summary"]["valid_pieces"] for run in (one, two)]
    assert coverage[0] == coverage[1] > 0
    last = {line["attempt"]: line for line in lines(two, "energy")}
    assert sorted(line.get("process", 0) for line in last.values()) == [0, 1]
    assert all(line["final"] and line["joules"] > 0 for line in last.values())
    total = sum(line["joules"] for line in last.values())
    assert facts(two)["summary"]["joules"] == pytest.approx(total, rel=0.01)
    host = json.loads((two / "checkpoints/00000003/host.json").read_text())
    assert any("[" in name for name in host["sums"])  # process 1 has copies of these
    assert not list(two.glob("process-*"))  # only what fails has a log of its own


def test_the_exit_code_of_all_is_the_worst_of_those_that_ended_by_themselves():
    assert exit_code([0, 0]) == 0 and exit_code([75, 75]) == 75
    assert exit_code([-signal.SIGKILL, 75]) == exit_code([137, 0]) == 75
    assert exit_code([2, 75]) == 2 and exit_code([75, 1]) == exit_code([2, 1]) == 1


def test_each_process_has_an_address_a_number_and_its_devices(monkeypatch):
    made = environment({"XLA_FLAGS": "--a=1", "JAX_PLATFORMS": "cpu"}, 1, 2, 4, 999)
    assert made["FXFORMER_COORDINATOR"] == "127.0.0.1:999"
    assert (made["FXFORMER_PROCESSES"], made["FXFORMER_PROCESS"]) == ("2", "1")
    assert made["XLA_FLAGS"] == "--a=1 --xla_force_host_platform_device_count=4"
    assert not has_gpus({"JAX_PLATFORMS": "cpu"})
    monkeypatch.setattr("fxformer.cli.launch.has_gpus", lambda environ: True)
    assert environment({}, 1, 2, 4, 999)["JAX_LOCAL_DEVICE_IDS"] == "4,5,6,7"


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (("--processes", "2"), "the verb is missing"),
        (("--processes", "0", "train"), "--processes 0: write 1 or more"),
        (("train", "-m", "seed=1,2"), "trains one run"),
        (("--proceses", "2", "train"), "--processes"),
    ],
)
def test_a_launch_of_nothing_is_refused(words, refusal, tmp_path):
    code, _, err = called("launch", *words, folder=tmp_path)
    assert code == 2 and refusal in err


def running(tmp_path, *words: str) -> tuple[subprocess.Popen, Path]:
    """A launch of two processes that trains for ever, when it has made some steps, and its run."""
    command = launched(2, 2, *RUN, *SHARDED[::2], *LONG, *(words or (FAST,)))
    process = start(*command, folder=tmp_path)
    end = time.monotonic() + 400
    while time.monotonic() < end and process.poll() is None:
        for run in (tmp_path / "runs").glob("2*"):
            if any(line["step"] >= 5 for line in lines(run)):
                return process, run
        time.sleep(0.2)
    raise AssertionError((tmp_path / "err.txt").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_one_process_ends_all_with_75_and_loses_nothing(tmp_path, kind, which):
    process, run = running(tmp_path)
    os.kill(facts(run)["processes"][which]["pid"], kind)
    assert process.wait(120) == 75, (tmp_path / "err.txt").read_text()
    said = (tmp_path / "err.txt").read_text()
    newest = max(CheckpointFolder(run / "checkpoints", 2, ()).steps())
    if kind == signal.SIGTERM:
        assert newest == lines(run)[-1]["step"] and facts(run)["status"] == "interrupted"
    else:
        assert "is lost" in said and "resume" in said
    until = newest + 3
    more = ("train", "resume=last", *SHARDED[::2], f"trainer.steps={until}", FAST)
    code, out, err = fxformer(*launched(2, 2, *more), folder=tmp_path)
    assert code == 0, err + out
    steps = [line["step"] for line in lines(run) if line["split"] == "train"]
    assert steps == list(range(1, until + 1))


@pytest.mark.slow
def test_a_process_that_stands_still_ends_all_with_75(tmp_path):
    process, run = running(tmp_path)
    pid = facts(run)["processes"][1]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(15)
        assert "process 1 is lost" in (tmp_path / "err.txt").read_text()
        assert facts(run)["status"] == "interrupted"
    finally:
        os.kill(pid, signal.SIGCONT)
    assert process.wait(120) == 75


@pytest.mark.slow
def test_a_run_that_makes_no_step_writes_the_stacks_of_its_processes(tmp_path):
    words = ("distributed.stall_minutes=0.5", "distributed.heartbeat_seconds=300")
    process, run = running(tmp_path, *words)
    pid = facts(run)["processes"][1]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        end = time.monotonic() + 120
        while facts(run)["status"] == "running" and time.monotonic() < end:
            time.sleep(1)
        assert "no step for 30 s" in facts(run)["reason"]
        assert "train/loop.py" in (run / "stacks/process-0.txt").read_text()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert process.wait(120) == 75


@pytest.mark.slow
def test_of_two_launches_into_one_run_one_wins(tmp_path):
    process, run = running(tmp_path)
    again = tmp_path / "again"
    again.mkdir()
    more = ("train", f"resume={run}", f"runs={run.parent}", *SHARDED[::2], FAST)
    code, out, err = fxformer(*launched(2, 2, *more), folder=again)
    assert code == 2 and "is in use by" in err, out + err
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 75


def refused_pair(tmp_path, *words: str, of_each=({}, {}), own=((), ())) -> str:
    """What process 0 of two says, where they differ and both refuse.

    words: of both; of_each: environment of each; own: its own words
    """
    from fxformer.cli.launch import free_port

    given = {"FXFORMER_COORDINATOR": f"127.0.0.1:{free_port()}", "FXFORMER_PROCESSES": "2"}
    begun = []
    for process in range(2):
        folder = tmp_path / str(process)
        folder.mkdir(exist_ok=True)
        both = (*words, "distributed=auto", FAST, f"runs={tmp_path}/runs", *own[process])
        env = given | {"FXFORMER_PROCESS": str(process)} | of_each[process]
        begun.append(start(*both, folder=folder, **env))
    assert [one.wait(400) for one in begun] == [2, 2]
    assert not list((tmp_path / "runs").glob("2*"))
    return (tmp_path / "0/err.txt").read_text()


@pytest.mark.slow
def test_processes_with_another_config_are_refused_and_the_key_is_named(tmp_path):
    said = refused_pair(tmp_path, *RUN, own=(("seed=0",), ("seed=1",)))
    assert "config seed: 0 in process 0" in said


@pytest.mark.slow
def test_a_process_with_other_sources_is_refused(tmp_path):
    for name in ("fxformer", "conf"):
        shutil.copytree(ROOT / name, tmp_path / "other" / name)
    with (tmp_path / "other/fxformer/errors.py").open("a") as file:
        file.write("\nNEWER = True\n")
    said = refused_pair(tmp_path, *RUN, of_each=({}, {"PYTHONPATH": str(tmp_path / "other")}))
    assert "processes differ in the sources of fxformer" in said and "in process 1" in said


@pytest.mark.slow
def test_a_process_with_another_corpus_is_refused(tmp_path):
    for process, word in enumerate(("moon", "noon")):
        (tmp_path / str(process)).mkdir()
        text = "\n\n".join(f"the {word} was seen {n} times over the sea" for n in range(400))
        (tmp_path / str(process) / "corpus.txt").write_text(text)
    words = ("data=text", "data.files=corpus.txt", "data.document_is=paragraph", "tokenizer=char")
    said = refused_pair(
        tmp_path, "train", "model=gpt2", "objective=clm", *words, *SMALL, "energy=tdp", "mesh=data"
    )
    assert "processes differ in the data: " in said and "hash" in said
