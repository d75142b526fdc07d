"""What we export, transformers loads: no missing key, no unexpected one, the same answers.

Needs torch and transformers, here or in the python that FXFORMER_TORCH names.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fxformer.bridge.exporting import export_model
from fxformer.bridge.importing import import_model
from fxformer.track.store import StoredRun
from tests.bridge.fixture import own


def python() -> str:
    """An interpreter that has transformers and torch; skips where there is none."""
    if os.environ.get("FXFORMER_TORCH"):
        return os.environ["FXFORMER_TORCH"]
    if importlib.util.find_spec("torch") and importlib.util.find_spec("transformers"):
        return sys.executable
    pytest.skip("neither torch here nor FXFORMER_TORCH")


@pytest.mark.slow
def test_transformers_loads_what_we_write(tmp_path):
    asking = [python(), str(Path(__file__).parent / "ask_transformers.py")]
    for folder in own():
        made = import_model(folder, runs=str(tmp_path / "runs"))
        export_model(StoredRun(made.folder), tmp_path / folder.name)
        asking += [str(tmp_path / folder.name), str(folder / "reference.npz")]
    answer = subprocess.run(asking, capture_output=True, text=True, check=True).stdout
    answers = json.loads(answer.splitlines()[-1])
    there = {folder: said for folder, said in answers.items() if "gone" not in said}
    assert len(there) > 50  # transformers 5 has no Transformer-XL
    for folder, said in there.items():
        assert not any(said[key] for key in said if key.endswith("_keys")), (folder, said)
        assert said["far"] and max(said["far"].values()) < 5e-6, (folder, said["far"])
