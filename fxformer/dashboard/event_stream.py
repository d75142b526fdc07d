"""Response of JSON lines that are sent as they come; it ends with the connection."""

from typing import Any

from fxformer.dashboard import document


class ClientGoneError(Exception):
    """The browser has closed the connection: nobody waits for the answer."""


class EventStream:
    """Sends values as lines of JSON. The status line is sent with the first of them.

    handler: the request handler (server.py)
    begun: whether a value has been sent
    The body has no length and is not chunked, so that proxies of HTTP/1.0 pass it on.
    """

    def __init__(self, handler: Any):
        self._handler, self.begun = handler, False

    def send(self, value: Any) -> None:
        """Send one value. ClientGoneError if the connection is closed or does not take it."""
        handler = self._handler
        try:
            if not self.begun:
                self._begin()
            handler.wfile.write(document.to_json(value).encode() + b"\n")
            handler.wfile.flush()
        except OSError as error:  # also a timeout of the socket
            raise ClientGoneError(str(error)) from error

    def _begin(self) -> None:
        self.begun, handler = True, self._handler
        handler.close_connection = True
        handler.send_response(200)
        handler.send_header("Content-Type", "application/x-ndjson; charset=utf-8")
        handler.send_header("Connection", "close")
        handler.send_header("X-Accel-Buffering", "no")  # nginx would collect the lines
        handler.send_safety_headers()
        handler.end_headers()
