"""Greedy decoding from a cache writes what one pass over the whole text would choose."""

import jax.numpy as jnp
import numpy as np
import pytest

from fxformer.inference.decoding.greedy import (
    generate_decoder,
    generate_prefix_decoder,
    generate_seq2seq,
)
from tests.models import a_batch, ids, logits, tiny


@pytest.mark.parametrize("position", ["rotary", "learned", "alibi", "buckets"])
def test_every_token_is_the_likeliest_given_those_before_it(position):
    model = tiny("decoder", f"model/position={position}")
    prompt, given = ids(3, 4), np.array([4, 2, 3])
    rows = np.asarray(generate_decoder(model, prompt, given, length=9, eos=None, pad=0))
    scores = np.asarray(logits(model, a_batch(model, rows)))
    for row, known in enumerate(given):
        assert (rows[row, :known] == prompt[row, :known]).all()
        assert (rows[row, known:] == scores[row, known - 1 : -1].argmax(-1)).all()


@pytest.mark.parametrize("position", ["rotary", "learned"])
def test_a_prefix_is_read_in_both_directions_and_continued(position):
    model = tiny("decoder", f"model/position={position}", seed=3)
    prompt, given = ids(3, 6), np.array([6, 3, 1])
    prefix = np.arange(6) < np.array([6, 2, 0])[:, None]  # all, a part, nothing of the prompt
    knobs = {"length": 11, "eos": None, "pad": 0}
    rows = np.asarray(generate_prefix_decoder(model, prompt, given, prefix, **knobs))
    batch = a_batch(model, rows).replace(prefix=np.pad(prefix, ((0, 0), (0, 5))))
    best = np.asarray(logits(model, batch)).argmax(-1)
    for row, known in enumerate(given):
        assert (rows[row, :known] == prompt[row, :known]).all()
        assert (rows[row, known:] == best[row, known - 1 : -1]).all()
    blind = np.asarray(generate_decoder(model, prompt, given, **knobs))
    assert (blind[2] == rows[2]).all() and (blind[:2] != rows[:2]).any()


def test_a_row_ends_with_eos_and_is_padded():
    model = tiny("decoder")
    prompt, given = ids(2, 3), np.array([3, 3])
    free = np.asarray(generate_decoder(model, prompt, given, length=10, eos=None, pad=0))
    eos = int(free[0, 5])  # what it would write third ends the row now
    rows = np.asarray(generate_decoder(model, prompt, given, length=10, eos=eos, pad=0))
    end = 3 + int(np.argmax(free[0, 3:] == eos))
    assert (rows[0, : end + 1] == free[0, : end + 1]).all()
    assert (rows[0, end + 1 :] == 0).all()


def test_a_seq2seq_model_rewrites_its_source():
    model = tiny("seq2seq")
    source, start = ids(2, 6), 2
    segments = np.array([[1] * 6, [1] * 4 + [0] * 2], np.int32)
    rows = generate_seq2seq(model, source, segments, start=start, length=7, eos=None, pad=0)
    read = jnp.concatenate([jnp.full((2, 1), start), rows[:, :-1]], axis=1).astype(jnp.int32)
    batch = a_batch(model, np.asarray(read)).replace(source=source, source_segments=segments)
    assert (np.asarray(rows) == np.asarray(logits(model, batch)).argmax(-1)).all()
