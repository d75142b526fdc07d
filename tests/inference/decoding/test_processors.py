"""Logits processors: each on texts of unequal length, and through a whole generation."""

import jax.numpy as jnp
import numpy as np
import pytest

from fxformer.errors import UserError
from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.decoding.generate import generate
from fxformer.inference.decoding.processors import BadWords, NoRepeatNgram, RepetitionPenalty
from fxformer.inference.decoding.state import TokenRows
from tests.inference.decoding.markov import MarkovChain, chain

V = 6


def text(rows: list[list[int]], prompt: list[int], width: int = 6) -> TokenRows:
    """Texts of which the first `prompt` tokens are given, aligned as in a decoding loop."""
    step = len(rows[0]) - prompt[0]
    ids = np.zeros((len(rows), width + 4), np.int32)
    for i, (row, given) in enumerate(zip(rows, prompt, strict=True)):
        assert len(row) - given == step
        ids[i, width - given : width + step] = row
    start = jnp.asarray([width - given for given in prompt])
    none = jnp.zeros(len(rows), jnp.int32)
    return TokenRows(jnp.asarray(ids), start, jnp.int32(step), none, none + 4, width)


def excluded(processor, rows, prompt) -> list[list[int]]:
    """The tokens that a processor excludes in each row."""
    scores = processor(jnp.zeros((len(rows), V)), text(rows, prompt))
    return [np.flatnonzero(np.isneginf(row)).tolist() for row in np.asarray(scores)]


def test_a_repeated_id_is_penalised_once():
    scores = jnp.asarray([[3.0, -3.0, 3.0, -3.0, 1.0, 2.0]])
    seen = text([[2, 2, 2, 3, 2, 3]], [4])
    got = RepetitionPenalty(2.0)(scores, seen)
    assert got.tolist() == [[3.0, -3.0, 1.5, -6.0, 1.0, 2.0]]  # 0 is padding, no token
    of_output = RepetitionPenalty(2.0, prompt=False)(scores, text([[4, 4, 4, 5]], [3]))
    assert of_output.tolist() == [[3.0, -3.0, 3.0, -3.0, 1.0, 1.0]]


def test_no_ngram_occurs_twice():
    rows, prompt = [[1, 2, 3, 1, 2], [4, 1, 2]], [4, 2]
    assert excluded(NoRepeatNgram(3), rows, prompt) == [[3], []]
    assert excluded(NoRepeatNgram(2), rows, prompt) == [[3], []]
    assert excluded(NoRepeatNgram(1), rows, prompt) == [[1, 2, 3], [1, 2, 4]]
    assert excluded(NoRepeatNgram(2), [[5, 5]], [1]) == [[5]]
    assert excluded(NoRepeatNgram(4), [[0, 0]], [1]) == [[]]  # padding is no text


def test_bad_words_are_excluded_where_they_would_end():
    words = ((4,), (1, 2, 5), (0, 2, 3))
    assert excluded(BadWords(words), [[3, 1, 2], [1, 2, 2]], [2, 2]) == [[4, 5], [4]]
    assert excluded(BadWords(((0, 2),)), [[0]], [1]) == [[2]]
    assert excluded(BadWords(((0, 0, 2),)), [[0]], [1]) == [[]]  # padding is not read


def test_first_and_last_tokens_are_forced_and_cost_nothing():
    model, log_p = chain(V)
    settings = GenerationConfig(
        max_new_tokens=3, num_beams=2, forced_bos_token_id=4, forced_eos_token_id=0
    )
    found = generate(model, settings, prompt=np.array([[1]]))
    first, middle, last = found.sequences[0].tolist()
    assert (first, last) == (4, 0) and middle == log_p[4].argmax()
    np.testing.assert_allclose(found.scores[0], log_p[4].max() / 3, rtol=1e-5)


@pytest.mark.parametrize("given", [{"min_new_tokens": 3}, {"min_length": 5}])
def test_no_end_before_the_least_length(given):
    """The chain would end at once; the least length counts prompts or not, each row's own."""
    table = np.zeros((4, 4))
    table[:, 0] = 9.0
    settings = GenerationConfig(max_new_tokens=8, eos_token_id=0, **given)
    prompt, mask = np.array([[1, 2], [0, 3]]), np.array([[1, 1], [0, 1]])
    found = generate(MarkovChain(table), settings, prompt=prompt, prompt_mask=mask)
    assert found.lengths.tolist() == ([4, 4] if "min_new_tokens" in given else [4, 5])


def test_padding_that_is_the_end_of_sequence_neither_ends_a_row_nor_hides_its_end():
    table = np.full((4, 4), -9.0)
    table[3, 1] = table[1, 2] = table[2, 0] = 0.0  # 3 → 1 → 2 → end
    settings = GenerationConfig(max_new_tokens=8, eos_token_id=0, pad_token_id=0)
    prompt, mask = np.array([[0, 0, 3], [0, 1, 2]]), np.array([[0, 0, 1], [1, 1, 1]])
    found = generate(MarkovChain(table), settings, prompt=prompt, prompt_mask=mask)
    assert [row.tolist() for row in found.rows()] == [[1, 2, 0], [0]]
    beams = generate(
        MarkovChain(table), settings.replace(num_beams=2), prompt=prompt, prompt_mask=mask
    )
    assert [row.tolist() for row in beams.rows()] == [[1, 2, 0], [0]]


def test_a_chain_without_an_end_stops_at_its_limit():
    model, _ = chain(V)
    assert generate(model, GenerationConfig(), prompt=[[1]]).lengths.tolist() == [64]
    beams = GenerationConfig(max_length=7, num_beams=2)
    assert generate(model, beams, prompt=[[1, 2]]).lengths.tolist() == [5]


def test_a_prefix_function_restricts_each_row():
    model, log_p = chain(V)
    calls = []

    def allowed(row, ids):
        calls.append((row, ids.tolist()))
        return [row, 5] if len(ids) < 4 else [2]

    prompt, mask = np.array([[1, 2], [0, 3]]), np.array([[1, 1], [0, 1]])
    settings = GenerationConfig(max_new_tokens=3)
    found = generate(model, settings, prompt=prompt, prompt_mask=mask, allowed=allowed)
    assert calls[:2] == [(0, [1, 2]), (1, [3])]
    assert set(found.sequences[0, :2].tolist()) <= {0, 5} and found.sequences[0, 2] == 2
    assert set(found.sequences[1].tolist()) <= {1, 5}
    with pytest.raises(UserError, match="one or more ids below 6"):
        generate(model, settings, prompt=prompt, allowed=lambda row, ids: [])


def test_a_callback_hears_every_token_and_can_end_rows():
    model, _ = chain(V)
    settings, heard = GenerationConfig(max_new_tokens=5), []
    whole = generate(model, settings, prompt=[[1], [2]]).sequences

    def on_token(tokens, running):
        heard.append((tokens.tolist(), running.tolist()))
        return np.array([len(heard) == 2, False])

    found = generate(model, settings, prompt=[[1], [2]], on_token=on_token)
    assert found.rows()[0].tolist() == whole[0, :2].tolist()
    assert found.rows()[1].tolist() == whole[1].tolist()
    assert [tokens[1] for tokens, _ in heard] == whole[1].tolist()
    assert [running for _, running in heard] == [[True, True]] * 2 + [[False, True]] * 3
    with pytest.raises(UserError, match="num_beams=1"):
        generate(model, settings.replace(num_beams=2), prompt=[[1]], on_token=on_token)
