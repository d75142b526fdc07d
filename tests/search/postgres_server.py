"""A PostgreSQL of the test's own: a cluster in a temporary folder, reached by a socket in it."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)  # Debian's are not on PATH


def binaries() -> Path | None:
    """The folder with initdb and postgres, the newest version's; None where there is none."""
    found = shutil.which("initdb")
    places = [*PLACES, *([Path(found).parent] if found else [])]
    return next((place for place in places if (place / "postgres").exists()), None)


def owner() -> str | None:
    """Who may run it: root may not; None: whoever we are. Skips where root finds no other."""
    if os.geteuid():
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    pytest.skip("PostgreSQL refuses to run as root, and there is no other user")


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty database, gone afterwards. Skips where PostgreSQL is not installed."""
    pytest.importorskip("psycopg", reason="pip install 'fxformer[search]'")
    place, user = binaries(), owner()
    if place is None:
        pytest.skip("PostgreSQL's server is not installed; on Debian: apt install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="fx-pg-"))  # short: a socket's path has 107 letters
    if user:
        shutil.chown(folder, user)
    try:
        _run(user, place / "initdb", "-D", folder / "data", "-U", "fx", "-A", "trust", "-E", "UTF8")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        control = (place / "pg_ctl", "-D", folder / "data", "-w")
        _run(user, *control, "-l", folder / "log", "-o", options, "start")
        try:
            yield f"postgresql+psycopg://fx@/postgres?host={folder}"
        finally:
            _run(user, *control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(user: str | None, *words: object) -> None:
    command = [str(word) for word in words]
    # a daemon keeps what it inherits open: with a pipe, reading to its end would wait for ever
    done = subprocess.run(command, user=user, cwd="/", timeout=120,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}"
