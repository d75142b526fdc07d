"""Skips that are allowed where every change is tested; any other skip fails the session.

A test that skips in silence tests nothing: what it needs belongs into the `test` extra. Active
where FXFORMER_STRICT_SKIPS is set, as .ci/run does.
"""

import re

import pytest

ALLOWED = {
    r"root may read everything": "files without permissions cannot be made for root",
    r"FXFORMER_DATA(=.*)? is no(t set| folder)": "third-party data is not in the repository",
    r"got empty parameter set for \(folder(, setting)?\)": "FXFORMER_PARITY names no fixtures",
    r"neither torch here nor FXFORMER_TORCH": "torch and transformers are not in the test extra",
    r"could not import 'benchmarks\.peers'": "needs torch, as above",
    r"could not import 'codecarbon'": "a cross-check, of the energy extra",
    r"no Chromium here": "a browser is no Python package; .ci/run installs one where it can",
    r"PostgreSQL": "a server is no Python package; .ci/run installs one where it can",
    r"the tunables need Linux|only /proc tells|limits of memory are Linux's": "another system",
    r"this Python comes without its sources": "some distributions leave them out",
}


class ListedSkips:
    """A pytest plugin that collects skips whose reason is not listed."""

    def __init__(self, allowed=ALLOWED):
        self.allowed = [re.compile(reason) for reason in allowed]
        self.unlisted: dict[str, str] = {}

    def pytest_runtest_logreport(self, report):
        self._look(report)

    def pytest_collectreport(self, report):
        self._look(report)  # a module that skips as a whole

    def _look(self, report):
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        found = report.longrepr
        reason = str(found[2] if isinstance(found, tuple) else found).removeprefix("Skipped: ")
        if not any(one.search(reason) for one in self.allowed):
            self.unlisted[report.nodeid] = reason

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session):
        if self.unlisted and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        if not self.unlisted:
            return
        terminalreporter.section("skips that are not listed in tests/skips.py", red=True)
        for name, reason in sorted(self.unlisted.items()):
            terminalreporter.line(f"{name}: {reason}")
