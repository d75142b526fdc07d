"""ProphetNet's decoder alone, without the files it came from: exported, read again, trained."""

import json

import jax
import numpy as np
import pytest

from fxformer.batch import Rows
from fxformer.data.special_tokens import Specials
from fxformer.errors import UserError
from fxformer.flops.training import training_flops
from fxformer.hf.export_model import ExportSource, write_export
from fxformer.hf.forward import run
from fxformer.hf.import_model import compose, import_model
from fxformer.hf.published_model import load_model
from fxformer.hf.run_weights import model_weights
from fxformer.hf.tensor_files import TensorFiles
from fxformer.inference.structure import position_lengths, stack_of
from fxformer.model.transformer import Transformer
from fxformer.track.run_reader import StoredRun
from fxformer.train.experiment import objective_factory
from tests.hf.fixture import HERE, answers, published, reference

FOLDER = HERE / "prophetnet_causal"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The export of an import whose published files are gone."""
    place = tmp_path_factory.mktemp("prophetnet")
    run = StoredRun(import_model(FOLDER, runs=str(place / "runs")).folder)
    source = ExportSource("trained", run.config, model_weights(run), None, None)
    return write_export(source, place / "out", family="prophetnet").folder


def test_an_export_has_no_cross_attention_and_gives_the_same_logits(exported):
    config = json.loads((exported / "config.json").read_text())
    assert config["architectures"] == ["ProphetNetForCausalLM"]
    assert not config["add_cross_attention"] and config["is_decoder"]
    assert config["num_encoder_layers"] == config["num_decoder_layers"] == 2
    assert not any("cross" in name for name in TensorFiles(exported))
    np.testing.assert_array_equal(
        run_again(exported)["logits"], answers(FOLDER)["logits"], strict=True
    )


def run_again(folder):
    """The answers of another folder to the inputs of the fixture."""
    inputs = {k.removeprefix("in."): v for k, v in reference(FOLDER).items() if k[:3] == "in."}
    one = published(folder)
    return {k: np.asarray(v) for k, v in run(one, load_model(one)[0], inputs).items()}


def test_it_learns_to_predict_the_next_token_with_two_streams():
    cfg = compose(published(FOLDER), None, ["data.length=8"])
    assert cfg.objective._target_.endswith("CausalLM")
    vocabulary = Specials().ids().vocabulary([b"a"] * 23)
    objective = objective_factory(cfg, vocabulary)(jax.random.key(0))
    model = objective.model
    assert type(stack_of(model)) is Transformer and position_lengths(model) == [14]
    tokens = np.tile(np.arange(5, 13, dtype=np.int32), (2, 1))
    ones = np.ones_like(tokens)
    batch = objective.corrupt(Rows(tokens, ones, 0 * ones))
    loss, weight = objective(batch)["loss"]
    assert np.isfinite(loss) and weight > 0
    one = training_flops(model, batch)
    assert one > 2 * 3 * 23 * 8 * 14
    with pytest.raises(UserError, match="an n-gram decoder reads no prefix"):
        model(batch.replace(prefix=ones > 0))
