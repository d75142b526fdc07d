"""Progress: a panel on a terminal, plain lines elsewhere."""

import io

import pytest
from rich.console import Console

from fxformer.track.progress import Progress


def follow(console, steps=5):
    with Progress(100, title="bart [b]x[/b]", flops_per_token=1e6, console=console) as progress:
        for n in range(1, steps + 1):
            progress.log(
                n,
                "train",
                {"loss": 5.0, "seconds": 2.0 * n, "tokens": 1000 * n, "joules": 40.0 * n},
                "modelled",
            )
        progress.log(steps, "valid", {"loss": 4.5})
        progress.event("checkpoint\x1b[2J saved")
        shown = progress._panel()
    return progress, shown


def test_elsewhere_a_line_per_log():
    out = io.StringIO()
    follow(Console(file=out, width=60))
    lines = out.getvalue().splitlines()
    assert lines[0] == "bart [b]x[/b]"
    assert lines[5] == (
        "step 5/100  loss 5.0000  500 tokens/s  500 MFLOP/s  200 J modelled  3:10 left"
    )
    assert lines[6:] == ["step 5/100  valid loss 4.5000", "checkpoint saved"]


@pytest.mark.parametrize("width", [80, 120])
def test_on_a_terminal_a_panel_that_fits(width):
    out = io.StringIO()
    console = Console(file=io.StringIO(), force_terminal=True, width=width)
    _, panel = follow(console)
    Console(file=out, width=width).print(panel)
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= min(width, 100)
    for part in (
        "5/100",
        "loss 5.0000",
        "valid 4.5000",
        "500 tokens/s",
        "200 J modelled",
        "3:10 left",
        "checkpoint saved",
        "bart [b]x[/b]",
    ):
        assert part in text


def test_the_smoothed_loss_is_unbiased_and_survives_nan():
    progress, _ = follow(Console(file=io.StringIO()))
    assert progress.loss == pytest.approx(5.0) and progress.tokens_per_second == 500
    progress.log(6, "train", {"loss": float("nan")})
    assert progress.loss == pytest.approx(5.0)


def test_nothing_logged_yet_is_shown_too():
    out = io.StringIO()
    Console(file=out, width=80).print(Progress(10)._panel())
    assert "0/10" in out.getvalue()
