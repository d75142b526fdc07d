"""A headless Chromium for tests: what it complained of, and every host that it asked."""

import contextlib
import functools
import shutil
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def chromium() -> str:
    """Where the browser is; skips the test where there is none."""
    pytest.importorskip("playwright", reason="needs playwright, of the test extra")
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium here to show the page in")


class Watched:
    """A page of the browser. errors: what it logged as one; hosts: all it wanted to reach."""

    def __init__(self, page):
        self.page, self.errors, self.hosts = page, [], set()
        page.on("console", lambda m: m.type == "error" and self.errors.append(m.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    def open(self, url: str, view: str = "") -> None:
        """Go to `url` and wait until the view is there."""
        self.page.goto(f"{url}#{view}" if view else url)
        self.ready(view)

    def show(self, view: str) -> None:
        """Click the tab of `view`."""
        self.page.click(f"#tab-{view}")
        self.ready(view)

    def ready(self, view: str = "") -> None:
        """Wait until the view has been rendered."""
        name = f"#view-{view}" if view else ".view"
        self.page.wait_for_selector(f"{name}[data-ready=yes]", timeout=120_000)

    def until(self, expression: str, seconds: float = 120.0) -> None:
        """Wait until `expression` holds in the page. Its policy forbids what playwright does."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(f"Boolean({expression})"):
            assert time.monotonic() < end, f"never came true: {expression}"
            self.page.wait_for_timeout(50)

    def clean(self, url: str) -> None:
        """Assert that nothing was complained of and nobody but `url` was asked."""
        assert not self.errors, self.errors
        own = {urlsplit(url).netloc, ""}  # data: and blob: have no host
        assert self.hosts <= own, f"asked {self.hosts - own}"


@functools.cache
def _launched() -> tuple:
    """(playwright, Chromium), started once for the tests of a file; see `close_browser`."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    play = sync_playwright().start()
    return play, play.chromium.launch(executable_path=path, args=ARGUMENTS)


def close_browser() -> None:
    """End the Chromium of `browser`. While it runs, this thread has a running event loop."""
    if _launched.cache_info().currsize:
        play, engine = _launched()
        _launched.cache_clear()
        engine.close()
        play.stop()


@contextlib.contextmanager
def browser(*, width: int = 1280, height: int = 900, dark: bool = False) -> Iterator[Watched]:
    """A fresh page in a context of its own: no cookies, no cache, nothing stored."""
    _, engine = _launched()
    scheme, viewport = "dark" if dark else "light", {"width": width, "height": height}
    page = engine.new_page(viewport=viewport, color_scheme=scheme)
    page.set_default_timeout(120_000)  # ms: other processes may keep the browser waiting
    try:
        yield Watched(page)
    finally:
        page.close()  # and its context, which new_page made


@contextlib.contextmanager
def served(index, **knobs) -> Iterator[str]:
    """The address of a server of `shelf`, running in a thread."""
    from fxformer.dashboard.server import Server

    server = Server(index, **knobs)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.url
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
