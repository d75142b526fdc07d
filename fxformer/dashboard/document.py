"""The page's own files, and how its parts are put into HTML without a way out of it."""

import base64
import functools
import hashlib
import json
import math
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

from fxformer.errors import UserError

_SCRIPT = re.compile(r'<script src="([\w.]+)" defer></script>')
_STYLE = re.compile(r'<link rel="stylesheet" href="([\w.]+)">')
# Inside <script>, HTML ends JSON at "</script" and changes its mind at "<!--"; old JavaScript
# counts these two separators as line ends.
_WAYS_OUT = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}


@functools.cache
def files() -> dict[str, str]:
    """{name: text} of everything that lies in page/."""
    folder = resources.files("fxformer.dashboard").joinpath("page")
    return {f.name: f.read_text(encoding="utf-8") for f in folder.iterdir() if "." in f.name}


@functools.cache
def plotly() -> str:
    """The JavaScript of plotly, from the installed package. UserError where it is not installed."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise UserError(
            "the page draws with plotly, which is not installed: "
            "pip install 'fxformer[dashboard]', or pip install plotly"
        ) from error
    return get_plotlyjs()


def to_json(value: Any) -> str:
    """JSON of an answer; what is not finite is null, for JSON has no word for it."""
    try:
        return _dump(value)
    except ValueError:
        return _dump(_finite(value))


def _dump(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode()  # half a surrogate pair, as \\ud83d


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def in_html(value: Any) -> str:
    """JSON that may stand inside a <script> element of HTML, whatever text it holds."""
    text = to_json(value)
    for sign, code in _WAYS_OUT.items():
        text = text.replace(sign, code)
    return text


def self_contained(answers: dict[str, Any], first: str = "") -> str:
    """The page as one HTML file that asks no host for anything: scripts, styles and answers inside.

    answers: {question as api.js spells it: answer}
    first: the view that it opens with, by its name in the address; "": the first there is
    The policy in its head lets the browser run these very scripts and load nothing.
    """
    html = files()["index.html"]
    scripts = [plotly(), *(files()[name] for name in _SCRIPT.findall(html))]
    for text in scripts:
        if re.search(r"</script|<!--", text, re.IGNORECASE):
            raise ValueError("a script of the page holds what would end it in HTML")
    hashes = " ".join(f"'sha256-{_hash(text)}'" for text in scripts)
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    style = "".join(f"<style>{files()[name]}</style>" for name in _STYLE.findall(html))
    data = f'<script type="application/json" id="answers">{in_html(answers)}</script>'
    body = data + "".join(f"<script>{text}</script>" for text in scripts)
    html = _STYLE.sub("", _SCRIPT.sub("", html)).replace("<!-- policy -->", head)
    html = html.replace("<body>", f'<body data-first="{first}">', 1)
    return html.replace("</head>", style + "</head>").replace("</body>", body + "</body>")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
