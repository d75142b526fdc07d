"""Training with a memory: resumed exactly, cut into micro-batches, evaluated, refused."""

import dataclasses

import jax
import numpy as np
import pytest
from tiny_training import same

from fxformer.config.compatibility_parts import rows_continue_for_a_memory
from fxformer.data.contiguous import Contiguous
from fxformer.data.mixture import CorpusMixture
from fxformer.errors import UserError
from fxformer.flops.training import training_flops
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.evaluation import evaluate_batches
from fxformer.train.setup import set_up
from fxformer.train.split_batches import SplitBatches
from tests.composing import composed

PACKING = "data/packing=contiguous"
WORDS = (
    "model=transfo_xl", "objective=clm", PACKING, "data.packing.memory=6", "data=markov",
    "tokenizer=none", "data.symbols=8", "data.examples=60", "data.example_length=21",
    "data.length=8", "data.batch=4", "model.dim=16", "model.heads=2", "model.layers=2",
    "model.ffn.hidden=32", "trainer.steps=12",
)  # fmt: skip


@pytest.fixture(scope="module")
def setup():
    return set_up(composed(WORDS))


def begun(setup):
    return jax.jit(setup.init_state)(jax.random.key(0))


def trained(setup, state, until):
    """The state after the batches up to `until`, and the losses on the way."""
    step, batches, losses = jax.jit(setup.step), setup.data.train(4, 0), []
    for n in range(int(state.step), until):
        state, sums = step(state, setup.put(setup.objective.corrupt(batches[n])))
        losses.append(float(sums["loss"][0]))
    return state, losses


def test_a_run_resumes_with_its_memory(setup, tmp_path):
    state, losses = trained(setup, begun(setup), 3)
    assert state.memory.hidden.shape == (4, 2, 6, 16) and (state.memory.filled == 6).all()
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(3, state, {})
    assert checkpoints.wait()
    found = Checkpoints(tmp_path).restore(setup.abstract_state).state
    assert same(found, state)
    straight, rest = trained(setup, state, 6)
    resumed, again = trained(setup, found, 6)
    assert rest == again and same(straight, resumed)
    forgetful = dataclasses.replace(found, memory=found.memory.cleared())
    assert trained(setup, forgetful, 4)[1][0] != rest[0] and len(losses) == 3


@pytest.mark.slow
def test_micro_batches_keep_the_memory_of_their_rows(setup):
    parts = set_up(composed((*WORDS, "trainer.accumulate=2")))
    (whole, losses), (cut, others) = (trained(one, begun(setup), 4) for one in (setup, parts))
    np.testing.assert_allclose(losses, others, rtol=1e-5)
    np.testing.assert_allclose(whole.memory.hidden, cut.memory.hidden, atol=2e-5)


def test_an_evaluation_begins_with_nothing_and_carries_its_memory(setup):
    state, evaluate = begun(setup), setup.evaluation()
    first = evaluate_batches(evaluate, state.params, SplitBatches(setup))
    assert evaluate_batches(evaluate, state.params, SplitBatches(setup)) == first
    without = evaluate_batches(jax.jit(setup.evaluate), state.params, SplitBatches(setup))
    assert without["loss"] != first["loss"]
    assert abs(without["loss"] - first["loss"]) < 0.3


def test_flops_count_the_memory(setup):
    """Keys of two layers, projected, and for each query two products and that with a distance."""
    rows = setup.data.train(4, 0)[1]
    batch, model = setup.objective.corrupt(rows), setup.objective.model
    seen = np.minimum(batch.positions[:, 0], 6)
    first = (batch.segments == batch.segments[:, :1]).sum(axis=1)
    more = training_flops(model, batch, memory=6) - training_flops(model, batch)
    assert seen.any() and more == 3 * 2 * (
        2 * seen.sum() * 2 * 16**2 + 6 * (seen * first).sum() * 16
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("model=gpt2 objective=clm", "MultiHeadAttention cannot attend to them; write model=trans"),
        ("model=transfo_xl objective=fim", "FillInTheMiddle does not use; write objective=clm"),
        (
            "model=transfo_xl objective=clm model.attention.memory_length=4",
            "write model.attention.memory_length=null",
        ),
        ("model=transfo_xl objective=clm distillation=soft", "write distillation=null"),
        ("model=transfo_xl objective=clm", None),
    ],
)
def test_what_cannot_carry_a_memory_is_refused_with_what_to_write(words, said):
    found = rows_continue_for_a_memory(composed((*words.split(), PACKING)))
    assert (found is None) if said is None else (said in found)


def test_a_mixture_and_too_little_text_are_refused_before_a_compile():
    mixture = CorpusMixture(
        tokenizer=None, packing=Contiguous(), length=8, batch=2, parts={"docs": None}
    )
    with pytest.raises(UserError, match="a mixture draws rows of several"):
        mixture.pack("train", 9)
    with pytest.raises(UserError, match="no batch of 4000: data.batch="):
        set_up(composed((*WORDS, "data.batch=4000")))


@pytest.mark.slow
def test_a_copy_from_the_row_before_is_learned_with_a_memory_alone(tmp_path):
    """Documents are seven random letters, twice: rows of six never hold a letter and its copy."""
    draw = np.random.default_rng(0)
    words = ["".join(draw.choice(list("abcdefgh"), 7)) for _ in range(3000)]
    (tmp_path / "copies.txt").write_text("\n".join(word * 2 for word in words))
    common = (
        "model=transfo_xl", "objective=clm", "data=text", f"data.files={tmp_path}/copies.txt",
        "data.document_is=line", f"data.cache_dir={tmp_path}", "tokenizer=char", "data.length=6",
        "data.batch=32", "model.dim=64", "model.heads=4", "model.layers=2", "model.dropout=0",
        "model/embedding=table", "model/head=tied", "model/residual=pre", "model/init=fan_in",
        "optimizer.lr=3e-3", "trainer.steps=400",
    )  # fmt: skip
    found = {}
    for packing in ("contiguous", "blocks"):
        memory = ("data.packing.memory=12",) if packing == "contiguous" else ()
        made = set_up(composed((*common, f"data/packing={packing}", *memory)))
        step, state = jax.jit(made.step), begun(made)
        batches = made.data.train(32, 0)
        for n in range(made.trainer.steps):
            state, _ = step(state, made.put(made.objective.corrupt(batches[n])))
        found[packing] = evaluate_batches(made.evaluation(), state.params, SplitBatches(made))
    print({name: one["loss"] for name, one in found.items()})
    letters = np.log(8)
    # Of 14 targets, eos among them, six are random letters, and all are where nothing is seen.
    assert found["contiguous"]["loss"] < 0.6 * letters
    assert found["blocks"]["loss"] > 0.8 * letters
