"""Data in HTML stays data, whatever text it is."""

import json
import sys
from html.parser import HTMLParser

import pytest

from fxformer.dashboard import document, main
from fxformer.errors import UserError

PLOTLY = document.plotly
PAYLOADS = ["<script>alert(1)</script>", "</script><script>alert(1)</script>", "<!--<script>",
            "]]>", "\u2028\u2029", "<img src=x onerror=alert(1)>", "javascript:alert(1)",
            "'\"`${alert(1)}", "<svg onload=alert(1)>", "\u202eevil", "&lt;b&gt;", "\x00\x1b[31m",
            "</ScRiPt >", "<b>bold</b>", "{{7*7}}", "\ud83d"]  # fmt: skip


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Five megabytes of plotly need not be hashed again and again."""
    monkeypatch.setattr(document, "plotly", lambda: "window.Plotly = {};")


class Tags(HTMLParser):
    """What elements and attributes a page has, and the text of each script."""

    def __init__(self, text):
        super().__init__()
        self.found, self.scripts, self._in = [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, tuple(name for name, _ in attrs)))
        self._in = dict(attrs).get("id") if tag == "script" else None

    def handle_data(self, data):
        if self._in:
            self.scripts[self._in] = self.scripts.get(self._in, "") + data


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_text_breaks_out(payload):
    value = {payload: [payload, {"x": payload}]}
    text = document.self_contained({"runs": value})
    text.encode()
    page = Tags(text)
    assert not set("<>&\u2028\u2029") & set(page.scripts["answers"])  # browsers read more laxly
    assert page.found == Tags(document.self_contained({"runs": {}})).found
    assert json.loads(page.scripts["answers"])["runs"] == value


def test_a_report_may_run_its_own_scripts_and_load_nothing():
    text = document.self_contained({})
    head = text[: text.index("<style>")]
    assert "default-src 'none'" in head and head.count("sha256-") >= 10
    assert "unsafe-eval" not in head and " src=" not in head and "connect-src" not in head
    for word in ("<script src", '<link rel="stylesheet"'):
        assert word not in text


def test_what_is_not_finite_is_null():
    odd = {"a": [float("nan"), 1.5, (float("inf"),)]}
    assert document.to_json(odd) == '{"a":[null,1.5,[null]]}'


def test_the_page_puts_text_in_as_text_only():
    for name, text in document.files().items():
        if name.endswith(".js"):
            for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
                assert word not in text, f"{name}: {word}"


def test_without_plotly_each_page_is_refused_before_the_work(monkeypatch, tmp_path):
    monkeypatch.setattr(document, "plotly", PLOTLY.__wrapped__)
    monkeypatch.setitem(sys.modules, "plotly.offline", None)  # as if it were not installed
    for verb, argv in (
        (main.dashboard, [f"runs={tmp_path}"]),
        (main.report, [f"runs={tmp_path}"]),
        (main.attention, ["run", "--text", "a"]),
    ):
        with pytest.raises(UserError, match=r"pip install 'fxformer\[dashboard\]'"):
            verb(argv)
