"""A terminal shows nominal, observed, interval, draws and a verdict for every rule."""

import io
import json

import numpy as np
from rich.console import Console

from fxformer.evaluate.audit.check import Check, judge
from fxformer.evaluate.audit.draw import Drawn
from fxformer.evaluate.audit.report import Report
from fxformer.evaluate.audit.table import show
from fxformer.evaluate.audit.texts import Example


def found(name, nominal, values, kind):
    return judge(Check(name, nominal, lambda before, after: after, kind), [(None, values)])


def report(*findings, step=None):
    spans = (("a", "same"), (" <mask>", "mask"))
    return Report(
        "x", Drawn(findings, 1234, 99_000, 2, {"marks without room": 5}), 1e-4, (32, 128), 2.0,
        step, (Example((("reads", spans),)),), {"seed": 0},
    )  # fmt: skip


def printed(report, **knobs):
    console = Console(file=io.StringIO(), width=110, **knobs)
    show(report, console)
    return console.file.getvalue()


GENERATOR = np.random.default_rng(0)
SOUND = (
    found("P: rate", 0.5, GENERATOR.random(10_000), "mean"),
    found("P: split", (0.8, 0.1, 0.1), np.array([800, 100, 100]), "shares"),
    found("never", 0.0, np.zeros(50), "exact"),
)


def test_sound_rules():
    text = printed(report(*SOUND))
    assert "all 3 rules hold" in text and "1,234 examples, 99.0k tokens, 2 epochs" in text
    assert "marks without room: 5" in text and "a <mask>" in text
    assert "2.00 ms for a batch of 32 × 128, 2.05M tokens/s" in text
    assert "0.9999 for all 3 rules together" in text and "0.800 0.100" in text


def test_broken_and_unseen_rules_are_named():
    wrong = found("Q: order", 0.0, np.eye(50)[0], "exact")
    blind = found("Q: place", 0.5, np.zeros(0), "mean")
    text = printed(report(*SOUND, wrong, blind, step=40.0))
    assert "BROKEN" in text and "unseen" in text and "1 wrong" in text
    assert "broken: Q: order; Q: place" in text and "5.0% of a training step of 40.0 ms" in text


def test_no_rules_are_no_verdict():
    assert "declares no check" in printed(report()) and not report().holds


def test_colours():
    text = printed(report(*SOUND), force_terminal=True, color_system="standard")
    assert "\x1b[1;33m <mask>" in text or "\x1b[1;33m<mask>" in text


def test_json_is_plain_and_complete(tmp_path):
    report(*SOUND).save(tmp_path / "a.json")
    stored = json.loads((tmp_path / "a.json").read_text())
    assert [rule["name"] for rule in stored["rules"]] == ["P: rate", "P: split", "never"]
    assert stored["holds"] and stored["left_out"] == {"marks without room": 5}
    assert stored["alpha_per_check"] == 1e-4 / 3 and stored["rules"][1]["low"][0] < 0.8
