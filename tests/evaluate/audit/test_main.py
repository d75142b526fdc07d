"""The verb: the same gate as train's, its own keys, exit codes."""

import pytest

from fxformer.cli import app, errors


@pytest.fixture
def said(monkeypatch):
    """What is said to a person who asked for something wrong."""
    lines = []  # not capsys: Hydra shuts down absl's log handler, and that closes its stream
    monkeypatch.setattr(errors, "say", lambda sentence: lines.append(sentence) or 2)
    return lines


@pytest.mark.parametrize(
    "argv, words",
    [
        (["objective=mlm"], "write objective=denoise"),
        (["objective=denois"], "did you mean 'denoise'?"),
        (["audit.draw=3"], "did you mean 'audit.draws'?"),
        (["audit.draws=0"], "audit.draws: must lie in [1, inf)"),
        (["audit.alpha=0"], "audit.alpha: must lie in (0, 1)"),
        (["+audit.more=1"], "keys cannot be added"),
        (["audit.json=no/such/folder/a.json"], "there is no folder no/such/folder"),
        (["audit.json=."], "is a folder; write a file in it"),
        (["objective.noises.1.rate=1.5"], "objective.noises[1].rate: must lie in [0, 1)"),
    ],
)
def test_a_bad_command_line_is_2_in_plain_words(argv, words, said):
    assert app.audit(argv) == 2
    assert words in said[0]


def test_resume_has_no_meaning(said):
    assert app.audit(["resume=x"]) == 2 and "goes on with no run" in said[0]


@pytest.mark.parametrize("holds, code", [(True, 0), (False, 4)])
def test_the_verdict_is_the_exit_code(holds, code, monkeypatch):
    seen = []
    monkeypatch.setattr("fxformer.evaluate.audit.main.main", lambda cfg: seen.append(cfg) or holds)
    assert app.audit(["audit.draws=7", "audit.json='it\\'s here.json'"]) == code
    assert seen[0].audit.draws == 7 and seen[0].audit.json == "it's here.json"


def test_a_sweep_audits_several_and_ends_with_the_worst(monkeypatch, tmp_path):
    monkeypatch.setattr("fxformer.evaluate.audit.main.main", lambda cfg: cfg.seed != 2)
    assert app.audit(["-m", "seed=1,2,3", f"runs={tmp_path}"]) == 4
