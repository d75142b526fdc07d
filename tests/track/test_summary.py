"""The final summary."""

import io
from pathlib import Path

from rich.console import Console

from fxformer.energy.carbon import Carbon
from fxformer.energy.sensor import Unreadable
from fxformer.energy.totals import EnergyEntry, EnergyTotals
from fxformer.track.summary import Sample, command, difference, summarise


def test_a_summary_says_what_came_out_and_what_it_cost():
    out = io.StringIO()
    energy = EnergyTotals((EnergyEntry("train", "cpu", "model:cpu", "modelled", 0.4, 7.2e4),))
    summarise(
        Console(file=out, width=80),
        Path("runs/x"),
        status="done",
        facts=[("loss", "2.5 [b]")],
        energy=energy,
        carbon=Carbon(region="FRA", pue=1.5),
        unreadable=[Unreadable("rapl", "no permission", "chmod it")],
        samples=[Sample("the [MASK] fox", "the \x1b[2Jred fox")],
    )
    text = out.getvalue()
    for part in (
        "72.0 kJ = 0.03 kWh ± 40 % (1σ), modelled",
        "1.68 gCO2e at 56 g/kWh",
        "PUE 1.5",
        "France, 2023",
        "rapl: no permission; chmod it",
        f"{command()} show x",
        "runs/x",
        "2.5 [b]",
        "the red fox",
        "the [MASK] fox",
    ):
        assert part in text
    assert "\x1b" not in text and max(map(len, text.splitlines())) <= 80


def test_differences_are_marked_by_word():
    first, second = difference("a b c", "a x c")
    assert (first.plain, second.plain) == ("a b c", "a x c")
    assert [first.plain[s.start : s.end] for s in first.spans if s.style == "red"] == ["b"]
    assert [second.plain[s.start : s.end] for s in second.spans if "green" in str(s.style)] == ["x"]


def test_the_command_is_one_the_shell_finds(monkeypatch, tmp_path):
    script = tmp_path / ".venv" / "bin" / "fxformer"
    script.parent.mkdir(parents=True)
    script.touch()
    monkeypatch.setattr("sys.executable", str(script.with_name("python")))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert command() == ".venv/bin/fxformer"
    script.unlink()
    assert command() == "python -m fxformer"
    script.touch(0o755)
    monkeypatch.setenv("PATH", str(script.parent))
    assert command() == "fxformer"
