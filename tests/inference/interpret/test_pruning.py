"""Export of masked heads: zero in the output projection, or cut from the weights."""

import json
import os

import numpy as np
import pytest

import fxformer
from fxformer.errors import UserError
from tests.hf.test_transformers import ask, pythons

TEXT = "the cat sat on a mat"
HEADS = [("encoder", 0, 1), ("encoder", 1, 0)]


@pytest.mark.parametrize(
    "kind", ["encoder", pytest.param("decoder", marks=pytest.mark.slow), "seq2seq"]
)
@pytest.mark.sample(2)
def test_heads_set_to_zero_give_the_output_of_the_masked_model(model_of, tmp_path, kind):
    target = "a cat and the dog" if kind == "seq2seq" else None
    name = "cross" if kind == "seq2seq" else kind
    masked = model_of(kind).without_heads([(name, 1, 0)])
    masked.save_pretrained(tmp_path / "out")
    again = fxformer.load(tmp_path / "out")
    (one,), (other,) = masked.logits(TEXT, target), again.logits(TEXT, target)
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_cut_heads_leave_the_weights_of_the_others(model_of, tmp_path):
    whole = model_of("encoder").save_pretrained(tmp_path / "whole").tensors
    made = model_of("encoder").without_heads(HEADS).save_pretrained(tmp_path / "cut", heads="cut")
    config = json.loads((tmp_path / "cut" / "config.json").read_text())
    assert config["pruned_heads"] == {"0": [1], "1": [0]} and "transformers 4" in made.caveats[-1]
    assert set(whole) == set(made.tensors)
    for layer, kept in ((0, slice(0, 8)), (1, slice(8, 16))):
        at = f"bert.encoder.layer.{layer}.attention"
        for part in ("query", "key", "value"):
            for what in ("weight", "bias"):
                name = f"{at}.self.{part}.{what}"
                np.testing.assert_array_equal(made.tensors[name], whole[name][kept])
        out = f"{at}.output.dense"
        np.testing.assert_array_equal(
            made.tensors[f"{out}.weight"], whole[f"{out}.weight"][:, kept]
        )
        np.testing.assert_array_equal(made.tensors[f"{out}.bias"], whole[f"{out}.bias"])


def test_what_transformers_cannot_express_is_refused(model_of, tmp_path):
    with pytest.raises(UserError, match="gpt2 in transformers cannot have layers with fewer heads"):
        model_of("decoder").without_heads([("decoder", 0, 0)]).save_pretrained(
            tmp_path / "a", heads="cut"
        )
    encoder = model_of("encoder")
    with pytest.raises(UserError, match="all heads of layer 1 are masked"):
        encoder.without_heads([("encoder", 1, 0), ("encoder", 1, 1)]).save_pretrained(
            tmp_path / "b", heads="cut"
        )
    with pytest.raises(UserError, match="factors other than 0 and 1 cannot be cut"):
        encoder.mask_heads({"encoder": [[0.5, 1], [1, 1]]}).save_pretrained(
            tmp_path / "c", heads="cut"
        )


@pytest.mark.slow
def test_transformers_computes_the_same_with_cut_heads(model_of, tmp_path):
    python = next((one for one in pythons() if "4" in os.path.basename(_root(one))), pythons()[0])
    masked = model_of("encoder").without_heads(HEADS)
    masked.save_pretrained(tmp_path / "cut", heads="cut")
    (ids,), (wanted,) = masked.encode(TEXT), masked.logits(TEXT)
    said = ask(python, str(tmp_path / "cut"), json.dumps(ids.tolist()), script="ask_logits.py")
    if said["version"].startswith("5"):
        pytest.skip("neither torch here nor FXFORMER_TORCH with transformers 4")
    np.testing.assert_allclose(np.array(said["logits"]), wanted, atol=1e-5)


def _root(python: str) -> str:
    return os.path.dirname(os.path.dirname(python))
