"""HTTP server of `fxformer dashboard`, on the standard library only."""

import contextlib
import json
import sys
import time
import urllib.parse
from collections.abc import Callable, Container, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fxformer.dashboard import document, routes
from fxformer.dashboard.auth import COOKIE, RequestAuth, base_path
from fxformer.dashboard.event_stream import ClientGoneError, EventStream
from fxformer.dashboard.routes import GET_ROUTES, POST_ROUTES, STREAM_ROUTES
from fxformer.dashboard.run_index import RunIndex
from fxformer.errors import UserError
from fxformer.track.redact import Redactor

_TYPES = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "json": "application/json",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_MAX_BODY = 1_000_000  # bytes of a request


class Server(ThreadingHTTPServer):
    """Serves a RunIndex at `url`; run it by `serve_forever`.

    port: 0 for any that is free
    token, names: see RequestAuth; base: path below which a proxy serves the page, see base_path
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self,
        index: RunIndex,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        names: Sequence[str] = (),
        base: str = "",
    ):
        RequestAuth(host, port, token, names)  # fails before the port is opened
        self.base = base_path(base)
        super().__init__((host, port), _Handler)
        self.index, self.auth = index, RequestAuth(host, self.server_address[1], token, names)
        ask = "?" + urllib.parse.urlencode({"token": token}) if token else ""
        self.url = f"http://{host}:{self.server_address[1]}{self.base}/{ask}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore connections closed by the browser; report other errors as usual."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """Serve a file of the page, or an answer of the API."""
        where, query = self._request()
        if not self._allowed(query):
            return
        if where == "" and ("token" in query or self._lacks_slash()):
            self._enter(query.get("token"))
        elif where.startswith("api/"):
            self._answer(GET_ROUTES, routes.answer, where.removeprefix("api/"), query)
        elif where == "plotly.js":
            self._send(200, "js", document.plotly())
        else:
            name = where or "index.html"
            text = document.files().get(name)
            self._send(
                *(
                    (404, "html", "no such file")
                    if text is None
                    else (200, name.rpartition(".")[2], text)
                )
            )

    def do_HEAD(self) -> None:
        """As GET, without the body."""
        self.do_GET()

    def do_POST(self) -> None:
        """Apply a change; only requests of the page itself are accepted."""
        where, query = self._request()
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > _MAX_BODY:
            self.close_connection = True
            self._refuse(413, "body too large, or no Content-Length")
            return
        body = self.rfile.read(int(length))
        if not self._allowed(query):
            return
        if not self.server.auth.same_origin(self.headers):
            self._refuse(403, "changes are accepted from the page itself only")
            return
        try:
            given = json.loads(body)
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, dict):
            self._refuse(400, "expected a JSON object")
            return
        path = where.removeprefix("api/")
        if path in STREAM_ROUTES:
            self._stream(path, given)
        else:
            self._answer(POST_ROUTES, routes.change, path, given)

    def _request(self) -> tuple[str, dict[str, str]]:
        parts = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
        path, base = parts.path, self.server.base
        if base and (path == base or path.startswith(base + "/")):  # else the proxy has removed it
            path = path.removeprefix(base)
        return path.lstrip("/"), dict(query)

    def _allowed(self, query: dict[str, str]) -> bool:
        if not self.server.auth.host_allowed(self.headers):
            self._refuse(421, self.server.auth.host_refusal(self.headers))
            return False
        if not self.server.auth.has_token(self.headers, query):
            self._refuse(
                403, "missing access token: open the address printed by `fxformer dashboard`"
            )
            return False
        return True

    def _answer(
        self, paths: Container[str], handler: Callable, path: str, params: dict[str, Any]
    ) -> None:
        if path not in paths:
            self._refuse(404, f"unknown path {path!r}")
            return
        try:
            self.server.index.last_request = time.monotonic()
            value = handler(self.server.index, path, params)
        except UserError as error:
            self._refuse(400, str(error))
            return
        except Exception as error:  # noqa: BLE001 - one broken run must not break the page
            self.log_error("%s: %r", path, error)
            self._refuse(500, f"{type(error).__name__}: {error}")
            return
        self._send(200, "json", document.to_json(value))

    def _stream(self, path: str, given: dict[str, Any]) -> None:
        """Send the events of an answer as they come; an error after the first one is an event."""
        events = EventStream(self)
        try:
            self.server.index.last_request = time.monotonic()
            routes.stream(self.server.index, path, given, events.send)
        except ClientGoneError:
            self.close_connection = True
        except Exception as error:  # noqa: BLE001 - as in _answer
            known = isinstance(error, UserError)
            message = str(error) if known else f"{type(error).__name__}: {error}"
            if not known:
                self.log_error("%s: %r", path, error)
            if events.begun:
                with contextlib.suppress(ClientGoneError):
                    events.send({"error": Redactor().text(message)})
            else:
                self._refuse(400 if known else 500, message)

    def _refuse(self, code: int, message: str) -> None:
        self._send(code, "json", document.to_json({"error": Redactor().text(message)}))

    def _lacks_slash(self) -> bool:
        """Whether the path is the base path without a slash: relative URLs would not resolve."""
        return bool(self.server.base) and urllib.parse.urlsplit(self.path).path == self.server.base

    def _enter(self, token: str | None) -> None:
        """Redirect to the page, moving the token from the URL to a cookie."""
        self.send_response(303)
        self.send_header("Location", f"{self.server.base}/")
        value = urllib.parse.quote(token or "", safe="")
        cookie = f"{COOKIE}={value}; HttpOnly; SameSite=Strict; Path={self.server.base}/"
        if token is not None:
            self.send_header("Set-Cookie", cookie)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, code: int, kind: str, text: str) -> None:
        data = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", f"{_TYPES.get(kind, 'text/plain')}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_safety_headers()
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def send_safety_headers(self) -> None:
        """Headers of every response with a body."""
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")

    def log_message(self, format: str, *args: Any) -> None:
        """Do not log successful requests."""
