"""Pipelines of models that learned a task answer as its evaluation did."""

import jax
import numpy as np
import pytest
from flax import nnx
from omegaconf import OmegaConf

from fxformer.dashboard.playground_tasks import answer_table
from fxformer.errors import UserError
from fxformer.inference.generation_defaults import own_settings
from fxformer.inference.model import Model
from fxformer.inference.pipelines.tasks import pipeline
from fxformer.train.split_batches import SplitBatches
from tests.first_state import first_state
from tests.task import seq2seq
from tests.task.rows import setup_of


def opened(setup):
    """(parameters of the first state, the model with them)."""
    params = first_state(setup).params
    objective = setup.objective_with(params)
    graphdef, state = nnx.split(objective.model)
    config = {"task": OmegaConf.to_container(setup.cfg.task, resolve=True)}
    return params, Model(
        "run", setup.data.tokenizer, objective.vocabulary, graphdef, nnx.to_pure_dict(state),
        config=config, generation_settings=own_settings(objective.vocabulary, None),
    )  # fmt: skip


@pytest.mark.parametrize("separator", [(), ("task.separator=' => '",)])
@pytest.mark.sample(2)
def test_a_decoder_writes_a_target_for_each_source(tmp_path, separator):
    words = ("task.prefix='turn: '", "generation@task.generation=beam", *separator)
    setup = seq2seq.setup_of(tmp_path, *words, model="gpt2")
    params, model = opened(setup)
    rows = setup.data.packed["valid"].read[:5]
    written = setup.generated.texts(params, range(5))
    assert len(set(written)) > 1
    summarize = pipeline("summarization", model)
    answers = summarize([row.value("source").removeprefix("turn: ") for row in rows])
    assert [one["summary_text"] for one in answers] == written
    with pytest.raises(UserError, match="summarization needs a seq2seq model"):
        pipeline("summarization", model.replace(config={}))


def test_a_regression_answers_its_number(tmp_path):
    setup = setup_of(tmp_path, "regression")
    params, model = opened(setup)
    split, evaluate = SplitBatches(setup), jax.jit(setup.evaluate)
    for batch in split:
        split.observe(batch, evaluate(params, batch)[1])
    values = setup.objective.outputs_by_feature(split.outputs)
    texts = [row.value("text") for row in setup.data.packed["valid"].read]
    answers = pipeline("text-classification", model)(texts)
    assert all(set(one) == {"score"} for one in answers)
    np.testing.assert_allclose([one["score"] for one in answers],
                               [values[n] for n in range(len(texts))], atol=1e-5)  # fmt: skip
    shown = answer_table(model, "text-classification", texts[0], "")
    assert shown["rows"] == [["value", pytest.approx(float(values[0]), abs=1e-5)]]
