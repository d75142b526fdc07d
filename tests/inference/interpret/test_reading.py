"""Logit lens, queries and keys, and masks of heads of models of each architecture."""

import numpy as np
import pytest

from fxformer.errors import UserError
from fxformer.inference.interpret.head_mask import current_masks

TEXT, TARGET = "the cat sat on a mat", "a cat and the dog"
KINDS = ("encoder", "decoder", "seq2seq")


def target_of(kind):
    return TARGET if kind == "seq2seq" else None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.sample(3)
def test_the_last_layer_of_the_lens_is_the_model(model_of, kind):
    model = model_of(kind)
    (lens,) = model.logit_lens(TEXT, target_of(kind), k=3)
    (logits,) = model.logits(TEXT, target_of(kind))
    scores = logits - np.logaddexp.reduce(logits, -1, keepdims=True)
    best = np.argsort(-logits, -1, kind="stable")[:, :3]
    np.testing.assert_array_equal(lens.tokens[-1], best)
    chances = np.exp(np.take_along_axis(scores, best, -1))
    np.testing.assert_allclose(lens.probabilities[-1], chances, rtol=1e-5)
    known = np.flatnonzero(lens.targets >= 0)
    wanted = -scores[known, lens.targets[known]]
    np.testing.assert_allclose(lens.losses[-1, known], wanted, rtol=1e-5)
    assert lens.losses.shape == (1 + 2, len(logits))
    if kind == "decoder":
        assert np.isnan(lens.losses[:, -1]).all()  # the last token has no next one
        total = -model.score(TEXT)[0] / len(known)
        np.testing.assert_allclose(lens.loss[-1], total, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.sample(3)
def test_early_layers_go_through_the_final_norm_and_the_head(model_of, kind):
    model = model_of(kind)
    (lens,) = model.logit_lens(TEXT, target_of(kind), k=1)
    module = model.module
    states = model.hidden_states([TEXT], [1], None if target_of(kind) is None else [TARGET])[0][0]
    norm = module.decoder.norm if kind == "seq2seq" else module.transformer.norm
    read = states if norm is None else norm(states)
    np.testing.assert_array_equal(lens.tokens[1, :, 0], np.argmax(module.logits(read), -1))


def test_a_masked_token_has_no_loss(model_of):
    (lens,) = model_of("encoder").logit_lens("the <mask> sat")
    assert np.isnan(lens.losses[-1]).sum() == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.sample(3)
def test_products_of_queries_and_keys_give_the_attention_weights(model_of, kind):
    for one in model_of(kind).queries_keys(TEXT, target_of(kind)):
        logits = np.einsum("LTHK,LSHK->LHTS", one.q, one.k)
        seen = one.attention.weights > 0
        logits = np.where(seen, logits, -np.inf)
        made = np.exp(logits - logits.max(-1, keepdims=True))
        wanted = made / made.sum(-1, keepdims=True)
        np.testing.assert_allclose(one.attention.weights, wanted, atol=1e-5)
        assert one.products(1, 0, 2, 1).sum() == pytest.approx(logits[1, 0, 2, 1], rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.sample(3)
def test_a_head_that_is_masked_is_left_out_of_the_output_projection(model_of, kind):
    """As if its rows of the output projection were 0."""
    model = model_of(kind)
    name = {"encoder": "encoder", "decoder": "decoder", "seq2seq": "cross"}[kind]
    masked = model.without_heads([(name, 1, 0)])
    cut = model.replace(params=zeroed(model.params, kind))
    for one, other in zip(
        masked.logits(TEXT, target_of(kind)), cut.logits(TEXT, target_of(kind)), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)
    (whole,) = model.logits(TEXT, target_of(kind))
    assert np.abs(whole - one).max() > 1e-3
    assert float(current_masks(masked.module)[name].sum()) == 3


def zeroed(params, kind):
    """Parameters with the rows of the first head of the last layer's output projection 0."""
    stack, attention = (
        ("decoder", "cross_attention") if kind == "seq2seq" else ("transformer", "attention")
    )
    block = params[stack]["stack"]["blocks"]
    kernel = np.array(block[attention]["o"]["kernel"])
    kernel[1, : kernel.shape[1] // 2] = 0
    own = {**block[attention], "o": {**block[attention]["o"], "kernel": kernel}}
    blocks = {**params[stack]["stack"], "blocks": {**block, attention: own}}
    return {**params, stack: {**params[stack], "stack": blocks}}


def test_wrong_heads_are_refused(model_of):
    model = model_of("encoder")
    with pytest.raises(UserError, match=r"no head 2 in block 0 of encoder attention.*\[2, 2\]"):
        model.without_heads([("encoder", 0, 2)])
    with pytest.raises(UserError, match="has no cross attention: give masks of encoder"):
        model.mask_heads({"cross": np.ones((2, 2))})
    with pytest.raises(UserError, match=r"expected \[2, 2\] finite numbers.*got \[2, 3\]"):
        model.mask_heads({"encoder": np.ones((2, 3))})
