"""SIGTERM wherever a run may be: exit 75, a status that says so, and the same losses in the end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from shell import CACHE, DECODER, ROOT, facts, fxformer, only, trace

RUN = ("train", *DECODER, "trainer.steps=8", "trainer.eval_every=4", "trainer.save_every=3")
RUN += ("trainer.sample_every=6",)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    code, out, err = fxformer(*RUN, folder=folder)
    assert code == 0, err
    return only(folder)


def stopped(place: str, folder: Path) -> int:
    """The exit code of a run that is sent SIGTERM at `place`; see interrupted_command.py."""
    env = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "FXFORMER_NO_TUNING": "1"}
    env |= {"JAX_COMPILATION_CACHE_DIR": str(CACHE)}
    command = [sys.executable, str(Path(__file__).with_name("interrupted_command.py")), place, *RUN]
    with (folder / "err.txt").open("w") as err:
        return subprocess.run(command, cwd=folder, env=env, stdout=err, stderr=err).returncode


@pytest.mark.slow
@pytest.mark.parametrize("stuck", ["", "-stuck"])
@pytest.mark.parametrize("place", ["startup", "corpus", "compile", "evaluate", "sample", "end"])
def test_sigterm_anywhere_is_75_and_loses_nothing(tmp_path, whole, place, stuck):
    assert stopped(place + stuck, tmp_path) == 75, (tmp_path / "err.txt").read_text()
    if place in ("startup", "corpus"):
        assert not list(tmp_path.glob("runs/2*"))
        code, out, err = fxformer(*RUN, folder=tmp_path)
    else:
        assert facts(only(tmp_path))["status"] == "interrupted"
        code, out, err = fxformer("train", "resume=last", folder=tmp_path)
    assert code == 0, err
    run = only(tmp_path)
    assert facts(run)["status"] == "done"
    assert (trace(run), trace(run, "valid")) == (trace(whole), trace(whole, "valid"))
