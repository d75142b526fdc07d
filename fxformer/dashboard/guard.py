"""Who may ask the server: the right Host, the token where one is set, the page's own origin."""

import hmac
import ipaddress
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie

COOKIE = "fxformer_token"
_LOCAL = {"localhost", "127.0.0.1", "[::1]"}


class Guard:
    """Judges requests by their headers.

    host: the address that is served on; port: of it
    token: what a request must bring, None for none. ValueError where the address can be reached
        from elsewhere and there is no token
    """

    def __init__(self, host: str, port: int, token: str | None):
        if not token and not is_loopback(host):
            raise ValueError(
                f"--host {host} can be reached from other machines: give --token as well, "
                "or leave --host out and reach the page through `ssh -L`"
            )
        self.token, self._host, self._port = token, host, port

    def known_host(self, headers: Mapping[str, str]) -> bool:
        """Whether the Host header is one of ours. A page elsewhere can make its own name resolve
        to this address (DNS rebinding), but its requests carry that name."""
        name, _, port = headers.get("Host", "").rpartition(":")
        if not port.isdigit() or int(port) != self._port:
            return False
        return name in _LOCAL or name == self._host or (bool(self.token) and _is_address(name))

    def same_origin(self, headers: Mapping[str, str]) -> bool:
        """Whether a request that changes something comes from our own page."""
        site = headers.get("Sec-Fetch-Site")
        return headers.get("Origin") == f"http://{headers.get('Host')}" and site in (
            None, "same-origin")

    def known(self, headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
        """Whether the token is right: in the cookie, in ?token=… or as a bearer. Compared in
        constant time."""
        if not self.token:
            return True
        given = [query.get("token", ""), headers.get("Authorization", "").removeprefix("Bearer ")]
        try:
            cookie = SimpleCookie(headers.get("Cookie", "")).get(COOKIE)
        except CookieError:
            cookie = None
        given.append(cookie.value if cookie else "")
        return any([hmac.compare_digest(one.encode(), self.token.encode()) for one in given])


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
