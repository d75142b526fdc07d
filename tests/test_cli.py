"""The command line: verbs, help, Hydra's composition of a small conf, exit codes, completion."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fxformer import __main__ as cli
from fxformer.cli import allocator, app, completion
from fxformer.cli.verbs import VERBS
from fxformer.config import folders

ROOT = Path(__file__).resolve().parent.parent
GROUPS = [group for group in folders.defaults() if "/" not in group and group != "experiment"]


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """The real train.yaml over groups with one part each, in an empty working directory."""
    place = tmp_path / "conf"
    for group in GROUPS:
        if group == "search":
            continue
        (place / group).mkdir(parents=True)
        choice = folders.defaults()[group]
        (place / group / f"{choice}.yaml").write_text(
            "# @package model\ndim: 8\n"
            if group == "size"
            else "dim: 2\nnetwork: {}\n"
            if group == "model"
            else f"_target_: config_parts.Part\n_partial_: true\nname: {choice}\nrate: 0.5\n"
        )
    (place / "optimizer" / "sgd.yaml").write_text("_target_: config_parts.Record\nsteps: 1\n")
    (place / "train.yaml").write_text((folders.conf_folder() / "train.yaml").read_text())
    real = folders.conf_folder()
    for file in [*(real / "hydra").rglob("*.yaml"), *(real / "search").rglob("*.yaml")]:
        copy = place / file.relative_to(real)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(file.read_text())
    recipe = tmp_path / "experiments" / "claim" / "recipe.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("defaults: [{override /optimizer: sgd}, _self_]\nseed: 7\n")
    monkeypatch.setattr(folders, "conf_folder", lambda: place)
    monkeypatch.setattr(folders, "experiments_folder", lambda: tmp_path / "experiments")
    monkeypatch.setattr("fxformer.config.target.ALLOWED", ("config_parts", "fxformer"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return place


def run(*argv, job=lambda cfg: None):
    """Exit code, composed configs of the jobs that ran."""
    seen = []

    def task(cfg):
        seen.append(cfg)
        job(cfg)

    return app.train(list(argv), task), seen


def test_composes_and_leaves_nothing_behind(conf):
    code, (cfg,) = run("optimizer.rate=0.25", "name=x")
    assert code == 0 and cfg.optimizer.rate == 0.25 and cfg.model.dim == 8 and cfg.seed == 0
    assert list(Path.cwd().iterdir()) == []


def test_experiment_selects_a_recipe(conf):
    code, (cfg,) = run("experiment=claim", "trainer.rate=0.1")
    assert code == 0 and cfg.seed == 7 and cfg.optimizer.steps == 1 and cfg.trainer.rate == 0.1


@pytest.mark.parametrize(
    "argv,words",
    [
        (["optimizer=adamv"], "did you mean 'adamw'?"),
        (["optimzer=adamw"], "did you mean 'optimizer'?"),
        (["optimizer.raet=1"], "did you mean 'optimizer.rate'?"),
        (["+optimizer.raet=1"], "did you mean 'optimizer.rate'?"),
        (["++optimizer.rate=1"], "write optimizer.rate=1"),
        (["+modle=3"], "did you mean 'model'?"),
        (["experiment=clam"], "did you mean 'claim'?"),
        (["optimizer.rate=7"], "optimizer.rate: must lie in [0, 1], got 7"),
        (["optimizer.rate=oops", "seed=-1"], "seed: must lie in [0, inf)"),
        (["~optimizer"], "optimizer: is missing"),
        (["optimizer.rate"], "cannot be read as key=value"),
        (["optimizer.rate="], "optimizer.rate: expected float"),
        (["optimizer.rate=nan"], "finite"),
        (["resume=nothing"], "no runs"),
    ],
)
def test_a_bad_command_line_is_2_in_plain_words(conf, capsys, argv, words):
    if argv[0].startswith("resume"):
        pytest.importorskip("fxformer.track.run_reader")
    code, seen = run(*argv)
    said = capsys.readouterr().err
    assert (code, seen) == (2, []) and words in said and "Traceback" not in said


def test_bug_is_1_with_a_traceback(conf, capsys):
    def bug(cfg):
        raise ValueError("not ours")

    assert run(job=bug)[0] == 1 and "Traceback" in capsys.readouterr().err


def test_our_own_refusal_is_2_without_one(conf, capsys):
    def refused(cfg):
        from fxformer.config.target import locate

        locate("os.system")

    assert run(job=refused)[0] == 2
    said = capsys.readouterr().err
    assert "may not run" in said and "Traceback" not in said


def test_full_error_shows_the_traceback_of_a_refusal(conf, capsys, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    assert run("optimizer.rate=7")[0] == 2 and "Traceback" in capsys.readouterr().err


def test_a_missing_file_is_2(conf, capsys):
    assert run(job=lambda cfg: Path("no/such").read_text())[0] == 2
    assert "no/such: No such file" in capsys.readouterr().err


@pytest.mark.parametrize("code", [0, 1, 3, 75])
def test_training_says_its_own_exit_code(conf, code):
    def end(cfg):
        raise SystemExit(code)

    assert run(job=end)[0] == code


def test_ctrl_c_is_75(conf):
    def interrupted(cfg):
        raise KeyboardInterrupt

    assert run(job=interrupted)[0] == 75


def test_a_failing_job_does_not_lose_the_others(conf, capsys):
    def second_fails(cfg):
        if cfg.seed == 2:
            raise RuntimeError("boom")
        if cfg.seed == 3:
            raise SystemExit(3)

    code, seen = run("-m", "seed=1,2,3,4", job=second_fails)
    assert code == 1 and [cfg.seed for cfg in seen] == [1, 2, 3, 4]
    said = capsys.readouterr().err
    assert "job 1 (seed=2) exited with code 1" in said and "job 2 (seed=3) exited with" in said


def test_a_sweep_is_checked_before_its_first_job(conf, capsys):
    code, seen = run("-m", "seed=1", "optimizer.rate=0.1,0.2,9")
    assert (code, seen) == (2, [])
    assert "optimizer.rate: must lie in [0, 1], got 9" in capsys.readouterr().err


def test_an_interrupt_ends_a_sweep(conf):
    def end(cfg):
        raise SystemExit(75)

    code, seen = run("-m", "seed=1,2,3", job=end)
    assert code == 75 and len(seen) == 1


def test_cfg_job_and_help_are_readable(conf, capsys):
    assert run("--cfg", "job")[0] == 0
    assert "optimizer:\n  _target_: config_parts.Part" in capsys.readouterr().out
    assert run("--help")[0] == 0
    said = capsys.readouterr().out
    assert "optimizer: adamw, sgd" in said and "Set the environment" not in said
    for group in GROUPS:
        assert f"\n    {group} " in said or f"\n  {group} " in said


def completions(line, capsys, monkeypatch):
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    completion.query()
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(
    "line,words",
    [
        ("fxformer ", list(VERBS)),
        ("fxformer tr", ["train"]),
        ("fxformer train optimizer=", ["optimizer=adamw", "optimizer=sgd"]),
        ("fxformer train optimizer.ra", ["optimizer.rate="]),
        ("fxformer train seed=1 experiment=", ["experiment=claim"]),
        ("fxformer completion ", ["bash", "zsh", "fish"]),
        ("fxformer show ", ["runs="]),
        ("fxformer export --n", ["--no-ema"]),
        ("fxformer search se", ["serve"]),
    ],
)
def test_completion(conf, capsys, monkeypatch, line, words):
    assert completions(line, capsys, monkeypatch) == words


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell, capsys):
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "fxformer completion query" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert cli.main(["completion", "tcsh"]) == 2


def test_bash_asks_fxformer(tmp_path):
    tool = tmp_path / "fxformer"
    tool.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m fxformer "$@"\n')
    tool.chmod(0o755)
    script = completion.BASH + 'COMP_LINE="fxformer sh" COMP_POINT=11; _fxformer; echo "$COMPREPLY"'
    path = f"{tmp_path}:{os.environ['PATH']}"
    out = subprocess.run(["bash", "-c", script], env={"PATH": path}, capture_output=True, text=True)
    assert out.stdout == "show\n", out.stderr


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_each_verb_has_help_in_one_layout(verb, option, capsys):
    assert cli.main([verb, option]) == 0
    out = capsys.readouterr()
    heads = re.findall(r"^(usage|arguments|options|examples):", out.out, re.MULTILINE)
    assert heads == ["usage", "arguments", "options", "examples"]
    assert out.out.startswith(f"usage: fxformer {verb} ") and not out.err
    assert "runs=FOLDER" in out.out


def test_verbs(capsys):
    assert cli.main([]) == 0 and "train" in capsys.readouterr().out
    assert cli.main(["tain"]) == 2 and "did you mean 'train'?" in capsys.readouterr().err
    for words in (["model=bert", "seed=1"], ["--model", "bert"]):
        assert cli.main(words) == 2
        assert f"write fxformer train {' '.join(words)}" in capsys.readouterr().err
    assert cli.main(["--version"]) == 0


def test_help_imports_nothing_heavy():
    code = (
        "import sys, fxformer.__main__ as m; m.main(['--help']);"
        "print([n for n in ('jax', 'hydra', 'numpy', 'rich') if n in sys.modules]);"
        "m.main(['train', '--help']);"
        "print([n for n in ('jax', 'hydra', 'numpy') if n in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert out.stdout.endswith("[]\n") and out.stdout.count("\n[]\n") == 2, out.stderr


@pytest.mark.parametrize("verb", ["train", "plan", "audit"])
def test_help_of_a_composing_verb_is_what_hydra_would_print(verb, capsys):
    assert cli.main([verb, "--help"]) == 0
    ours = capsys.readouterr().out
    assert app.run(verb, ["--help"], print) == 0  # past our own help, to Hydra's
    assert ours == capsys.readouterr().out
    assert ("model/attention: " in ours) == (verb == "train")


def test_allocator_tunables_are_set_once_and_keep_what_the_user_chose(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(allocator, "_glibc", lambda: (2, 36))
    wanted = [f"{name}={value}" for name, value in allocator.TUNABLES.items()]
    first = allocator.tuned({"A": "1"})
    assert first == {"A": "1", "GLIBC_TUNABLES": ":".join(wanted)}
    assert allocator.tuned(first) is None
    kept = allocator.tuned({"GLIBC_TUNABLES": "glibc.malloc.check=0:glibc.malloc.hugetlb=0"})
    more = ["glibc.malloc.check=0", "glibc.malloc.hugetlb=0", *wanted[1:]]
    assert kept == {"GLIBC_TUNABLES": ":".join(more)}
    assert allocator.tuned({"FXFORMER_NO_TUNING": "1"}) is None
    monkeypatch.setattr(allocator, "_glibc", lambda: (2, 31))
    assert allocator.tuned({}) is None
    monkeypatch.setattr(sys, "platform", "darwin")
    assert allocator.tuned({}) is None


@pytest.mark.skipif(
    allocator.tuned({}) is None, reason="the tunables need Linux with glibc 2.35 or later"
)
def test_the_process_starts_again_with_its_words():
    code = (
        "import sys, os, fxformer.cli.allocator as h, os\n"
        "os.execve = lambda *a: print(a[1][1:], a[2]['GLIBC_TUNABLES'])\n"
        "h.retune(['train', 'seed=1'])"
    )
    env = {k: v for k, v in os.environ.items() if k not in ("FXFORMER_NO_TUNING", "GLIBC_TUNABLES")}
    argv = [sys.executable, "-X", "utf8", "-c", code]
    out = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True)
    assert "-m" in out.stdout, out.stderr
    assert all(f"{name}={value}" in out.stdout for name, value in allocator.TUNABLES.items())


def test_a_refusal_shows_no_value_of_the_environment(monkeypatch, capsys):
    monkeypatch.setenv("HIDDEN", "canary-value-77")
    assert app.train(["optimizer.lr=${oc.env:HIDDEN}"], lambda cfg: None) == 2
    said = capsys.readouterr().err
    assert "optimizer.lr" in said and "canary" not in said


def test_the_name_of_a_folder_holds_no_value_of_the_environment_but_a_job(monkeypatch, capsys):
    monkeypatch.setenv("HIDDEN", "canary-value-77")
    monkeypatch.setenv("SLURM_JOB_ID", "123456789")
    assert app.train(["name=a-${oc.env:HIDDEN}"], lambda cfg: None) == 2
    said = capsys.readouterr().err
    assert "name: holds the environment variable HIDDEN" in said and "canary" not in said
    assert app.train(["name=job-${oc.env:SLURM_JOB_ID}"], lambda cfg: None) == 0


def test_the_folder_of_the_runs_reaches_the_verbs(tmp_path, capsys):
    for words in (["runs"], ["show", "last"], ["search", "last"], ["energy"]):
        cli.main([*words, f"runs={tmp_path}"])
        assert str(tmp_path) in "".join(capsys.readouterr()).replace("\n", ""), words
