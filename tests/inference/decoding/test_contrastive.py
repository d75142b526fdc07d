"""Contrastive search beside its definition, computed by whole passes over each candidate text."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fxformer.batch import Batch
from fxformer.errors import UserError
from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.decoding.generate import generate
from tests.models import VOCAB, ids, tiny

NEW, EOS, WIDTH = 6, 3, 14
ROWS = [ids(1, n, seed=n)[0] for n in (7, 2, 5)]


def passes(model, source):
    """texts of one length -> (log-probabilities after the last token [N, V], unit hidden states
    [N, T, D]), by whole passes."""
    graphdef, state = nnx.split(model)

    @jax.jit
    def computed(state, tokens, segments):
        model = nnx.merge(graphdef, state)
        batch = Batch(tokens, segments)
        if source is not None:
            batch = batch.replace(source=jnp.tile(source, (len(tokens), 1)))
            batch = batch.replace(source_segments=jnp.ones_like(batch.source))
        hidden = model(batch)
        return hidden, model.logits(hidden)[..., :VOCAB]

    def of_texts(texts):
        length = len(texts[0])
        tokens = np.zeros((8, WIDTH), np.int32)
        tokens[: len(texts), :length] = texts
        segments = np.tile((np.arange(WIDTH) < length).astype(np.int32), (8, 1))
        hidden, logits = (np.asarray(x, np.float64) for x in computed(state, tokens, segments))
        last, x = logits[: len(texts), length - 1], hidden[: len(texts), :length]
        log_p = last - np.logaddexp.reduce(last, axis=-1, keepdims=True)
        return log_p, x / np.linalg.norm(x, axis=-1, keepdims=True)

    return of_texts


def by_definition(model, row, alpha, k, seq2seq):
    """Su et al. 2022, eq. 5."""
    text, source = ([2], row) if seq2seq else (row.tolist(), None)
    start, score, states = len(text), 0.0, passes(model, source)
    while len(text) < start + NEW and EOS not in text[start:]:
        (log_p,), (context,) = states([text])
        candidates = np.argsort(-log_p, kind="stable")[:k].tolist()
        read = states([[*text, v] for v in candidates])[1]
        likeness = [(context @ own[-1]).max() for own in read]
        pairs = zip(candidates, likeness, strict=True)
        text.append(max(((1 - alpha) * np.exp(log_p[v]) - alpha * s, v) for v, s in pairs)[1])
        score += log_p[text[-1]]
    return text[start:], score


@pytest.mark.parametrize(
    ("family", "alpha", "k"),
    [
        ("gpt2", 0.6, 4),
        pytest.param("llama", 0.3, 3, marks=pytest.mark.slow),
        pytest.param("bart", 0.6, 4, marks=pytest.mark.slow),
        pytest.param("t5", 0.8, 2, marks=pytest.mark.slow),
    ],
)
def test_tokens_are_those_of_the_definition(family, alpha, k):
    model = tiny(family)
    seq2seq = model.architecture == "seq2seq"
    settings = GenerationConfig(
        penalty_alpha=alpha, top_k=k, eos_token_id=EOS, pad_token_id=0, max_new_tokens=NEW,
        decoder_start_token_id=2,
    )  # fmt: skip
    tokens, mask = np.full((3, 9), 5, np.int32), np.zeros((3, 9), bool)
    for i, row in enumerate(ROWS):
        tokens[i, : len(row)], mask[i, : len(row)] = row, True
    given = {"prompt": tokens, "prompt_mask": mask}
    if seq2seq:
        given = {"source": tokens, "source_segments": mask.astype(np.int32)}
    found = generate(model, settings, vocab_size=VOCAB, **given)
    wanted = [by_definition(model, row, alpha, k, seq2seq) for row in ROWS]
    assert [row.tolist() for row in found.rows()] == [row for row, _ in wanted]
    np.testing.assert_allclose(found.scores, [score for _, score in wanted], atol=1e-4)


@pytest.mark.slow
def test_small_alpha_is_greedy_and_processors_apply_to_candidates():
    model, prompt = tiny("gpt2"), ids(2, 5)
    usual = {"max_new_tokens": 5}
    greedy = generate(model, GenerationConfig(**usual), prompt=prompt)
    small = GenerationConfig(penalty_alpha=1e-9, top_k=3, **usual)
    assert (generate(model, small, prompt=prompt).sequences == greedy.sequences).all()
    whole = GenerationConfig(penalty_alpha=0.6, top_k=1000, **usual)  # more than the vocabulary
    first = generate(model, whole, prompt=prompt).sequences[:, 0]
    banned = whole.replace(suppress_tokens=tuple(set(first.tolist())))
    assert not np.isin(generate(model, banned, prompt=prompt).sequences, first).any()

    def only_two(number, text):
        return [4, 6]

    found = generate(model, whole, prompt=prompt, allowed=only_two)
    assert np.isin(found.sequences, [4, 6]).all()


def test_settings_that_do_not_go_together_are_refused():
    with pytest.raises(UserError, match="top_k=0: contrastive search .* write generation.top_k=4"):
        GenerationConfig(penalty_alpha=0.6)
    for more in ({"do_sample": True}, {"num_beams": 2}):
        with pytest.raises(UserError, match="penalty_alpha=0.6 is of contrastive search"):
            GenerationConfig(penalty_alpha=0.6, top_k=4, **more)


def test_settings_of_transformers_choose_it_as_there():
    asked = {"penalty_alpha": 0.6}
    assert GenerationConfig.from_hf(asked).top_k == 50
    assert GenerationConfig.from_hf({**asked, "top_k": 4}).to_hf() == {**asked, "top_k": 4}
    for more in ({"do_sample": True}, {"num_beams": 2}, {"top_k": 1}):
        assert not GenerationConfig.from_hf({**asked, **more}).penalty_alpha
