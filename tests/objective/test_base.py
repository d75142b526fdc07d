"""What all objectives share: legality, special tokens, ids in range, and being a jit key."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx

from fxformer.objective.causal import CausalLM
from fxformer.objective.denoise import DenoisingLM
from fxformer.objective.masked import MaskedLM
from fxformer.objective.noise.infill import TextInfilling
from fxformer.objective.supervised_seq2seq import Seq2SeqLM, TokenLabel

ALL = [
    (MaskedLM, "encoder", {}),
    (TokenLabel, "encoder", {}),
    (CausalLM, "decoder", {}),
    (DenoisingLM, "seq2seq", {"noises": [TextInfilling()]}),
    (Seq2SeqLM, "seq2seq", {}),
]


@pytest.mark.parametrize("objective, architecture, knobs", ALL)
def test_an_illegal_pair_names_the_way_out(objective, architecture, knobs, toy, vocabulary):
    for other in {"encoder", "decoder", "seq2seq"} - {architecture}:
        with pytest.raises(ValueError, match=r"write objective=\w+, or model=\w+") as caught:
            objective(toy(other), vocabulary=vocabulary, rngs=nnx.Rngs(0), **knobs)
        assert objective.__name__ in str(caught.value)
        assert {"encoder": "mlm", "decoder": "clm", "seq2seq": "denoise"}[other] in str(
            caught.value
        )


@pytest.mark.parametrize(
    "objective, knobs, name",
    [
        (MaskedLM, {}, "mask"),
        (DenoisingLM, {"noises": [TextInfilling()]}, "mask"),
        (DenoisingLM, {"noises": []}, "eos"),
        (Seq2SeqLM, {"start": "bos"}, "bos"),
    ],
)
def test_a_missing_special_token_is_named(objective, knobs, name, build, vocabulary):
    words = dataclasses.replace(vocabulary, **{name: None})
    with pytest.raises(ValueError, match=f"needs a {name} token.*add it"):
        build(objective, words=words, **knobs)


@pytest.mark.parametrize("wrong", [-1, 200])
def test_an_id_out_of_range_is_refused_with_its_place(wrong, build, pack):
    rows = pack([[(5, 9)], [(6, 9)]], 12)
    rows.tokens[1, 4] = wrong
    for objective, _, knobs in ALL:
        with pytest.raises(ValueError, match=rf"token {wrong} \(example 6, row 1, column 4 of"):
            build(objective, **knobs).corrupt(rows)


@pytest.mark.parametrize("objective, architecture, knobs", ALL)
def test_an_objective_is_a_jit_key(objective, architecture, knobs, build, pack):
    """Abstract and real builds have equal, hashable structures; merged inside jit, they score."""
    shape = nnx.split(nnx.eval_shape(lambda: build(objective, **knobs)))[0]
    made = build(objective, seed=3, **knobs)
    structure, state = nnx.split(made)
    assert structure == shape and hash(structure) == hash(shape)
    rows = pack([[(0, 20), (1, 9)]], 32)
    batch = made.corrupt(paired(rows) if objective.reads_pairs else rows)
    params = nnx.to_pure_dict(state)
    score = jax.jit(lambda p, b: nnx.merge(shape, p)(b))
    sums = score(params, batch)
    assert set(sums) == {"loss", "nll", "accuracy"}
    assert all(np.isfinite(total) and weight > 0 for total, weight in sums.values())
    grads = jax.jit(jax.grad(lambda p, b: nnx.merge(shape, p)(b)["loss"][0]))(params, batch)
    assert max(float(np.abs(g).max()) for g in jax.tree.leaves(grads)) > 0


def test_other_knobs_and_other_words_are_another_key(build, vocabulary):
    def key(**knobs):
        return nnx.split(build(DenoisingLM, **knobs))[0]

    plain = key(noises=[TextInfilling()])
    assert plain == key(noises=[TextInfilling()])
    assert plain != key(noises=[TextInfilling(rate=0.2)])
    words = dataclasses.replace(vocabulary, ends_sentence=~vocabulary.ends_sentence)
    assert plain != key(noises=[TextInfilling()], words=words)


def test_the_loss_is_that_of_the_dense_logits(build, pack):
    """Gathering the picked positions and scoring in chunks changes nothing."""
    objective = build(MaskedLM)
    batch = objective.corrupt(pack([[(0, 40)], [(1, 25), (2, 30)]], 64))
    logits = objective.model.logits(objective.model(batch))
    rows = np.arange(2)[:, None]
    nll = -jax.nn.log_softmax(logits)[rows, batch.picked, batch.targets]
    total, weight = objective(batch)["loss"]
    np.testing.assert_allclose(total, (nll * batch.weights).sum(), rtol=1e-5)
    assert weight == batch.weights.sum() > 0


def paired(rows):
    """The rows with themselves as the source."""
    return dataclasses.replace(rows, source=rows.tokens, source_segments=rows.segments)
