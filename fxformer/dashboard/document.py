"""Files of the page, and safe embedding of JSON and scripts in one HTML file."""

import base64
import functools
import hashlib
import json
import math
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any
from urllib.parse import urlencode

from fxformer.errors import UserError

_SCRIPT = re.compile(r'<script src="([\w.]+)" defer></script>')
_STYLE = re.compile(r'<link rel="stylesheet" href="([\w.]+)">')
# Inside <script>, "</script" and "<!--" end or change the parsing of JSON; old JavaScript treats
# the two separators as line ends.
_ESCAPES = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}


@functools.cache
def files() -> dict[str, str]:
    """{name: text} of the files in page/."""
    folder = resources.files("fxformer.dashboard").joinpath("page")
    return {f.name: f.read_text(encoding="utf-8") for f in folder.iterdir() if "." in f.name}


@functools.cache
def plotly() -> str:
    """The JavaScript of plotly, from the installed package. UserError where it is not installed."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise UserError(
            "the dashboard requires plotly, which is not installed: "
            "pip install 'fxformer[dashboard]', or pip install plotly"
        ) from error
    return get_plotlyjs()


def request_key(path: str, params: Mapping[str, str]) -> str:
    """A request as text, the key of its answer in a report: parameters by name, form-encoded.

    api.js builds the same text.
    """
    form = urlencode(sorted(params.items()), safe="*").replace("~", "%7E")  # as browsers do
    return path + ("?" + form if params else "")


def to_json(value: Any) -> str:
    """JSON of an answer; non-finite numbers become null."""
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
    """JSON escaped for a <script> element of HTML, whatever text it contains."""
    text = to_json(value)
    for sign, code in _ESCAPES.items():
        text = text.replace(sign, code)
    return text


def self_contained(embedded_answers: dict[str, Any], first: str = "") -> str:
    """The page as one HTML file without external requests: scripts, styles and answers inlined.

    answers: {request key: answer}, see request_key
    first: name of the view that it opens with; "": the first view
    Its content security policy allows only these scripts, by hash, and no network access.
    """
    html = files()["index.html"]
    scripts = [plotly(), *(files()[name] for name in _SCRIPT.findall(html))]
    for text in scripts:
        if re.search(r"</script|<!--", text, re.IGNORECASE):
            raise ValueError("a script of the page contains </script or <!--")
    hashes = " ".join(f"'sha256-{_hash(text)}'" for text in scripts)
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    style = "".join(f"<style>{files()[name]}</style>" for name in _STYLE.findall(html))
    data = f'<script type="application/json" id="answers">{in_html(embedded_answers)}</script>'
    body = data + "".join(f"<script>{text}</script>" for text in scripts)
    html = _STYLE.sub("", _SCRIPT.sub("", html)).replace("<!-- policy -->", head)
    html = html.replace("<body>", f'<body data-first="{first}">', 1)
    return html.replace("</head>", style + "</head>").replace("</body>", body + "</body>")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
