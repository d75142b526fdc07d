"""No control character of a file reaches the terminal."""

import io

from rich.console import Console

from fxformer.bridge.bill import Line, show
from fxformer.launch.explain import say
from fxformer.printable import printable


def test_control_and_format_characters_show_as_escapes():
    assert printable("a\x1b[2J\x07\r\x9b\u202eb\n\tc") == r"a\x1b[2J\x07\r\x9b\u202eb" + "\n\tc"
    assert printable("naïve 東京 🙂 ▁Ġ") == "naïve 東京 🙂 ▁Ġ"


def test_neither_messages_nor_tables_write_them(capsys):
    assert say("config.json: '\x1b]0;owned\x07' is no family") == 2
    assert "\x1b" not in capsys.readouterr().err
    out = io.StringIO()
    show([Line("ignored", "h.0.\x1b[31mweight", "", (2,))], Console(file=out, width=200))
    assert "\x1b" not in out.getvalue() and r"h.0.\x1b[31mweight" in out.getvalue()
