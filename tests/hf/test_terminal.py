"""No control character of a foreign file reaches the terminal."""

import io

from rich.console import Console

from fxformer.cli.errors import say
from fxformer.hf.conversion_report import ReportLine, show


def test_neither_messages_nor_tables_write_control_characters(capsys):
    assert say("config.json: '\x1b]0;owned\x07' is no family") == 2
    said = capsys.readouterr().err
    assert "\x1b" not in said and "\x07" not in said and "is no family" in said
    out = io.StringIO()
    show([ReportLine("ignored", "h.0.\x1b[31mweight", "", (2,))], Console(file=out, width=200))
    assert "\x1b" not in out.getvalue() and "h.0.weight" in out.getvalue()
