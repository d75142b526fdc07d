"""The chunked cross-entropy against the dense formula: values, gradients, and awkward rows."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fxformer.ops.cross_entropy import cross_entropy

N, E, V = 37, 8, 50


def problem(dtype=jnp.float32, rows=N):
    keys = jax.random.split(jax.random.key(0), 5)
    features = jax.random.normal(keys[0], (rows, E)).astype(dtype)
    kernel = jax.random.normal(keys[1], (V, E)).astype(dtype)
    bias = jax.random.normal(keys[2], (V,))
    targets = jax.random.randint(keys[3], (rows,), 0, V)
    weights = jax.random.bernoulli(keys[4], 0.7, (rows,)).astype(jnp.float32)
    return features, kernel, bias, targets, weights


def dense(features, kernel, bias, targets, weights, smoothing=0.0, z_loss=0.0):
    logits = features.astype(jnp.float32) @ kernel.astype(jnp.float32).T
    logits = logits if bias is None else logits + bias
    soft = optax.smooth_labels(jax.nn.one_hot(targets, V), smoothing)
    z = jax.nn.logsumexp(logits, -1)
    return ((optax.softmax_cross_entropy(logits, soft) + z_loss * z**2) * weights).sum()


def chunked(features, kernel, bias, targets, weights, **knobs):
    return cross_entropy(features, kernel, bias, targets, weights, **knobs)["loss"][0]


def assert_same(ours, theirs, rtol=1e-5, atol=1e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), ours, theirs)


@pytest.mark.parametrize("chunk", [5, 37, 64])
@pytest.mark.parametrize("knobs", [{}, {"smoothing": 0.1, "z_loss": 1e-2}])
def test_equals_the_dense_formula(chunk, knobs):
    given = problem()
    ours = jax.jit(jax.value_and_grad(lambda *a: chunked(*a, chunk=chunk, **knobs), (0, 1, 2, 4)))(
        *given
    )
    theirs = jax.value_and_grad(lambda *a: dense(*a, **knobs), (0, 1, 2, 4))(*given)
    counts = given[4] > 0  # the weight of a row that is not looked at has no gradient
    assert_same(ours[0], theirs[0])
    assert_same(ours[1][:3], theirs[1][:3])
    assert_same(ours[1][3] * counts, theirs[1][3] * counts)


def test_without_a_bias_and_without_gradients():
    features, kernel, _, targets, weights = problem()
    ours = cross_entropy(features, kernel, None, targets, weights, chunk=8)
    assert_same(ours["loss"][0], dense(features, kernel, None, targets, weights))
    assert ours["loss"][1] == weights.sum()


def test_nll_is_not_smoothed_and_accuracy_counts():
    features, kernel, bias, targets, weights = problem()
    sums = cross_entropy(features, kernel, bias, targets, weights, smoothing=0.3, z_loss=0.1)
    assert_same(sums["nll"][0], dense(features, kernel, bias, targets, weights))
    best = (features @ kernel.T + bias).argmax(-1)
    assert sums["accuracy"][0] == ((best == targets) * weights).sum()
    assert sums["loss"][0] > sums["nll"][0]


def test_rows_of_weight_zero_are_not_looked_at():
    features, kernel, bias, targets, weights = problem()
    spoilt = jnp.where(weights > 0, targets, jnp.array([-100, V, 10**6])[jnp.arange(N) % 3])
    poisoned = jnp.where(weights[:, None] > 0, features, jnp.nan)
    run = jax.value_and_grad(lambda x, k, b, t: chunked(x, k, b, t, weights, chunk=8), (0, 1, 2))
    assert_same(run(poisoned, kernel, bias, spoilt), run(features, kernel, bias, targets), 0, 0)
    assert (run(poisoned, kernel, bias, spoilt)[1][0][weights == 0] == 0).all()


def test_no_targets_at_all_is_zero_and_finite():
    features, kernel, bias, targets, weights = problem()
    value, grads = jax.value_and_grad(
        lambda x, k, b: chunked(x, k, b, targets - 999, 0 * weights), (0, 1, 2)
    )(features, kernel, bias)
    assert value == 0
    assert all((grad == 0).all() for grad in grads)


def test_bfloat16_features_score_in_float32():
    features, kernel, bias, targets, weights = problem(jnp.bfloat16)
    value, grads = jax.value_and_grad(
        lambda x, k, b: chunked(x, k, b, targets, weights), (0, 1, 2)
    )(features, kernel, bias)
    theirs = jax.value_and_grad(lambda x, k, b: dense(x, k, b, targets, weights), (0, 1, 2))(
        features, kernel, bias
    )
    assert value.dtype == jnp.float32 and grads[0].dtype == grads[1].dtype == jnp.bfloat16
    assert_same(value, theirs[0])
    wide = [jax.tree.map(lambda g: g.astype(jnp.float32), g) for g in (grads, theirs[1])]
    assert_same(*wide, rtol=0.02, atol=0.03)


def test_the_upstream_gradient_scales():
    given = problem()
    once = jax.grad(lambda x: chunked(x, *given[1:]))(given[0])
    assert_same(jax.grad(lambda x: -2.5 * chunked(x, *given[1:]))(given[0]), -2.5 * once)


def test_inside_checkpoint_and_scan():
    given = problem()

    def total(features):
        def body(carry, _):
            return carry + jax.checkpoint(lambda x: chunked(x, *given[1:], chunk=8))(features), None

        return jax.lax.scan(body, jnp.float32(0), None, length=3)[0]

    value, grad = jax.jit(jax.value_and_grad(total))(given[0])
    assert_same(value, 3 * dense(*given))
    assert_same(grad, 3 * jax.grad(dense)(*given), rtol=1e-4)


def test_the_logits_of_all_rows_never_exist():
    """No array as large as [N, V] in the program, forward and backward."""
    features, kernel, bias, targets, weights = problem(rows=64)
    run = jax.value_and_grad(lambda x, k: chunked(x, k, bias, targets, weights, chunk=8), (0, 1))
    jaxpr = jax.make_jaxpr(run)(features, kernel)
    assert max(sizes(jaxpr.jaxpr)) <= max(V * E, 64 * E, 8 * V)


def sizes(jaxpr):
    """Elements of every array in a program, its inner ones included."""
    for equation in jaxpr.eqns:
        yield from (v.aval.size for v in equation.outvars if hasattr(v.aval, "size"))
        for value in equation.params.values():
            for inner in value if isinstance(value, (tuple, list)) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from sizes(inner)


SHARDED = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from fxformer.ops.cross_entropy import cross_entropy
keys = jax.random.split(jax.random.key(0), 3)
x, k = jax.random.normal(keys[0], (256, 8)), jax.random.normal(keys[1], (48, 8))
t, w = jax.random.randint(keys[2], (256,), 0, 48), jnp.ones(256).at[5:90].set(0)
def loss(x, k, t, w):
    return cross_entropy(x, k, None, t, w, chunk=64)["loss"][0]
run = jax.value_and_grad(loss, (0, 1))
alone = jax.jit(run)(x, k, t, w)
mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
rows, all_ = NamedSharding(mesh, P("data")), NamedSharding(mesh, P())
given = jax.device_put((x, k, t, w), (rows, all_, rows, rows))
step = jax.jit(run).lower(*given).compile()
assert "all-gather" not in step.as_text() and "all-to-all" not in step.as_text()
for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(step(*given)), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
"""


def test_rows_sharded_over_eight_devices_stay_where_they_are():
    """Equal numbers, and no exchange of rows between devices: only sums travel."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "8"}
    subprocess.run([sys.executable, "-c", SHARDED], env=environment, check=True, timeout=600)


def test_accuracy_is_that_of_the_arg_max_with_equal_logits_too():
    """Of equal logits the first counts; a logit that is not a number is never a hit."""
    logits = jax.random.randint(jax.random.key(3), (200, 7), 0, 3).astype(jnp.float32)
    targets = jnp.arange(200) % 7
    kernel = jnp.eye(7)
    hits = cross_entropy(logits, kernel, None, targets, jnp.ones(200), chunk=64)["accuracy"][0]
    expected = int((logits.argmax(-1) == targets).sum())
    assert 20 < expected == int(hits)
    alike = cross_entropy(jnp.zeros((7, 7)), kernel, None, jnp.arange(7), jnp.ones(7))
    assert int(alike["accuracy"][0]) == 1
    broken = cross_entropy(jnp.full((7, 7), jnp.nan), kernel, None, jnp.arange(7), jnp.ones(7))
    assert int(broken["accuracy"][0]) == 0
