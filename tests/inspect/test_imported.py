"""Published models are looked into as soon as they are imported, to the end of their tables."""

from pathlib import Path

import numpy as np
import pytest

from fxformer.hf.import_model import import_model
from fxformer.inference.model_cache import Kept
from fxformer.inference.text_input import asked, limit, typed
from fxformer.inspect import predictions
from fxformer.inspect.attention import attention
from fxformer.track.run_reader import StoredRun

PUBLISHED = Path(__file__).parents[1] / "hf" / "fixtures"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bert", "gpt2", "bart", "led", "prophetnet", "t5", "longformer"])
def test_a_published_model_is_looked_into(name, tmp_path):
    run = StoredRun(import_model(PUBLISHED / name, runs=str(tmp_path)).folder)
    opened = Kept().open(run)
    words = " ".join("1" for _ in range(limit(opened)))
    text = typed(opened, words)
    for one in attention(opened, text):
        np.testing.assert_allclose(one.weights.sum(-1), 1, atol=1e-5)
        assert (one.weights >= 0).all()
    if name != "gpt2":  # which has no room left to go on
        assert predictions.payload(opened, asked(opened, words))["what"] in ("masked", "rewritten")
    with pytest.raises(ValueError, match="can be looked at"):
        typed(opened, words + " 1")
