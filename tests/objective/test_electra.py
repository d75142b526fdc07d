"""ELECTRA: its checks, what each side learns from, and what must not change its numbers."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from fxformer.evaluate.audit.checks.all import objective_checks
from fxformer.flops.training import training_flops
from fxformer.model.generator import as_language_model
from fxformer.nn.head import ReplacedTokenHead
from fxformer.objective.detection import detection
from fxformer.objective.electra import ReplacedTokenDetection, put
from fxformer.objective.electra_selected import SelectedTokenDetection
from fxformer.objective.infilling import InfillExample
from fxformer.rules import named
from fxformer.train.precision import Precision
from fxformer.train.state import bind, make_state
from fxformer.train.step import make_step
from tests.models import SMALL, close, network, normal_like

HEAD = partial(ReplacedTokenHead, act=jax.nn.gelu)


@pytest.fixture(scope="module")
def make(vocabulary):
    """make(overrides, knobs) -> the objective on a tiny encoder, its weights well above noise."""

    def built(*overrides, model="electra", seed=0, kind=ReplacedTokenDetection, **knobs):
        body = network(model, *SMALL, "model.layers=1", "model.dropout=0.0", *overrides)
        knobs = {"head": HEAD, "generator_size": 0.5, **knobs}
        made = kind(body, vocabulary=vocabulary, rngs=nnx.Rngs(seed), **knobs)
        shape, state = nnx.split(made)
        leaves, tree = jax.tree.flatten(nnx.to_pure_dict(state))
        noise = normal_like(leaves, 0.2, seed)
        wide = [x + more for x, more in zip(leaves, noise, strict=True)]
        return bind(shape, jax.tree.unflatten(tree, wide))

    return built


@pytest.fixture(scope="module")
def electra(make):
    return make()


@pytest.fixture(scope="module")
def batch(electra, pack):
    return electra.corrupt(pack([[(0, 20), (1, 12)], [(2, 31)], [(3, 9)], []], 32))


def ask(objective, question):
    """question(objective, …) under jit."""
    shape, state = nnx.split(objective)
    asked = jax.jit(lambda state, *given: question(nnx.merge(shape, state), *given))
    return partial(asked, state)


def drawn(objective, batch):
    return objective.drawn(batch, *objective.proposals(batch, None))


def gradients(objective, batch, name):
    """{path: gradient} of the sum of one of the numbers."""
    shape, state = nnx.split(objective)

    def total(params):
        return bind(shape, params)(batch)[name][0]

    return named(jax.jit(jax.grad(total))(nnx.to_pure_dict(state)))


def kept(batch):
    """Some of the selected stay as they were."""
    some = np.where(batch.targets % 5 == 0, batch.targets, 4)
    return batch.replace(tokens=np.asarray(put(batch, some, batch.tokens)))


def unbalanced(batch):
    return batch.replace(balance=batch.balance * 2)


def test_the_checks_hold(electra, corpus, broken):
    pairs = [(rows, electra.corrupt(rows)) for rows in corpus]
    assert broken(objective_checks(electra), pairs) == set()


@pytest.mark.parametrize(
    "corrupt_with, check",
    [
        (lambda b: b.replace(noise=b.noise // 2), "bits that tokens are drawn with, uniform"),
        (lambda b: b.replace(noise=np.sort(b.noise, 1)), "next bits above these, by chance"),
        (unbalanced, "tokens for each target, unlike in the batch"),
        (kept, "masked, random and kept shares of the selected"),
    ],
    ids=["bits", "order", "balance", "kept"],
)
@pytest.mark.sample(2)
def test_a_broken_rule_breaks_its_check(corrupt_with, check, electra, corpus, broken):
    pairs = [(rows, corrupt_with(electra.corrupt(rows))) for rows in corpus[:4]]
    assert check in broken(objective_checks(electra), pairs)


def test_the_numbers_say_what_they_are(electra, batch):
    sums = {n: (float(s), float(w)) for n, (s, w) in ask(electra, lambda o, b: o(b))(batch).items()}
    tokens, targets = (batch.segments > 0).sum(), batch.weights.sum()
    assert sums["loss"][1] == sums["replaced"][1] == sums["discriminator_loss"][1] == tokens
    assert sums["nll"][1] == sums["accuracy"][1] == targets
    nll, found = (sums[name][0] / sums[name][1] for name in ("nll", "discriminator_loss"))
    assert sums["loss"][0] / tokens == pytest.approx(nll + 50 * found, rel=1e-5)
    assert 0 < sums["replaced"][0] <= targets


def test_detection_at_the_selected_alone(electra, make, pack):
    rows = pack([[(0, 20), (1, 12)], [(2, 31)], [(3, 9)], []], 32)
    other = make(kind=SelectedTokenDetection)
    whole, batch = electra.corrupt(rows), other.corrupt(rows)
    given = drawn(electra, whole)
    sums = ask(other, lambda o, b: o(b))(batch)
    logits = ask(electra, lambda o, b: o.detect(b, given))(whole)
    at = np.take_along_axis(np.asarray(logits), np.asarray(batch.picked), 1)
    wrong = np.asarray(given != whole.targets)
    loss = (np.logaddexp(0, at) - wrong * at)[batch.weights > 0]
    assert float(sums["discriminator_loss"][1]) == float(sums["loss"][1]) == loss.size
    assert float(sums["discriminator_loss"][0]) == pytest.approx(loss.sum(), rel=1e-4)
    nll = float(sums["nll"][0]) / loss.size
    assert float(sums["loss"][0]) / loss.size == pytest.approx(nll + 50 * loss.mean(), rel=1e-4)


def test_a_drawn_token_that_was_there_before_is_original(electra, batch):
    rows = jnp.arange(4)[:, None]
    right = electra.detect(batch, batch.targets)
    text = put(batch, batch.targets, batch.tokens)
    assert (text[rows, batch.picked] == batch.targets)[batch.weights > 0].all()
    plain = electra.model.head(electra.model(batch.replace(tokens=text)))
    close(right, plain, 0)
    none = detection(right, jnp.zeros(right.shape, bool), batch.segments > 0)
    assert none["replaced"][0] == none["recall"][1] == 0


def test_how_detection_is_counted():
    logits = jnp.array([[2.0, -1.0, 3.0, -4.0, 0.5, 9.0]])
    replaced = jnp.array([[True, True, False, False, True, True]])
    found = detection(logits, replaced, jnp.array([[True] * 5 + [False]]))
    p = 1 / (1 + np.exp(-np.array([2.0, -1, 3, -4, 0.5])))
    loss = -np.log([p[0], p[1], 1 - p[2], 1 - p[3], p[4]]).sum()
    wanted = {
        "discriminator_loss": (loss, 5), "discriminator_accuracy": (3, 5), "replaced": (3, 5),
        "precision": (2, 3), "recall": (2, 3),
    }  # fmt: skip
    for name, pair in wanted.items():
        assert tuple(map(float, found[name])) == pytest.approx(pair, rel=1e-5), name


def test_the_discriminator_does_not_see_what_was_there(electra, batch):
    ids = drawn(electra, batch)
    other = batch.replace(
        targets=(batch.targets + 7) % 150, noise=batch.noise + 1, balance=batch.balance * 2
    )
    close(electra.detect(batch, ids), electra.detect(other, ids), 0)


def test_each_side_learns_from_its_own_loss_and_both_from_the_tables(electra, batch):
    shared = ("model/token_embedding/", "model/transformer/input/", "model/transformer/position/")
    for name, own in (("discriminator_loss", "model/"), ("loss", "")):
        for path, gradient in gradients(electra, batch, name).items():
            loud = float(jnp.abs(gradient).max()) > 0
            assert loud == path.startswith(own) or path.endswith("k/bias"), (name, path)
    alone = dataclasses.replace(batch, balance=np.ones(4, np.float32))
    electra.discriminator_weight, kept = 0.0, electra.discriminator_weight
    try:
        for path, gradient in gradients(electra, alone, "loss").items():
            loud = float(jnp.abs(gradient).max()) > 0
            assert loud == path.startswith(("generator/", *shared)) or path.endswith("k/bias"), path
    finally:
        electra.discriminator_weight = kept


def test_packed_padded_and_shuffled_rows_give_the_same_sums(electra, pack):
    plans = (
        ([[(0, 20), (1, 12)], [(2, 31)]], 32),
        ([[(2, 31)], [(1, 12)], [(0, 20)]], 40),
        ([[(1, 12), (2, 31), (0, 20)]], 64),
    )
    sums = [ask(electra, lambda o, b: o(b))(electra.corrupt(pack(*plan))) for plan in plans]
    for other in sums[1:]:
        for name, (total, weight) in sums[0].items():
            assert float(weight) == float(other[name][1]), name
            assert float(total) == pytest.approx(float(other[name][0]), rel=1e-5), name


def test_gradients_do_not_cross_pieces(electra, pack):
    """d(both sides' vectors of piece 2) / d(words of piece 1) is exactly 0."""
    rows = pack([[(0, 8), (1, 8)]], 16)
    tokens = np.arange(5, 21, dtype=np.int32)[None]  # no id in both pieces
    batch = electra.corrupt(dataclasses.replace(rows, tokens=tokens)).replace(tokens=tokens)

    def second(objective):
        body = objective.model.transformer
        vectors = body.input_embeddings(
            objective.model.token_embedding(batch.tokens), batch.segments
        )
        hidden = objective.generator(vectors, batch.segments)[:, 8:]
        return jnp.square(hidden).sum() + objective.detect(batch, batch.targets)[:, 8:].sum()

    shape, state = nnx.split(electra)
    gradient = jax.grad(lambda state: second(nnx.merge(shape, state)))(state)
    table = nnx.to_pure_dict(gradient)["model"]["token_embedding"]["embedding"]
    assert jnp.abs(table[5:13]).max() == 0 and jnp.abs(table[13:21]).max(1).min() > 0


def test_draws_are_functions_of_example_and_position(electra, pack):
    def bits(rows):
        batch = electra.corrupt(rows)
        row, slot = np.nonzero(batch.weights)
        at = rows.examples[row, batch.picked[row, slot]]
        return {int(e): batch.noise[row, slot][at == e].tolist() for e in set(at)}

    plan = [[(0, 40), (1, 12)], [(2, 31)]]
    first = bits(pack(plan, 64))
    assert first == bits(pack([[(2, 31), (1, 12), (0, 40)]], 96))
    assert first != bits(pack(plan, 64, epoch=1)) and first != bits(pack(plan, 64, seed=1))


def test_evaluation_draws_the_same_tokens_as_training(electra, batch):
    run = ask(electra, lambda o, b, key: o(b, key=key))
    one, two, keyed = run(batch, None), run(batch, None), run(batch, jax.random.key(3))
    for name in one:
        assert tuple(map(float, one[name])) == tuple(map(float, two[name]))
        assert float(one[name][0]) == pytest.approx(float(keyed[name][0]), rel=1e-5)


@pytest.mark.slow
def test_a_cut_batch_gives_the_same_step(electra, pack):
    """Rows of very different lengths: a mean of the cuts' means would be another number."""
    batch = electra.corrupt(pack([[(0, 32)], [(1, 5)], [(2, 20), (3, 9)], [(4, 3)]], 32))
    shape, state = nnx.split(electra)
    params, tx = nnx.to_pure_dict(state), optax.sgd(0.1)
    start = make_state(lambda key: bind(shape, params), tx)(jax.random.key(0))
    ends = []
    for parts in (1, 4):
        step = make_step(shape, tx, precision=Precision(), accumulate=parts)
        ends.append(jax.jit(step)(start, batch))
    for state, sums in ends[1:]:
        jax.tree.map(lambda a, b: close(a, b, 2e-5), state.params, ends[0][0].params)
        for name in ("loss", "nll", "discriminator_loss", "replaced"):
            assert float(sums[name][0]) == pytest.approx(float(ends[0][1][name][0]), rel=1e-5)


def test_its_answer_marks_what_it_takes_for_replaced(electra, batch, vocabulary):
    read, written, text = ask(electra, lambda o, b: o.answer(b))(batch)
    ids = drawn(electra, batch)
    called = (electra.detect(batch, ids) > 0) & (batch.segments > 0)
    assert (written == np.where(called, vocabulary.mask, read)).all()
    assert (read == put(batch, ids, batch.tokens)).all()
    assert (text == put(batch, batch.targets, batch.tokens)).all() and (read != text).any()


def test_models_that_cannot_do_it_are_refused(make, build, vocabulary):
    with pytest.raises(ValueError, match="needs an encoder.*objective=clm"):
        make(model="gpt2")
    with pytest.raises(ValueError, match=r"generator_size=0\.25 \(6 wide, heads: 1\)"):
        make(generator_size=0.3)


def test_the_arithmetic_of_both_sides_is_counted(electra, batch):
    (small, masked, answer), (model, whole, head) = electra.passes(batch)
    tokens, targets = int((batch.segments > 0).sum()), int(batch.weights.sum())
    assert small is electra.generator and model is electra.model
    assert (answer, head) == (200 * 24 + 12 * 24, 24 * 25)  # a generator 12 wide, words of 24
    pairs = 20**2 + 12**2 + 31**2 + 9**2
    for (part, given, weights), dim, hidden, scored, entry in (
        ((small, masked, answer), 12, 16, targets, 24 * 12),
        ((model, whole, head), 24, 32, tokens, 0),
    ):
        layer = 2 * tokens * entry + 2 * tokens * (4 * dim**2 + 2 * dim * hidden) + 4 * dim * pairs
        assert training_flops(part, given, weights) == 3 * (layer + 2 * scored * weights)


def test_the_generator_is_a_language_model_with_the_shared_embeddings(make, batch):
    for overrides in ((), ("model.input.width=8",), ("model/position=buckets",)):
        electra = make(*overrides)
        features, kernel, bias = electra.proposals(batch)
        model = as_language_model(electra.generator, electra.model)
        hidden = jnp.take_along_axis(model(batch), batch.picked[..., None], axis=1)
        logits = features @ kernel.T + (0 if bias is None else bias)
        close(model.logits(hidden).reshape(logits.shape), logits)


def test_words_have_no_probability_here(electra):
    assert (
        electra.scoring_requests(InfillExample(np.array([2]), np.array([8]), np.array([3]))) is None
    )
