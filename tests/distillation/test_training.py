"""A student in training: its loss, its teacher, and how the batch is cut."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fxformer.errors import UserError
from fxformer.rules import named
from tests.distillation.pairs import NO_DROPOUT, logits, one_step, pair, warm_started

SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "family", ["bert", *(pytest.param(f, marks=SLOW) for f in ("gpt2", "bart"))]
)
def test_a_teacher_against_itself_gives_its_entropy(family):
    setup = pair(family, *NO_DROPOUT, "distillation.terms.hidden.layers=uniform")
    state = warm_started(setup)
    _, told = one_step(setup, state)
    z, weights = logits(setup, state)
    logs = jax.nn.log_softmax(z / 2)
    entropy = jnp.sum(weights * -jnp.sum(jnp.exp(logs) * logs, -1)) / weights.sum()
    assert told["soft_loss"] == pytest.approx(4 * float(entropy), rel=1e-5)
    assert told["soft_divergence"] == pytest.approx(0, abs=1e-6)
    assert told["hidden_loss"] == pytest.approx(0, abs=1e-5)
    assert told["loss"] == pytest.approx(2 * told["hard_loss"] + 5 * told["soft_loss"], abs=1e-4)


def test_the_teacher_has_no_dropout_and_does_not_learn():
    """Its dropout would make soft targets differ from step to step. A student without dropout has
    no divergence: see its entropy."""
    setup = pair("bert", "model.dropout=0.5", "distillation.hard=0")
    teacher = {path: np.array(leaf) for path, leaf in named(setup.teacher.params).items()}
    state = warm_started(setup)
    new, told = one_step(setup, state)
    assert told["soft_divergence"] > 1e-4  # the student drops out
    control = ("distillation.hard=0", "distillation.shuffled=true")
    shuffled = one_step(pair("bert", *NO_DROPOUT, *control))[1]
    assert shuffled["soft_divergence"] > 1e-3 and shuffled["hidden_loss"] > 1e-3
    for path, leaf in named(setup.teacher.params).items():
        np.testing.assert_array_equal(leaf, teacher[path])
    moved = [p for p, leaf in named(new.params).items() if np.any(leaf != named(state.params)[p])]
    assert moved and not any("teacher" in path for path in named(new.params))


@pytest.mark.sample(2)
@pytest.mark.parametrize("family", ["bert", "bart"])
def test_a_cut_batch_gives_the_same_step(family):
    """All terms are means over the whole batch, however many targets a part of it has."""
    words = (
        "model.dim=12",
        "model.heads=2",
        "model.ffn.hidden=16",
        "model.dropout=0",
        "distillation.terms.hidden.weight=3",
    )
    models = {"bert": "model=bert", "bart": "model=bart"}
    whole, told = one_step(pair(family, *words, student=models[family]))
    cut, again = one_step(pair(family, *words, "trainer.accumulate=4", student=models[family]))
    assert told == pytest.approx(again, rel=2e-5, abs=1e-6)
    own, other = named(whole.params), named(cut.params)
    assert {p for p in own if p.startswith("distillation/hidden/")}  # the widths differ
    for path, leaf in own.items():
        np.testing.assert_allclose(leaf, other[path], atol=3e-6, err_msg=path)


def test_padding_does_not_weigh_in_the_hidden_states():
    """The mean is over tokens, not over positions: of a batch that is half padding it is the same
    as of its tokens alone."""
    setup = pair("bert", "model.dim=12", "model.heads=2", *NO_DROPOUT, student="model=bert")
    state, batch = warm_started(setup), setup.put(setup.example_batch)
    loss = setup.teacher.loss

    @jax.jit
    def hidden_loss(batch):
        student = nnx.merge(setup.graphdef, setup.adapter.merged(state.params))
        teacher = setup.teacher.bound(setup.teacher.params)
        own = state.params["distillation"]
        sums = loss(student, teacher, batch, key=None, projections=own, ratios=None)
        return sums["hidden_loss"]

    def wider(array):
        return jnp.pad(jnp.asarray(array), [(0, 0), (0, 2)])

    more = batch.replace(tokens=wider(batch.tokens), segments=wider(batch.segments))
    (a, n), (b, m) = hidden_loss(batch), hidden_loss(more)
    assert float(n) == float(m) and float(a) == pytest.approx(float(b), rel=1e-5)


def test_what_cannot_be_compared_is_refused():
    cases = [
        (
            ("distillation.terms.soft.weight=0", "distillation.terms.hidden.weight=0"),
            "every weight",
        ),
        (("distillation.terms.hidden.layers=[[9,1]]",), "no layer 9"),
    ]
    for words, message in cases:
        with pytest.raises(UserError, match=message):
            pair("bert", *words)
    with pytest.raises(UserError, match="cannot teach this objective: .*needs a decoder"):
        pair("bert", student="model=gpt2", objective=("objective=clm",))
    with pytest.raises(UserError, match="in its own way"):
        pair("bert", student="model=electra", objective=("objective=electra",))
    with pytest.raises(UserError, match="heads"):
        pair("bert", "model.dim=6", "model.heads=1", student="model=bert", how="layers")
