"""Top-k probabilities of a teacher on disk: the loss without a cache, in any order of rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxformer.errors import UserError
from fxformer.objective.coverage import Coverage
from fxformer.ops.distillation import (
    Projection,
    log_top_k,
    projected_differences,
    top_k_differences,
)
from fxformer.train import teacher_cache
from tests.distillation.pairs import one_step, pair, warm_started

STUDENT = ("model.dim=16", "model.layers=1", "model.heads=2", "model.ffn.hidden=16")


def drawn(seed: int, rows: int = 7, width: int = 4, vocab: int = 11) -> Projection:
    rng = np.random.default_rng(seed)
    shapes = ((rows, width), (vocab, width), (vocab,))
    return Projection(*(jnp.asarray(rng.normal(0, 1, shape), jnp.float32) for shape in shapes))


@pytest.mark.parametrize("k", [1, 4, 11])
def test_the_mass_outside_the_k_is_one_class(k):
    """Against the sums written out; with k = vocabulary they are those without a cache."""
    student, teacher, T = drawn(0), drawn(1), 2.0
    weights = jnp.array([1, 1, 0, 1, 1, 1, 1], jnp.float32)
    ids, log_p, rest, entropy, coarse = log_top_k(teacher, k, T, chunk=3)
    known = {"temperature": T, "chunk": 3}
    found = top_k_differences(student, ids, log_p, rest, weights, **known)
    p, q = (
        jax.nn.softmax((one.features @ one.kernel.T + one.bias) / T) for one in (teacher, student)
    )
    wanted = wanted_entropy = 0.0
    for row in range(7):
        best = np.argsort(-p[row])[:k]
        own, other = np.asarray(p[row])[best], np.asarray(q[row])[best]
        lost, left = max(1 - own.sum(), 0), max(1 - other.sum(), 1e-30)
        if k == 11:
            lost, left = 0.0, 1.0
        assert np.exp(rest[row]) == pytest.approx(lost, abs=1e-6)
        wanted -= float(weights[row]) * ((own * np.log(other)).sum() + lost * np.log(left))
        inside = -(own * np.log(own)).sum() - (lost * np.log(lost) if lost > 0 else 0)
        assert float(coarse[row]) == pytest.approx(inside, abs=1e-5)
        wanted_entropy -= float((p[row] * np.log(p[row])).sum())
    assert float(found.cross_entropy) == pytest.approx(wanted, rel=1e-5)
    assert float(entropy.sum()) == pytest.approx(wanted_entropy, rel=1e-5)
    whole = projected_differences(student, teacher, weights, **known)
    assert float(found.divergence) <= float(whole.divergence) + 1e-5
    if k == 11:
        for name in ("cross_entropy", "divergence"):
            np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=1e-5)
        own = [
            jax.grad(lambda x, f=f: f(student._replace(features=x)).cross_entropy)(student.features)
            for f in (
                lambda s: top_k_differences(s, ids, log_p, rest, weights, **known),
                lambda s: projected_differences(s, teacher, weights, **known),
            )
        ]
        np.testing.assert_allclose(*own, atol=1e-6)


def cached(tmp_path, *words: str, k: int, family: str = "gpt2"):
    return pair(
        family,
        *STUDENT,
        f"distillation.top_k={k}",
        f"runs={tmp_path}",
        *words,
        student=f"model={family}",
        how="soft",
    )


def filled(setup):
    """The facts of the cache, and the set-up with its first batch from it."""
    facts = teacher_cache.fill(setup)
    batch = Coverage(setup.objective)(setup.data.train(8, setup.cfg.seed)[0])
    object.__setattr__(setup, "example_batch", batch)
    return facts


@pytest.mark.slow
def test_a_cache_of_the_whole_vocabulary_gives_the_step_without_one(tmp_path):
    plain = pair("gpt2", *STUDENT, student="model=gpt2", how="soft")
    size = plain.objective.vocabulary.size
    with_cache = cached(tmp_path, k=size)
    facts = filled(with_cache)
    assert facts["outside"] == 0 and facts["unresolved"] == pytest.approx(0, abs=1e-6)
    assert not facts["cached"] and teacher_cache.fill(with_cache)["cached"]
    one, sums = one_step(plain, warm_started(plain))
    other, own = one_step(with_cache, warm_started(with_cache))
    for name in ("loss", "hard_loss", "soft_loss", "soft_divergence"):
        assert own[name] == pytest.approx(sums[name], rel=2e-5, abs=1e-6), name
    for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.slow
def test_a_row_has_the_same_numbers_wherever_it_stands(tmp_path):
    setup = cached(tmp_path, k=3)
    facts = filled(setup)
    size = teacher_cache.bytes_of(setup.data.packed["train"], facts["vocabulary"])
    assert size < facts["bytes"] < size + 1000  # the headers of three files
    assert 0 < facts["outside"] < facts["outside_max"] < 1
    assert 0 < facts["unresolved"] < facts["entropy"]
    rows = setup.data.packed["train"]
    forward = rows.rows(np.arange(6), 0, 0).teacher
    backward = rows.rows(np.arange(6)[::-1], 0, 3).teacher  # another order and epoch
    for a, b in zip(jax.tree.leaves(forward), jax.tree.leaves(backward), strict=True):
        np.testing.assert_array_equal(a, b[::-1])


@pytest.mark.slow
def test_inputs_that_change_are_cached_for_each_epoch_or_refused(tmp_path):
    many = ("trainer.steps=200",)
    with pytest.raises(UserError, match=r"MaskedLM draws .* anew in each of \d epochs"):
        cached(tmp_path, *many, k=3, family="bert")
    setup = cached(tmp_path, *many, "distillation.per_epoch=true", k=3, family="bert")
    filled(setup)
    rows = setup.data.packed["train"]
    assert rows.epochs > 1 and len(rows.arrays["rest"]) == rows.epochs * len(rows)
    first, second = (rows.rows(np.arange(6), 0, epoch).teacher for epoch in (0, 1))
    assert not np.array_equal(first.ids, second.ids)


def test_what_is_not_cached_is_refused(tmp_path):
    with pytest.raises(UserError, match="only the probabilities of targets are cached"):
        cached(tmp_path, "distillation.shuffled=true", k=3)
    with pytest.raises(UserError, match=r"distillation.top_k=1000: there are \d+ tokens"):
        cached(tmp_path, k=1000)
