"""The attention of a text: the model's own, summed up, sent without losing what it says."""

import base64

import jax
import numpy as np
import pytest

from fxformer.batch import Batch
from fxformer.inference.model_cache import Kept
from fxformer.inference.text_input import chosen, spoilt, typed
from fxformer.inspect.attention import FINEST, attention, distance, encoded, entropy, payload
from fxformer.train.state import bind
from tests.inspect.made import made


def rows(count, length, seed=0):
    drawn = np.random.default_rng(seed).random((2, 3, count, length)).astype(np.float32)
    return drawn / drawn.sum(-1, keepdims=True)


def test_entropy_and_distance_are_those_of_known_heads():
    alike, itself = np.full((1, 1, 6, 6), 1 / 6, np.float32), np.eye(6, dtype=np.float32)
    back = np.eye(6, k=-2, dtype=np.float32)
    back[:2, 0] = 1
    weights = np.stack([alike[0, 0], itself, back])[None]
    np.testing.assert_allclose(entropy(weights)[0], [np.log(6), 0, 0], atol=1e-6)
    gap = np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    wanted = [gap.mean(), 0, (0 + 1 + 4 * 2) / 6]
    np.testing.assert_allclose(distance(weights)[0], wanted, atol=1e-6)


def test_what_is_sent_still_sums_to_one_and_keeps_its_zeros():
    weights = rows(50, 37)
    weights = np.where(weights < 0.01, 0, weights)
    weights /= weights.sum(-1, keepdims=True)
    whole = np.frombuffer(base64.b64decode(encoded(weights)), "<u2").reshape(weights.shape)
    assert (whole.sum(-1, dtype=np.int64) == FINEST).all()
    assert (whole[weights == 0] == 0).all()
    assert np.abs(whole / FINEST - weights).max() < 1 / FINEST


def test_the_attention_of_a_text_is_the_models_own(run_of, kept):
    """Against one unpadded pass; and a decoder looks at nothing later."""
    words = "the cat sat on a mat and the dog ran"
    for kind in ("bert", "gpt"):
        opened = kept.open(run_of(kind), 20)
        text = typed(opened, words)
        (one,) = attention(opened, text)
        own = (
            bind(opened.shape, opened.params)
            .model.intermediates(Batch(text.batch.tokens, text.batch.segments))
            .self_attention[:, 0]
        )
        assert one.kind == {"bert": "encoder", "gpt": "decoder"}[kind]
        np.testing.assert_allclose(one.weights, own, atol=1e-5)
        np.testing.assert_allclose(one.weights.sum(-1), 1, atol=1e-5)
        later = np.triu(np.ones(own.shape[-2:], bool), 1)
        assert (one.weights[..., later] == 0).all() == (kind == "gpt")


def test_every_kind_of_a_seq2seq_model(run_of, kept):
    opened = kept.open(run_of("bart"), 10)
    text = typed(opened, "the cat <mask> a mat", "the cat sat on a mat")
    encoder, decoder, cross = attention(opened, text)
    assert (len(encoder.keys), len(decoder.queries)) == (7, 8)
    assert cross.weights.shape == (2, 2, 8, 7)
    assert decoder.queries[0] == opened.objective.vocabulary.eos  # the start; then the target
    assert decoder.queries[1:].tolist() == text.batch.targets[0, :-1].tolist()
    inside = bind(opened.shape, opened.params).model.intermediates(text.batch)
    np.testing.assert_allclose(cross.weights, inside[1].cross_attention[:, 0], atol=1e-5)
    own = typed(opened, "the cat <mask> a mat")
    assert "writes itself" in own.note and len(attention(opened, own)) == 3


def test_a_prefix_is_read_in_both_directions(run_of, kept):
    opened = kept.open(run_of("prefix"), 10)
    text = typed(opened, "the cat sat on a mat and")
    (one,) = attention(opened, text)
    half = int(text.batch.prefix.sum())
    assert str(half) in text.note
    assert (one.weights[..., 0, 1:half] > 0).all()
    assert (one.weights[..., 0, half:] == 0).all()


def test_checkpoints_differ_and_weights_are_kept(run_of):
    run = run_of("bert")
    kept = Kept()
    words = "the cat sat"
    first, again = kept.open(run, 10), kept.open(run, 10)
    assert first.params is again.params and first.step == 10
    sent = [payload(kept.open(run, step), typed(first, words)) for step in (10, 20)]
    assert sent[0]["kinds"][0]["weights"] != sent[1]["kinds"][0]["weights"]
    assert kept.open(run).step == 30
    with pytest.raises(ValueError, match="no checkpoint of step 29; the nearest is 30"):
        kept.open(run, 29)
    narrow = Kept(room=1)
    lasting = narrow.open(run, 10).params
    narrow.open(run, 20)
    assert narrow.open(run, 10).params is not lasting  # there was room for one


def test_what_is_too_long_is_said(run_of, kept):
    opened = kept.open(run_of("bert"))
    with pytest.raises(ValueError, match="the text is 42 tokens long, and 32 can be looked at"):
        typed(opened, "cat " * 40)


def test_a_run_whose_text_is_gone_reads_what_is_typed(tmp_path):
    run = made(tmp_path, "bert")
    assert len(Kept().held_out(run).tokens) > 3
    (tmp_path / "text.txt").unlink()
    kept = Kept()
    with pytest.raises(ValueError, match="the text of .*bert cannot be read: .*text.txt"):
        kept.held_out(run)
    opened = kept.open(run)
    assert payload(opened, typed(opened, "the cat"))["kinds"][0]["queries"][1:3] == ["the", "cat"]


def test_held_out_texts_are_spoilt_as_the_objective_does(run_of, kept):
    run = run_of("bert")
    texts, opened = kept.held_out(run), kept.open(run)
    one = chosen(texts, 1)
    assert one.known and len(one.marked)
    (seen,) = attention(opened, one)
    assert seen.queries.tolist() == one.batch.tokens[0].tolist()
    assert (one.batch.segments == 1).all()
    with pytest.raises(ValueError, match="no held-out text 99"):
        chosen(texts, 99)
    spoil = spoilt(opened, "the cat sat on a mat and the dog ran to the house", seed=3)
    assert (spoil.batch.tokens == opened.objective.vocabulary.mask).any()
    jax.tree.map(
        np.testing.assert_array_equal,
        spoil.batch.tokens,
        spoilt(opened, "the cat sat on a mat and the dog ran to the house", seed=3).batch.tokens,
    )
