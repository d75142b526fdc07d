"""Samples show one text each, with what was hidden filled in and nothing else touched."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fxformer.batch import Batch
from fxformer.inference.decoding.samples import (
    continue_prompt,
    first_segment,
    predict_masked,
    readable_text,
)
from tests.models import tiny


class Letters:
    """A tokenizer of letters: id 3 is a, 4 is b …"""

    class vocabulary:
        mask = 2

    def decode(self, ids):
        return "".join(chr(ord("a") + i - 3) for i in ids if i > 2)


def test_masks_are_shown_and_other_specials_are_not():
    assert (
        readable_text(np.array([1, 3, 4, 2, 5, 2, 2, 0]), Letters()) == "ab <mask> c <mask> <mask>"
    )


def test_one_piece_keeps_the_first_text_of_each_row():
    batch = Batch(
        tokens=np.array([[5, 6, 7, 8]] * 3),
        segments=np.array([[1, 1, 2, 2]] * 3),
        targets=np.array([[9, 9]] * 3),
        weights=np.ones((3, 2), np.float32),
        picked=np.array([[1, 3]] * 3),
    )
    cut = first_segment(batch, 2)
    assert cut.tokens.tolist() == [[5, 6, 0, 0]] * 2
    assert cut.weights.tolist() == [[1, 0]] * 2


@pytest.mark.parametrize("picked", [True, False])
def test_an_encoder_fills_in_what_counts_and_leaves_the_rest(picked):
    model = tiny("encoder")
    tokens = np.array([[4, 2, 6, 2]], np.int32)
    batch = Batch(
        tokens=tokens,
        segments=np.ones_like(tokens),
        targets=np.array([[5, 7, 0]] if picked else [[0, 5, 0, 7]], np.int32),
        weights=np.array([[1, 1, 0]] if picked else [[0, 1, 0, 1]], np.float32),
        picked=np.array([[1, 3, 0]], np.int32) if picked else None,
    )

    class Owner(nnx.Module):
        def __init__(self):
            self.model = model

    read, wrote, truth = map(np.asarray, predict_masked(Owner(), jax.tree.map(jnp.asarray, batch)))
    best = np.asarray(model.logits(model(batch))).argmax(-1)
    assert (read == tokens).all()
    assert wrote.tolist() == [[4, best[0, 1], 6, best[0, 3]]]
    assert truth.tolist() == [[4, 5, 6, 7]]


def test_a_decoder_goes_on_from_the_prefix_of_a_text():
    model = tiny("decoder", "model/position=learned")

    class Owner(nnx.Module):
        class vocabulary:
            eos, pad, size = None, 0, 40

        def __init__(self):
            self.model = model

    tokens = np.array([[4, 9, 6, 12, 5, 8, 3, 7, 20]] * 2, np.int32)
    prefix = np.arange(9) < np.array([[5], [0]])
    batch = Batch(tokens, np.ones_like(tokens), prefix=prefix)
    read, wrote, truth = map(np.asarray, continue_prompt(Owner(), jax.tree.map(jnp.asarray, batch)))
    assert read.tolist() == [[4, 9, 6, 12, 5, 0, 0, 0, 0], [4, 9, 6, 0, 0, 0, 0, 0, 0]]
    best = np.asarray(model.logits(model(batch.replace(tokens=wrote)))).argmax(-1)
    assert (wrote[0, 5:] == best[0, 4:-1]).all() and (wrote[1, 3:] == best[1, 2:-1]).all()
    assert (truth == tokens).all()
