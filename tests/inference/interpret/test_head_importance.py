"""Importance of heads: derivatives, ablations, and a planted head that does nothing."""

import numpy as np
import pytest

from fxformer.errors import UserError

TEXTS = ["the cat sat on a mat", "the dog ran to its small red house", "a red oak", "the old trees"]
TARGETS = ["a cat", "the small house by old oak trees", "dog", "the dog ran"]
KINDS = ("encoder", "decoder", "seq2seq")


def targets_of(kind):
    return TARGETS if kind == "seq2seq" else None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.sample(3)
def test_gradients_are_the_derivatives_of_the_loss_by_the_factor_of_a_head(model_of, kind):
    model = model_of(kind).mask_heads({})  # one program for all masks
    found = model.head_importance(TEXTS, targets_of(kind))
    name = {"encoder": "encoder", "decoder": "decoder", "seq2seq": "cross"}[kind]
    every = {"encoder", "decoder", "cross"} if kind == "seq2seq" else {kind}
    assert set(found.gradients) == every
    step, losses = 1e-2, []
    for factor in (1 - step, 1 + step):
        mask = np.ones((2, 2))
        mask[0, 1] = factor
        masked = model.mask_heads({name: mask})
        losses.append(masked.head_importance(TEXTS, targets_of(kind)).losses)
    slope = (losses[1] - losses[0]) / (2 * step)
    np.testing.assert_allclose(found.gradients[name][:, 0, 1], slope, atol=2e-3)
    np.testing.assert_allclose(
        found.by_gradient(name)[0, 1], np.abs(found.gradients[name][:, 0, 1]).mean()
    )


@pytest.mark.slow
def test_a_small_ablation_agrees_with_the_gradient_to_first_order(model_of):
    """Half of the ablation leaves a quarter of the error."""
    model = model_of("decoder").mask_heads({})
    whole = model.head_importance(TEXTS)
    slope, errors = whole.gradients["decoder"][:, 1, 0], []
    for size in (0.2, 0.1):
        mask = np.ones((2, 2))
        mask[1, 0] = 1 - size
        after = model.mask_heads({"decoder": mask}).head_importance(TEXTS).losses
        errors.append(np.abs(after - whole.losses + size * slope).max())
    assert errors[1] < 0.35 * errors[0]


def test_a_planted_useless_head_has_no_importance(model_of):
    """Its values are 0, so its output is."""
    model = model_of("decoder")
    params = {**model.params}
    blocks = params["transformer"]["stack"]["blocks"]
    value = {key: np.array(x) for key, x in blocks["attention"]["v"].items()}
    for array in value.values():
        array[1, ..., :8] = 0  # the first of two heads of the second layer
    own = {**blocks["attention"], "v": value}
    stack = {**params["transformer"]["stack"], "blocks": {**blocks, "attention": own}}
    params["transformer"] = {**params["transformer"], "stack": stack}
    found = model.replace(params=params).head_importance(TEXTS, ablation=True)
    for values in (found.by_gradient("decoder"), np.abs(found.by_ablation("decoder"))):
        assert values[1, 0] < 1e-6 < 1e-3 < np.delete(values.ravel(), 2).min()
    assert found.least(1) == [("decoder", 1, 0)]
    interval = found.interval("ablation", "decoder", 0, 0)
    assert interval.low is not None and interval.low < interval.mean < interval.high


@pytest.mark.slow
def test_ablation_is_the_loss_without_the_head(model_of):
    model = model_of("seq2seq")
    found = model.head_importance(TEXTS, TARGETS, ablation=True)
    scores = -model.score(TEXTS, TARGETS) / [len(x) for x in model.encode(TARGETS, target=True)]
    np.testing.assert_allclose(found.losses, scores, rtol=1e-5)
    without = model.without_heads([("cross", 0, 1)])
    after = -without.score(TEXTS, TARGETS) / [len(x) for x in model.encode(TARGETS, target=True)]
    np.testing.assert_allclose(found.ablations["cross"][:, 0, 1], after - scores, atol=1e-5)


def test_what_has_no_loss_is_refused(model_of):
    with pytest.raises(UserError, match="has no classification head: leave out labels"):
        model_of("encoder").head_importance(TEXTS, labels=[0, 1, 0, 1])
    with pytest.raises(UserError, match=r"texts\[1\] has one token"):
        model_of("decoder").head_importance([np.array([9, 8]), np.array([9])])
