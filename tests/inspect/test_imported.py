"""Attention and predictions of imported models, at their maximum length."""

from pathlib import Path

import numpy as np
import pytest

from fxformer.hf.import_model import import_model
from fxformer.inference.model_cache import RunCache
from fxformer.inference.text_input import max_tokens, plain_input, prediction_input
from fxformer.inspect import predictions
from fxformer.inspect.attention import attention
from fxformer.track.run_reader import StoredRun

PUBLISHED = Path(__file__).parents[1] / "hf" / "fixtures"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bert", "gpt2", "bart", "led", "prophetnet", "t5", "longformer"])
def test_attention_and_predictions_of_a_published_model(name, tmp_path):
    run = StoredRun(import_model(PUBLISHED / name, runs=str(tmp_path)).folder)
    loaded = RunCache().open(run)
    words = " ".join("1" for _ in range(max_tokens(loaded)))
    text = plain_input(loaded, words)
    for one in attention(loaded, text):
        np.testing.assert_allclose(one.weights.sum(-1), 1, atol=1e-5)
        assert (one.weights >= 0).all()
    if name != "gpt2":  # no room for a continuation
        assert predictions.payload(loaded, prediction_input(loaded, words))["kind"] in (
            "masked",
            "seq2seq",
        )
    with pytest.raises(ValueError, match="at most"):
        plain_input(loaded, words + " 1")
