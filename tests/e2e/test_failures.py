"""Runs in which something breaks: losses that are not finite, folders and trackers that fail."""

import pytest
from shell import DECODER, called, facts, fxformer, only

WILD = ("optimizer=sgd", "optimizer.lr=1e38", "optimizer.clip=null", "optimizer.momentum=0.0")


@pytest.mark.slow
def test_a_run_that_diverges_ends_with_3(tmp_path):
    wild = (*WILD, "schedule=constant", "trainer.steps=30")
    code, out, err = fxformer("train", *DECODER, *wild, folder=tmp_path)
    assert code == 3 and "not finite" in out, err
    assert facts(only(tmp_path))["status"] == "diverged"


@pytest.mark.slow
def test_all_trackers_at_once(tmp_path):
    pytest.importorskip("tensorboardX")
    argv = ("train", *DECODER, "trainer.steps=4", "tracker=all")
    code, out, err = fxformer(*argv, folder=tmp_path, WANDB_MODE="offline", WANDB_SILENT="true")
    assert code == 0 and (only(tmp_path) / "tensorboard").is_dir(), err


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    code, out, err = called("train", *DECODER, "runs=/proc/none", folder=tmp_path)
    assert code == 2 and "runs=/proc/none" in err and "Traceback" not in err
