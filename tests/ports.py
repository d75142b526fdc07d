"""Ports of this machine for servers that tests start in processes of their own."""

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """A port of 127.0.0.1 that is given to nobody else meanwhile. gRPC's servers, which share ports
    (SO_REUSEPORT), can listen on it."""
    with socket.socket() as held:
        if hasattr(socket, "SO_REUSEPORT"):
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
