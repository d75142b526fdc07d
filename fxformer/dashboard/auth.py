"""Authorization of HTTP requests: Host header, access token, same origin for changes."""

import hmac
import ipaddress
import re
from collections.abc import Iterable, Mapping
from email.message import Message
from http.cookies import CookieError, SimpleCookie
from urllib.parse import unquote

from fxformer.errors import UserError

COOKIE = "fxformer_token"
Headers = Mapping[str, str] | Message
_LOCAL = {"localhost", "127.0.0.1", "[::1]"}
_PORT = re.compile(r":\d+$")
_NAME = re.compile(r"(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?", re.ASCII)


class RequestAuth:
    """Authorizes requests by their headers.

    host, port: the address that is served
    token: access token that requests must carry; None: no token. UserError without one where the
        address can be reached from other machines
    names: further host names of the server, each NAME or NAME:PORT; without a port any port is
        accepted. UserError for an invalid name
    """

    def __init__(self, host: str, port: int, token: str | None, names: Iterable[str] = ()):
        if not token and not is_loopback(host):
            raise UserError(
                f"--host {host} can be reached from other machines: give --token as well, "
                "or omit --host and forward the port with `ssh -L`"
            )
        self.token, self._host, self._port = token, host, port
        self._names = {_name(one) for one in names}

    def host_allowed(self, headers: Headers) -> bool:
        """Whether the Host header names this server. Protects against DNS rebinding: a foreign page
        can make its name resolve to this address, but its requests carry that name."""
        given = headers.get("Host", "")
        if self._named(given):
            return True
        name, _, port = given.rpartition(":")
        if not port.isdigit() or int(port) != self._port:
            return False
        return name in _LOCAL or name == self._host or (bool(self.token) and _is_address(name))

    def host_refusal(self, headers: Headers) -> str:
        """Why the Host header is refused, and the option that allows it."""
        given = headers.get("Host", "")
        if not _NAME.fullmatch(given):
            return "invalid Host header"
        return (
            f"unknown host name {given}; if the server is reached by it (forwarded port, proxy), "
            f"start it with `fxformer dashboard --name {given}`"
        )

    def same_origin(self, headers: Headers) -> bool:
        """Whether a POST request comes from the page of this server. A proxy may change the Host
        header and the scheme, so origins with one of `names` are accepted too."""
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

    def has_token(self, headers: Headers, query: Mapping[str, str]) -> bool:
        """Whether the request carries the token: as cookie, ?token=… or bearer token. Compared in
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
    """Normalised base path of a proxy: "/x/y", or "" for none. UserError for an invalid path."""
    path = "/" + given.strip("/") if given.strip("/") else ""
    if not re.fullmatch(r"(?:/[\w.~%@:+=-]+)*", path, re.ASCII) or ".." in path:
        raise UserError(f"--base-path {given}: expected a path like /user/me/proxy/8650")
    return path


def _name(given: str) -> str:
    if not _NAME.fullmatch(given):
        raise UserError(
            f"--name {given}: expected NAME or NAME:PORT, as in the address bar of the "
            "browser between :// and the next /"
        )
    return given.lower()


def is_loopback(host: str) -> bool:
    """Whether `host` is a loopback address."""
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
