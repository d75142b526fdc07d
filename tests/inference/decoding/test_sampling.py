"""Sampling: truncations of a distribution, frequencies, and independence of the batch."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.decoding.generate import generate
from fxformer.inference.decoding.loop import compiled_programs
from fxformer.inference.decoding.sampling import MinP, TopK, TopP, TypicalP
from tests.inference.decoding.markov import MarkovChain, chain

DRAWS = 4096


def kept(truncation, probabilities, dtype=jnp.float32) -> np.ndarray:
    """Which tokens a truncation keeps."""
    logits = jnp.log(jnp.asarray([probabilities], jnp.float32)).astype(dtype)
    return np.isfinite(np.asarray(truncation(logits).astype(jnp.float32)))[0]


def test_top_p_keeps_the_fewest_tokens_that_reach_p():
    probabilities = [0.3, 0.1, 0.1, 0.5]
    assert kept(TopP(0.8), probabilities).tolist() == [True, False, False, True]
    assert kept(TopP(0.81), probabilities).sum() == 3
    assert kept(TopP(0.0), probabilities).tolist() == [False, False, False, True]


@pytest.mark.parametrize("truncation", [TopP(0.0), TypicalP(0.0), MinP(1.0), TopK(1)])
def test_one_token_is_always_kept(truncation):
    assert kept(truncation, [0.2, 0.5, 0.3]).sum() == 1


def test_bfloat16_logits_of_a_large_vocabulary_keep_their_mass():
    """A cumulative sum in bfloat16 would stall near 0.002: each term is below its resolution."""
    uniform = np.full(1 << 15, 2.0**-15)
    for p in (0.001, 0.5, 0.9):
        assert abs(kept(TopP(p), uniform, jnp.bfloat16).mean() - p) < 1e-3


def test_typical_p_prefers_tokens_of_average_information():
    """Entropy 1.03 nats; information 0.51, 1.20, 2.30: the second token is the most typical."""
    assert kept(TypicalP(0.2), [0.6, 0.3, 0.1]).tolist() == [False, True, False]
    assert kept(TypicalP(0.5), [0.6, 0.3, 0.1]).tolist() == [True, True, False]


def truncated(log_p: np.ndarray, settings: GenerationConfig) -> np.ndarray:
    """The exact distribution to draw from, sorted out token by token."""
    p = np.exp(log_p / settings.temperature)
    p /= p.sum()
    keep = np.ones(len(p), bool)
    order = np.argsort(-p)
    if settings.top_k:
        keep[order[settings.top_k :]] = False
        p = np.where(keep, p, 0) / p[keep].sum()
    if settings.top_p < 1:
        total = 0.0
        for i in order:
            keep[i] &= total < settings.top_p
            total += p[i]
        p = np.where(keep, p, 0) / p[keep].sum()
    if settings.min_p:
        keep &= p >= settings.min_p * p.max()
    return np.where(keep, p, 0) / p[keep].sum()


@pytest.mark.parametrize(
    "given",
    [
        {"temperature": 1.7, "top_k": 6, "top_p": 0.9},
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param({"temperature": 0.5}, marks=pytest.mark.slow),
        pytest.param({"top_k": 3}, marks=pytest.mark.slow),
        pytest.param({"top_p": 0.8}, marks=pytest.mark.slow),
        pytest.param({"min_p": 0.1, "temperature": 1.3}, marks=pytest.mark.slow),
    ],
)
def test_frequencies_are_those_of_the_truncated_distribution(given):
    model, log_p = chain(8)
    settings = GenerationConfig(
        max_new_tokens=2, do_sample=True, num_return_sequences=DRAWS, **given
    )
    first, second = generate(model, settings, prompt=np.array([[3]])).sequences.T
    for start, drawn in ((3, first), *((s, second[first == s]) for s in np.unique(first))):
        exact, counts = truncated(log_p[start], settings), np.bincount(drawn, minlength=8)
        assert not counts[exact == 0].any()
        there = exact > 0
        if there.sum() > 1 and len(drawn) > 50:
            assert stats.chisquare(counts[there], exact[there] * len(drawn)).pvalue > 1e-4


def test_a_row_draws_the_same_alone_and_in_any_batch():
    model, _ = chain(8, seed=1)
    settings = GenerationConfig(max_new_tokens=8, do_sample=True, seed=3, num_return_sequences=2)
    prompt = np.array([[1], [2], [2]])
    whole = generate(model, settings, prompt=prompt).sequences
    alone = generate(model, settings, prompt=prompt[2:], row_numbers=[2]).sequences
    assert (whole[4:] == alone).all()
    assert (whole[2:4] != whole[4:]).any()  # the same prompt, another row
    assert (whole[4] != whole[5]).any()
    other = generate(model, settings.replace(seed=4), prompt=prompt).sequences
    assert (other != whole).any()


def test_excluded_tokens_are_never_drawn():
    model = MarkovChain(np.zeros((4, 4)))
    settings = GenerationConfig(
        max_new_tokens=64, do_sample=True, suppress_tokens=[1, 3], eos_token_id=1
    )
    found = generate(model, settings, prompt=np.array([[0]]))
    assert set(found.rows()[0].tolist()) == {0, 2} and found.lengths.tolist() == [64]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "min_p": 0.01, "typical_p": 0.9},
            {"do_sample": True, "temperature": 1.4, "top_p": 0.6, "min_p": 0.1, "typical_p": 0.5},
        ),
        (
            {"num_beams": 2, "length_penalty": 1.0, "repetition_penalty": 1.2},
            {"num_beams": 2, "length_penalty": -0.5, "repetition_penalty": 1.7},
        ),
    ],
)
def test_other_numbers_need_no_other_program(first, second):
    model, _ = chain(8, seed=2)
    prompt, known = np.array([[1]]), {"max_new_tokens": 6, "eos_token_id": 0}
    generate(model, GenerationConfig(**known, **first), prompt=prompt)
    before = compiled_programs()
    generate(model, GenerationConfig(**known, **second), prompt=prompt)
    assert compiled_programs() == before
