"""Heads of labelled tasks: the shape each family gives them, pooling, outputs by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fxformer.batch import Batch
from fxformer.config.build import build
from fxformer.config.options import composed
from fxformer.nn.task_head import ClassificationHead
from fxformer.rules import named

OUTPUT = {"output/kernel", "output/bias"}
DENSE = {"dense/kernel", "dense/bias"}
# family: (pooling, activation, parameters of a sequence head)
SHAPES = {
    "bert": ("first", jnp.tanh, OUTPUT | DENSE),
    "electra": ("first", jax.nn.gelu, OUTPUT | DENSE),
    "distilbert": ("first", jax.nn.relu, OUTPUT | DENSE),
    "gpt2": ("last", None, {"output/kernel"}),
    "llama": ("last", None, {"output/kernel"}),
    "bart": ("last", jnp.tanh, OUTPUT | DENSE),
    "t5": ("last", jnp.tanh, OUTPUT | DENSE),
    "modernbert": ("first", jax.nn.gelu, OUTPUT | {"dense/kernel", "norm/scale"}),
}


def network(family: str, heads: str, *more: str):
    """The network of a family with these heads; nothing is computed."""
    words = [f"+model={family}", "+size=tiny", f"model/task_head={heads}", *more]
    made = build(composed(None, words).model.network)
    return nnx.eval_shape(lambda: made(vocab=11, rngs=nnx.Rngs(0)))


@pytest.mark.parametrize("family", SHAPES)
@pytest.mark.sample(3)
def test_a_family_gives_each_head_its_own_shape(family):
    made = network(family, "[classification,token_classification]")
    head, tokens = made.task_heads.classification, made.task_heads.token_classification
    pooling, act, parameters = SHAPES[family]
    assert head.pooling == pooling and tokens.pooling is None
    assert set(named(nnx.to_pure_dict(nnx.state(head)))) == parameters
    x = jnp.linspace(-2, 2, 5)
    if act is not None:
        exact = {"approximate": False} if act is jax.nn.gelu else {}
        np.testing.assert_array_equal(head.act(x), act(x, **exact))
    assert (tokens.dense is None) == (family != "modernbert")


def test_one_key_changes_the_shape_of_every_sequence_head():
    heads = network(
        "bert",
        "[classification,multiple_choice]",
        "model.sequence_head.pooling=mean",
        "model.sequence_head.act=null",
        "model.task_head.classification.classes=7",
    ).task_heads
    assert heads.classification.output.kernel.shape[-1] == 7
    assert heads.multiple_choice.output.kernel.shape[-1] == 1
    assert all(head.pooling == "mean" and head.dense is None for head in heads.values())


@pytest.mark.parametrize("pooling,expected", [("first", 0.0), ("last", 2.0), ("mean", 1.0)])
def test_pooling_ignores_padding(pooling, expected):
    head = ClassificationHead(4, classes=None, pooling=pooling, rngs=nnx.Rngs(0))
    x = jnp.broadcast_to(jnp.arange(5.0)[None, :, None], (2, 5, 4))
    segments = jnp.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    found = head(x, segments)
    assert found.shape == (2, 4) and np.allclose(found[0], expected)


def test_dropout_is_that_of_the_model_and_none_in_spans_and_next_sentence():
    heads = network(
        "roberta", "[classification,span,next_sentence]", "model.dropout=0.3"
    ).task_heads
    assert heads.classification.dropout == heads.classification.dense_dropout == 0.3
    assert heads.span.dropout == heads.next_sentence.dropout == 0.0
    assert network("bert", "classification").task_heads.classification.dense_dropout == 0.0
    assert network("llama", "classification").task_heads.classification.dropout == 0.0


def test_outputs_of_all_heads_by_name():
    words = ["+model=bert", "+size=tiny", "model/task_head=[classification,span,pooler]"]
    words += ["model.dim=8", "model.heads=2", "model.layers=1", "model.ffn.hidden=8"]
    model = build(composed(None, words).model.network)(vocab=11, rngs=nnx.Rngs(0))
    tokens = jnp.arange(6).reshape(2, 3)
    made = model.task_outputs(Batch(tokens, jnp.ones_like(tokens)))
    assert {name: x.shape for name, x in made.items()} == {
        "classification": (2, 2),
        "span": (2, 3, 2),
        "pooler": (2, 8),
    }
