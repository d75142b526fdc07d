"""Attention of a text: equal to a forward pass, summarised, encoded."""

import base64

import jax
import numpy as np
import pytest

from fxformer.batch import Batch
from fxformer.inference.model_cache import RunCache
from fxformer.inference.text_input import corrupted_input, held_out_input, plain_input
from fxformer.inspect.attention import SCALE, attention, distance, encoded, entropy, payload
from fxformer.train.state import bind
from tests.inspect.untrained_run import untrained_run


def rows(count, length, seed=0):
    drawn = np.random.default_rng(seed).random((2, 3, count, length)).astype(np.float32)
    return drawn / drawn.sum(-1, keepdims=True)


def test_entropy_and_distance_of_known_heads():
    alike, itself = np.full((1, 1, 6, 6), 1 / 6, np.float32), np.eye(6, dtype=np.float32)
    back = np.eye(6, k=-2, dtype=np.float32)
    back[:2, 0] = 1
    weights = np.stack([alike[0, 0], itself, back])[None]
    np.testing.assert_allclose(entropy(weights)[0], [np.log(6), 0, 0], atol=1e-6)
    gap = np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    wanted = [gap.mean(), 0, (0 + 1 + 4 * 2) / 6]
    np.testing.assert_allclose(distance(weights)[0], wanted, atol=1e-6)


def test_encoded_weights_sum_to_one_and_keep_zeros():
    weights = rows(50, 37)
    weights = np.where(weights < 0.01, 0, weights)
    weights /= weights.sum(-1, keepdims=True)
    whole = np.frombuffer(base64.b64decode(encoded(weights)), "<u2").reshape(weights.shape)
    assert (whole.sum(-1, dtype=np.int64) == SCALE).all()
    assert (whole[weights == 0] == 0).all()
    assert np.abs(whole / SCALE - weights).max() < 1 / SCALE


def test_attention_equals_that_of_a_forward_pass(run_of, kept):
    """Against one unpadded pass; a decoder attends to no later position."""
    words = "the cat sat on a mat and the dog ran"
    for kind in ("bert", "gpt"):
        loaded = kept.open(run_of(kind), 20)
        text = plain_input(loaded, words)
        (one,) = attention(loaded, text)
        own = (
            bind(loaded.graphdef, loaded.params)
            .model.intermediates(Batch(text.batch.tokens, text.batch.segments))
            .self_attention[:, 0]
        )
        assert one.kind == {"bert": "encoder", "gpt": "decoder"}[kind]
        np.testing.assert_allclose(one.weights, own, atol=1e-5)
        np.testing.assert_allclose(one.weights.sum(-1), 1, atol=1e-5)
        later = np.triu(np.ones(own.shape[-2:], bool), 1)
        assert (one.weights[..., later] == 0).all() == (kind == "gpt")


def test_attention_of_an_encoder_decoder(run_of, kept):
    loaded = kept.open(run_of("bart"), 10)
    text = plain_input(loaded, "the cat <mask> a mat", "the cat sat on a mat")
    encoder, decoder, cross = attention(loaded, text)
    assert (len(encoder.keys), len(decoder.queries)) == (7, 8)
    assert cross.weights.shape == (2, 2, 8, 7)
    assert decoder.queries[0] == loaded.objective.vocabulary.eos  # the start; then the target
    assert decoder.queries[1:].tolist() == text.batch.targets[0, :-1].tolist()
    inside = bind(loaded.graphdef, loaded.params).model.intermediates(text.batch)
    np.testing.assert_allclose(cross.weights, inside[1].cross_attention[:, 0], atol=1e-5)
    own = plain_input(loaded, "the cat <mask> a mat")
    assert "own output" in own.note and len(attention(loaded, own)) == 3


def test_a_prefix_has_bidirectional_attention(run_of, kept):
    loaded = kept.open(run_of("prefix"), 10)
    text = plain_input(loaded, "the cat sat on a mat and")
    (one,) = attention(loaded, text)
    half = int(text.batch.prefix.sum())
    assert str(half) in text.note
    assert (one.weights[..., 0, 1:half] > 0).all()
    assert (one.weights[..., 0, half:] == 0).all()


def test_weights_of_checkpoints_are_cached(run_of):
    run = run_of("bert")
    kept = RunCache()
    words = "the cat sat"
    first, again = kept.open(run, 10), kept.open(run, 10)
    assert first.params is again.params and first.step == 10
    sent = [payload(kept.open(run, step), plain_input(first, words)) for step in (10, 20)]
    assert sent[0]["kinds"][0]["weights"] != sent[1]["kinds"][0]["weights"]
    assert kept.open(run).step == 30
    with pytest.raises(ValueError, match="no checkpoint of step 29; the nearest is 30"):
        kept.open(run, 29)
    narrow = RunCache(max_bytes=1)
    lasting = narrow.open(run, 10).params
    narrow.open(run, 20)
    assert narrow.open(run, 10).params is not lasting  # the cache holds one


def test_too_long_texts_are_refused(run_of, kept):
    loaded = kept.open(run_of("bert"))
    with pytest.raises(ValueError, match="the text has 42 tokens, at most 32 fit"):
        plain_input(loaded, "cat " * 40)


def test_a_run_without_its_training_text_reads_typed_text(tmp_path):
    run = untrained_run(tmp_path, "bert")
    assert len(RunCache().held_out(run).tokens) > 3
    (tmp_path / "text.txt").unlink()
    kept = RunCache()
    with pytest.raises(ValueError, match="the training text of .*bert cannot be read: .*text.txt"):
        kept.held_out(run)
    loaded = kept.open(run)
    assert payload(loaded, plain_input(loaded, "the cat"))["kinds"][0]["queries"][1:3] == [
        "the",
        "cat",
    ]


def test_held_out_texts_are_corrupted_as_in_training(run_of, kept):
    run = run_of("bert")
    texts, loaded = kept.held_out(run), kept.open(run)
    one = held_out_input(texts, 1)
    assert one.has_targets and len(one.scored)
    (one_attention,) = attention(loaded, one)
    assert one_attention.queries.tolist() == one.batch.tokens[0].tolist()
    assert (one.batch.segments == 1).all()
    with pytest.raises(ValueError, match="no held-out text 99"):
        held_out_input(texts, 99)
    corrupted = corrupted_input(loaded, "the cat sat on a mat and the dog ran to the house", seed=3)
    assert (corrupted.batch.tokens == loaded.objective.vocabulary.mask).any()
    jax.tree.map(
        np.testing.assert_array_equal,
        corrupted.batch.tokens,
        corrupted_input(
            loaded, "the cat sat on a mat and the dog ran to the house", seed=3
        ).batch.tokens,
    )
