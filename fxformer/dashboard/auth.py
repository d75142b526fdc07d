"""Who may ask the server: the right Host, the token where one is set, the page's own origin."""

import hmac
import ipaddress
import re
from collections.abc import Iterable, Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import unquote

from fxformer.errors import UserError

COOKIE = "fxformer_token"
_LOCAL = {"localhost", "127.0.0.1", "[::1]"}
_PORT = re.compile(r":\d+$")
_NAME = re.compile(r"(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?", re.ASCII)


class Guard:
    """Judges requests by their headers.

    host: the address that is served on; port: of it
    token: what a request must bring, None for none. UserError where the address can be reached
        from elsewhere and there is no token
    names: more names that a browser may reach the server by, each NAME or NAME:PORT; without a port
        any port will do. UserError for what is no name
    """

    def __init__(self, host: str, port: int, token: str | None, names: Iterable[str] = ()):
        if not token and not is_loopback(host):
            raise UserError(
                f"--host {host} can be reached from other machines: give --token as well, "
                "or leave --host out and reach the page through `ssh -L`"
            )
        self.token, self._host, self._port = token, host, port
        self._names = {_name(one) for one in names}

    def known_host(self, headers: Mapping[str, str]) -> bool:
        """Whether the Host header is one of ours. A page elsewhere can make its own name resolve
        to this address (DNS rebinding), but its requests carry that name."""
        given = headers.get("Host", "")
        if self._named(given):
            return True
        name, _, port = given.rpartition(":")
        if not port.isdigit() or int(port) != self._port:
            return False
        return name in _LOCAL or name == self._host or (bool(self.token) and _is_address(name))

    def refusal(self, headers: Mapping[str, str]) -> str:
        """Why the Host header is refused, and the setting that allows it."""
        given = headers.get("Host", "")
        if not _NAME.fullmatch(given):
            return "this server does not answer to that name"
        return (
            f"this server does not answer to the name {given}; if that is how you reach it "
            f"(a forwarded port, a proxy), start it with `fxformer dashboard --name {given}`"
        )

    def same_origin(self, headers: Mapping[str, str]) -> bool:
        """Whether a request that changes something comes from our own page. A proxy may change the
        Host header and the scheme, so an origin of one of `names` is ours too."""
        site, origin = headers.get("Sec-Fetch-Site"), headers.get("Origin", "")
        scheme, _, place = origin.partition("://")
        own = origin == f"http://{headers.get('Host')}" or (
            scheme in ("http", "https") and self._named(place)
        )
        return own and site in (None, "same-origin")

    def _named(self, given: str) -> bool:
        """Whether `given`, a name with or without a port, is one of `names`."""
        given = given.lower()
        bare = given.rpartition(":")[0] if _PORT.search(given) else given
        return given in self._names or bare in self._names

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
        given.append(unquote(cookie.value) if cookie else "")
        return any([hmac.compare_digest(one.encode(), self.token.encode()) for one in given])


def base_path(given: str) -> str:
    """A path before which a proxy puts the page: "/x/y", "" for none. UserError for another."""
    path = "/" + given.strip("/") if given.strip("/") else ""
    if not re.fullmatch(r"(?:/[\w.~%@:+=-]+)*", path, re.ASCII) or ".." in path:
        raise UserError(f"--base-path {given}: a path like /user/me/proxy/8650 is expected")
    return path


def _name(given: str) -> str:
    if not _NAME.fullmatch(given):
        raise UserError(
            f"--name {given}: NAME or NAME:PORT is expected, as the address line of "
            "the browser shows it between :// and the next /"
        )
    return given.lower()


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
