"""Beam search against the enumeration of all texts of Markov chains."""

import itertools

import numpy as np
import pytest

from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.decoding.generate import generate
from tests.inference.decoding.markov import MarkovChain, all_texts, chain

EOS, LONGEST, WIDE = 0, 4, 81  # 3^4 beams hold every text of four tokens out of three
QUICK = {(0.0, "power", True), (2.0, "power", False), (-1.0, "power", "never"), (0.6, "gnmt", True)}
RULES = itertools.product((-1.0, 0.0, 0.6, 1.0, 2.0), ("power", "gnmt"), (True, False, "never"))


def penalty(length: int, alpha: float, kind: str) -> float:
    return ((5 + length) / 6) ** alpha if kind == "gnmt" else length**alpha


@pytest.mark.parametrize(
    ("alpha", "kind", "stopping"),
    [pytest.param(*r, marks=() if r in QUICK else pytest.mark.slow) for r in RULES],
)
def test_beams_as_wide_as_the_tree_find_the_best_texts(alpha, kind, stopping):
    model, log_p = chain(3)
    settings = GenerationConfig(
        max_new_tokens=LONGEST,
        num_beams=WIDE,
        num_return_sequences=5,
        length_penalty=alpha,
        length_penalty_kind=kind,
        early_stopping=stopping,
        eos_token_id=EOS,
    )
    found = generate(model, settings, prompt=np.array([[1], [2]]))
    for row, start in enumerate((1, 2)):
        texts = all_texts(log_p, start, EOS, LONGEST)
        ranked = sorted(((p / penalty(len(t), alpha, kind), t) for p, t in texts), reverse=True)
        own = slice(5 * row, 5 * row + 5)
        assert [tuple(ids.tolist()) for ids in found.rows()[own]] == [t for _, t in ranked[:5]]
        np.testing.assert_allclose(found.scores[own], [s for s, _ in ranked[:5]], rtol=1e-5)


def test_more_beams_than_texts_return_empty_rows_without_a_score():
    model, log_p = chain(2)
    settings = GenerationConfig(max_new_tokens=1, num_beams=4, num_return_sequences=4)
    found = generate(model, settings, prompt=np.array([[1]]))
    assert found.lengths.tolist() == [1, 1, 0, 0]
    assert found.sequences[:2, 0].tolist() == np.argsort(-log_p[1]).tolist()
    assert np.isneginf(found.scores[2:]).all()


def test_the_length_of_a_prompt_does_not_count():
    """A chain knows its last token alone, so a longer prompt with the same end changes nothing."""
    model, _ = chain(5)
    settings = GenerationConfig(
        max_new_tokens=6, num_beams=3, length_penalty=1.7, eos_token_id=EOS, num_return_sequences=3
    )
    prompt = np.array([[0, 0, 0, 0, 3], [4, 1, 2, 4, 3]])
    mask = np.array([[0, 0, 0, 0, 1], [1, 1, 1, 1, 1]])
    found = generate(model, settings, prompt=prompt, prompt_mask=mask)
    assert (found.sequences[:3] == found.sequences[3:]).all()
    assert (found.scores[:3] == found.scores[3:]).all()


def test_early_stopping_ends_with_the_first_finished_texts():
    """From 1 the end is likely at once; the better text under a large α is the long one."""
    table = np.log(np.array([[1, 1, 1], [0.5, 0.001, 0.499], [0.001, 0.001, 0.998]]))
    model = MarkovChain(table)

    def best(stopping):
        settings = GenerationConfig(
            max_new_tokens=8, num_beams=2, length_penalty=2.0, eos_token_id=EOS
        ).replace(early_stopping=stopping)
        return generate(model, settings, prompt=np.array([[1]])).rows()[0].tolist()

    assert best(True) in ([0], [2, 0])
    assert best("never") == [2] * 8


def test_a_penalty_between_groups_gives_other_texts():
    model, log_p = chain(6, seed=2)
    settings = GenerationConfig(max_new_tokens=1, num_beams=3, num_return_sequences=3)
    plain = generate(model, settings, prompt=np.array([[1]]))
    grouped = settings.replace(num_beam_groups=3)
    same = generate(model, grouped, prompt=np.array([[1]]))
    apart = generate(model, grouped.replace(diversity_penalty=9.0), prompt=np.array([[1]]))
    best = np.argsort(-log_p[1])[:3].tolist()
    assert plain.sequences[:, 0].tolist() == best
    assert same.sequences[:, 0].tolist() == [best[0]] * 3  # three greedy searches
    assert apart.sequences[:, 0].tolist() == best
    np.testing.assert_allclose(apart.scores, plain.scores, rtol=1e-6)
