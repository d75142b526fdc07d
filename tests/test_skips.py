"""A skip that is not on the list fails the session."""

import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = """
from skips import ListedSkips
def pytest_configure(config):
    config.pluginmanager.register(ListedSkips())
"""
LISTED = """
import pytest
@pytest.mark.skip(reason="root may read everything")
def test_one(): pass
def test_two(): pytest.skip("FXFORMER_DATA is not set: no real data here")
@pytest.mark.xfail(reason="known")
def test_three(): assert False
def test_four(): pass
"""


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        ("", 0, "2 skipped"),
        ("def test_new(): pytest.importorskip('no_such_module')", 1, "test_new: could not import"),
        ("pytest.importorskip('no_such_module')", 1, "test_all.py: could not import"),
    ],
)
def test_only_listed_skips_pass(tmp_path, more, code, said):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_all.py").write_text(f"{LISTED}\n{more}\n")
    (tmp_path / "test_other.py").write_text("def test_it(): pass\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=tmp_path, capture_output=True, text=True,
        env={"PYTHONPATH": str(Path(__file__).parent), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip
    assert done.returncode == code and said in done.stdout, done.stdout + done.stderr
