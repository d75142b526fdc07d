"""Optimizers: all learn, and what they share does what it says."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf
from tiny_training import Parts, batch, close, same

from fxformer.rules import RuleError, named
from fxformer.train.gradient_transforms import clip_by_global_norm, global_norm
from fxformer.train.loop_state import averages
from fxformer.train.optim import SGD, AdamW
from fxformer.train.uncorrected_adam import scale_by_uncorrected_adam

NAMES = ["adamw", "uncorrected_adamw", "adafactor", "lion", "muon", "sgd"]
SCHEDULES = ["constant", "linear", "cosine", "inverse_sqrt", "wsd", "one_cycle"]


def constant(count):
    return jnp.float32(1)


def load(group, name, **knobs):
    return instantiate(OmegaConf.merge(OmegaConf.load(f"conf/{group}/{name}.yaml"), knobs))


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_learns(name):
    optimizer = load("optimizer", name, lr={"lion": 1e-2, "adafactor": 0.05}.get(name, 0.02))
    toy = Parts.__wrapped__(optimizer, load("schedule", "cosine"), until=30)
    state, losses = toy.state, []
    for n in range(30):
        state, sums = toy.step(state, batch(n))
        losses.append(averages(sums)["loss"])
    assert np.mean(losses[-3:]) < 0.7 * np.mean(losses[:3])
    assert int(state.skipped) == 0


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_drives_an_optimizer(name):
    schedule = load("schedule", name)
    toy = Parts(SGD(lr=0.1), schedule, until=20)
    state, sums = toy.step(toy.state, batch(0))
    state, sums = toy.step(state, batch(1))
    assert np.isfinite(averages(sums)["loss"])
    assert averages(sums)["update_norm"] > 0


def test_the_shared_chain_is_optax_adamw_with_clipping():
    params, state = Parts().state.params, None
    ours = AdamW(lr=1e-2, weight_decay=0.1, clip=0.5).build(constant, params)
    mask = jax.tree.map(lambda p: p.ndim > 1, params)
    mask["stack"]["blocks"]["bias"] = False
    theirs = optax.chain(
        optax.clip_by_global_norm(0.5), optax.adamw(1e-2, 0.9, 0.999, weight_decay=0.1, mask=mask)
    )
    state, other = ours.init(params), theirs.init(params)
    ours, theirs = jax.jit(ours.update), jax.jit(theirs.update)
    left = right = params
    for seed in range(3):
        grads = jax.tree.map(lambda p: jnp.sin(p * (seed + 2)), params)  # noqa: B023
        update, state = ours(grads, state, left)
        left = optax.apply_updates(left, update)
        update, other = theirs(grads, other, right)
        right = optax.apply_updates(right, update)
    close(left, right, rtol=1e-5)


def zero_step(**knobs):
    """What one step with a zero gradient changes: decay alone."""
    params = jax.tree.map(jnp.ones_like, Parts().state.params)
    tx = SGD(lr=0.5, weight_decay=0.1, momentum=0.0, **knobs).build(constant, params)
    grads = jax.tree.map(jnp.zeros_like, params)
    return named(tx.update(grads, tx.init(params), params)[0])


def test_matrices_decay_and_vectors_do_not():
    found = {path: float(update.mean()) for path, update in zero_step().items()}
    assert found == pytest.approx(
        {
            "embedding": -0.05,
            "head/bias": 0,
            "head/kernel": -0.05,
            "stack/blocks/bias": 0,
            "stack/blocks/kernel": -0.05,
        }
    )


def test_decay_and_multipliers_are_rules():
    found = zero_step(
        decay=[("embedding", 0), ("head/bias", 1)], multipliers=[("blocks/kernel", [1, 0.5])]
    )
    assert not found["embedding"].any()
    assert found["head/bias"][0] == pytest.approx(-0.05)
    np.testing.assert_allclose(found["stack/blocks/kernel"][:, 0, 0], [-0.05, -0.025], rtol=1e-6)


def test_frozen_parameters_never_change_and_have_no_state():
    toy = Parts(AdamW(lr=0.1, freeze=("embedding",)))
    state, _ = toy.step(toy.state, batch(0))
    assert same(state.params["embedding"], toy.state.params["embedding"])
    assert not same(state.params["head"], toy.state.params["head"])
    assert not any("embedding" in path for path in named(state.opt))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("freeze", [["embedding", "bias"], ["stack", "embedding"]])
def test_every_optimizer_freezes(name, freeze):
    optimizer = load("optimizer", name, freeze=freeze)
    params = Parts().state.params
    tx = optimizer.build(constant, params)
    updates, _ = tx.update(params, tx.init(params), params)
    moved = {path for path, update in named(updates).items() if np.any(update)}
    expected = {path for path in named(params) if not any(part in path for part in freeze)}
    assert moved == expected - {path for path in expected if "bias" in path}  # their values are 0


@pytest.mark.parametrize("knob", ["decay", "multipliers", "freeze"])
def test_a_rule_for_nothing_is_refused(knob):
    rule = "embeding" if knob == "freeze" else ("embeding", 0)
    with pytest.raises(RuleError, match=f"optimizer.{knob}.*nearest path is embedding"):
        AdamW(lr=1.0, **{knob: [rule]}).build(constant, Parts().state.params)


def test_clipping_scales_to_the_limit_and_leaves_what_is_not_finite():
    def clip(g, limit=1.0):
        return clip_by_global_norm(limit).update(g, None)[0]

    big = {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    assert float(global_norm(clip(big))) == pytest.approx(1.0)
    assert same(clip(big, 10.0), big)
    broken = {"a": jnp.array([jnp.inf, 1.0])}
    np.testing.assert_array_equal(clip(broken)["a"], [np.inf, 1.0])


def test_adam_without_bias_correction_is_adam_times_the_corrections():
    b1, b2 = 0.9, 0.999
    params = {"kernel": jnp.array([[0.5, -2.0], [3.0, 0.1]])}
    plain, ours = optax.scale_by_adam(b1, b2, eps=0), scale_by_uncorrected_adam(b1, b2, eps=0)
    state, other = plain.init(params), ours.init(params)
    for step in range(1, 5):
        grads = jax.tree.map(lambda p: jnp.cos(p * step), params)  # noqa: B023
        wanted, state = plain.update(grads, state)
        update, other = ours.update(grads, other)
        factor = (1 - b1**step) / np.sqrt(1 - b2**step)
        close(update, jax.tree.map(lambda u: u * factor, wanted), rtol=1e-4)  # noqa: B023
