"""docs/tutorial.py runs from its first to its last cell."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_tutorial_runs_in_miniature(tmp_path):
    environ = os.environ | {"TUTORIAL_STEPS": "6", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "docs" / "tutorial.py")]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (tmp_path / "attention.html").stat().st_size > 1e6
    assert (tmp_path / "report.html").stat().st_size > 1e6
    assert "held-out loss by step: {" in done.stdout
