"""Losses of classification and regression heads, as sums and weights over labels."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fxformer.ops.cross_entropy import Sums


def sums_of(
    losses: Float[Array, "*B"], weights: Float[Array, "*B"], counts: Float[Array, "*B"], **more
) -> Sums:
    """{"loss": (Σ weight · loss, Σ weight)} and {name: (Σ count · value, Σ count)} of the rest.

    counts: 1 for each label, 0 for padding; only `loss` has a gradient
    """
    found = {"loss": (jnp.sum(weights * losses), weights.sum())}
    for name, values in more.items():
        found[name] = (jax.lax.stop_gradient(jnp.sum(counts * values)), counts.sum())
    return found


def softmax_loss(
    logits: Float[Array, "*B C"],
    classes: Int[Array, "*B"],
    counts: Float[Array, "*B"],
    *,
    smoothing: float = 0.0,
    class_weights: Float[Array, "C"] | None = None,
) -> Sums:
    """loss, nll and accuracy of one class of many; nats.

    smoothing: probability spread uniformly over all classes (Szegedy et al. 2016, sec. 7)
    class_weights: factor on the loss of the labels of each class
    """
    logs = jax.nn.log_softmax(logits.astype(jnp.float32))
    nll = -jnp.take_along_axis(logs, classes[..., None], axis=-1)[..., 0]
    losses = (1 - smoothing) * nll - smoothing * logs.mean(-1) if smoothing else nll
    weights = counts if class_weights is None else counts * class_weights[classes]
    hits = (logits.argmax(-1) == classes).astype(jnp.float32)
    return sums_of(losses, weights, counts, nll=nll, accuracy=hits)


def sigmoid_loss(
    logits: Float[Array, "*B C"], classes: Float[Array, "*B C"], counts: Float[Array, "*B"]
) -> Sums:
    """loss (mean binary cross-entropy over classes) and accuracy (all classes right)."""
    logits = logits.astype(jnp.float32)
    losses = -(classes * jax.nn.log_sigmoid(logits) + (1 - classes) * jax.nn.log_sigmoid(-logits))
    hits = jnp.all((logits > 0) == (classes > 0.5), axis=-1).astype(jnp.float32)
    return sums_of(losses.mean(-1), counts, counts, accuracy=hits)


def squared_loss(
    values: Float[Array, "*B"], targets: Float[Array, "*B"], counts: Float[Array, "*B"]
) -> Sums:
    """loss: mean squared error; mae: mean absolute error."""
    difference = values.astype(jnp.float32) - targets
    return sums_of(jnp.square(difference), counts, counts, mae=jnp.abs(difference))
