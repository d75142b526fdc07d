"""A stack of layers gets the updates its layers would get alone."""

import jax
import jax.numpy as jnp
import optax
from tiny_training import close

from fxformer.train.gradient_transforms import per_layer
from fxformer.train.optim import Adafactor, Muon


def tree(seed, layers=3):
    keys = jax.random.split(jax.random.key(seed), 3)
    stacked = {"kernel": jax.random.normal(keys[0], (layers, 4, 6))}
    other = {"kernel": jax.random.normal(keys[1], (layers - 1, 4, 4))}
    plain = jax.random.normal(keys[2], (5, 4))
    return {"encoder": {"blocks": stacked}, "decoder": {"blocks": other}, "table": plain}


def alone(tx, grads, params, where):
    """Two steps of `tx` on one leaf."""
    grads, params, state = [where(g) for g in grads], where(params), None
    state, advance = tx.init(params), jax.jit(tx.update)
    for grad in grads:
        update, state = advance(grad, state, params)
    return update


def check(tx, wrapped):
    params, grads = tree(0), [tree(1), tree(2)]
    state, advance = wrapped.init(params), jax.jit(wrapped.update)
    for grad in grads:
        update, state = advance(grad, state, params)
    close(update["table"], alone(tx, grads, params, lambda t: t["table"]))
    for side in ("encoder", "decoder"):
        stacked = update[side]["blocks"]["kernel"]
        for layer in range(stacked.shape[0]):
            one = alone(tx, grads, params, lambda t: t[side]["blocks"]["kernel"][layer])  # noqa: B023
            close(stacked[layer], one)


def test_trust_ratio():
    tx = optax.scale_by_trust_ratio()
    check(tx, per_layer(tx))


def test_adafactor():
    tx = optax.chain(
        optax.scale_by_factored_rms(min_dim_size_to_factor=2),
        optax.clip_by_block_rms(1.0),
        optax.scale_by_param_block_rms(1e-3),
    )
    check(tx, Adafactor(lr=1.0, factor_from=2).direction(tree(0)))


def test_muon_orthogonalises_each_layer():
    params, grads = tree(0), tree(1)
    tx = Muon(lr=1.0, rms=1.0).direction(params)
    update = jax.jit(tx.update)(grads, tx.init(params), params)[0]["encoder"]["blocks"]["kernel"]
    for layer in update:
        values = jnp.linalg.svd(layer / 6**0.5, compute_uv=False)
        assert 0.5 < float(values.min()) <= float(values.max()) < 1.3


def test_muon_matches_optax_on_one_matrix():
    params, grads = tree(0), tree(1)
    ours = Muon(lr=1.0, rms=0.2).direction(params)
    update = jax.jit(ours.update)(grads, ours.init(params), params)[0]

    def one(t):
        return t["encoder"]["blocks"]["kernel"][1]

    theirs = optax.contrib.muon(1.0, consistent_rms=0.2)
    expected = theirs.update({"w": one(grads)}, theirs.init({"w": one(params)}), {"w": one(params)})
    close(one(update), -expected[0]["w"])
    adam = optax.scale_by_adam(0.9, 0.95)
    table = adam.update(grads["table"], adam.init(params["table"]))[0]
    close(update["table"], table)
