"""Cross-entropy of an adaptive softmax: frequent tokens, and clusters with a softmax of their own.

As `cross_entropy`, chunk by chunk and with its gradients computed in the forward pass, so that the
logits of each softmax exist once, for one chunk.
"""

import functools
from itertools import accumulate
from typing import cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fxformer.ops.cross_entropy import Sums, chunks, fold, gradient, logits_of, softmax_of

Softmax = tuple[Float[Array, "N E"], Float[Array, "V E"], Float[Array, "V"]]


def adaptive_cross_entropy(
    softmaxes: list[Softmax],
    targets: Int[Array, "N"],
    weights: Float[Array, "N"],
    *,
    z_loss: float = 0.0,
    chunk: int = 256,
) -> Sums:
    """{name: (sum, weight)} of -log p(target), in float32 nats; see `cross_entropy`.

    softmaxes: (features, kernel, bias) of each softmax. The last outputs of the first are the
        clusters, one for each other softmax; ids count through the first one's tokens, then through
        those of each cluster
    targets, weights: id and weight of each row; rows of weight 0 are ignored
    z_loss: weight of log(Z)² of each softmax that the target's probability is a product of
    chunk: rows whose logits exist at the same time

    accuracy: how many targets are the most likely of all tokens
    """
    counts = weights != 0
    targets = jnp.where(counts, targets, 0)
    weights = weights.astype(jnp.float32)
    cut = functools.partial(fold, count=chunks(len(targets), chunk))
    # 0 · NaN would be NaN in the kernel's gradient
    features = [cut(jnp.where(counts[:, None], one[0], 0)) for one in softmaxes]
    kernels, biases = [one[1] for one in softmaxes], [one[2] for one in softmaxes]
    parts = features, kernels, biases, cut(targets), cut(weights)
    scored = _scored(float(z_loss), *parts)
    loss, nll, hits = cast(tuple[Array, Array, Array], scored)  # custom_vjp loses the type
    total = weights.sum()
    return {
        "loss": (loss, total),
        "nll": (jax.lax.stop_gradient(nll), total),
        "accuracy": (jax.lax.stop_gradient(hits), total),
    }


def adaptive_log_softmax(softmaxes: list[tuple]) -> Float[Array, "*B V"]:
    """log p of every id, in float32: log p(cluster) + log p(id | cluster).

    softmaxes: (features [*B, E], kernel [V, E], bias [V]) of each softmax, as in
        `adaptive_cross_entropy`
    """
    logs = []
    for features, kernel, bias in softmaxes:
        y = jnp.einsum("...E,VE->...V", features, kernel, preferred_element_type=jnp.float32)
        logs.append(jax.nn.log_softmax(y + bias.astype(jnp.float32)))
    first = logs[0].shape[-1] - (len(logs) - 1)
    of_cluster = [logs[0][..., first + k, None] for k in range(len(logs) - 1)]
    rest = [log + c for log, c in zip(logs[1:], of_cluster, strict=True)]
    return jnp.concatenate([logs[0][..., :first], *rest], axis=-1)


def _rows(z_loss: float, logits: list[Float[Array, "c V"]], targets: Int[Array, "c"]):
    """((loss, nll, hit) of each row, (output, whether it is used, `Softmax`) of each softmax)."""
    first = logits[0].shape[-1] - (len(logits) - 1)
    softmaxes = [softmax_of(y) for y in logits]
    log_z = [each.log_z for each in softmaxes]
    starts = [0, *accumulate((y.shape[-1] for y in logits[1:-1]), initial=first)][: len(logits)]
    into = [logits[0][:, first + k] - log_z[0] for k in range(len(logits) - 1)]
    shifts = [-log_z[0], *(c - z for c, z in zip(into, log_z[1:], strict=True))]
    leaves = [logits[0][:, :first], *logits[1:]]
    top, right, best, penalty, path = targets, 0.0, -jnp.inf, jnp.square(log_z[0]), []
    for k, (leaf, start, shift) in enumerate(zip(leaves, starts, shifts, strict=True)):
        here = (targets >= start) & (targets < start + leaf.shape[-1])
        own = jnp.where(here, targets - start, 0)
        found = jnp.take_along_axis(leaf, own[:, None], axis=-1)[:, 0] + shift
        right = jnp.where(here, found, right)
        best = jnp.maximum(best, leaf.max(-1) + shift)
        if k:
            top = jnp.where(here, first + k - 1, top)
            penalty += jnp.where(here, jnp.square(log_z[k]), 0)
            path.append((own, here, softmaxes[k]))
    hit = cast(Array, right >= best).astype(jnp.float32)
    scores = (z_loss * penalty - right, -right, hit)
    return scores, [(top, jnp.ones_like(top, bool), softmaxes[0]), *path]


def _logits(features, kernels, biases) -> list[Float[Array, "c V"]]:
    return [logits_of(*one) for one in zip(features, kernels, biases, strict=True)]


def _add(sums, weights, scores):
    return tuple(s + jnp.vdot(weights, score) for s, score in zip(sums, scores, strict=True))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _scored(z_loss, features, kernels, biases, targets, weights):
    """Sums over all chunks of (loss, nll, hit), each times its weight; float32 scalars."""

    def body(sums, part):
        x, t, w = part
        return _add(sums, w, _rows(z_loss, _logits(x, kernels, biases), t)[0]), None

    zeros = (jnp.float32(0),) * 3
    return jax.lax.scan(body, zeros, (features, targets, weights))[0]


def _forward(z_loss, features, kernels, biases, targets, weights):
    """The sums, and the gradients of the loss, for which each chunk's logits are needed too."""

    def body(carry, part):
        sums, d_kernels, d_biases = carry
        x, t, w = part
        logits = _logits(x, kernels, biases)
        scores, path = _rows(z_loss, logits, t)
        d = [gradient((0.0, z_loss), softmax, own, w * on) for own, on, softmax in path]
        d_x, products = [], []
        for each, kernel, given in zip(d, kernels, x, strict=True):
            narrow, wide = each.astype(given.dtype), {"preferred_element_type": jnp.float32}
            d_x.append(jnp.einsum("cV,VE->cE", narrow, kernel, **wide).astype(given.dtype))
            products.append(jnp.einsum("cV,cE->VE", narrow, given, **wide))
        d_kernels = jax.tree.map(jnp.add, d_kernels, products)
        d_biases = [bias + each.sum(0) for bias, each in zip(d_biases, d, strict=True)]
        return (_add(sums, w, scores), d_kernels, d_biases), (d_x, scores[0])

    zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, jnp.float32), (kernels, biases))
    carry = (jnp.float32(0),) * 3, *zeros
    carry, (d_features, losses) = jax.lax.scan(body, carry, (features, targets, weights))
    sums, *d_tables = carry
    d_tables = jax.tree.map(lambda d, a: d.astype(a.dtype), d_tables, [kernels, biases])
    return sums, (d_features, *d_tables, losses)


def _backward(z_loss, saved, cotangents):
    """Scale the gradients of the forward pass; only the loss has one (see `cross_entropy`)."""
    scale = cotangents[0]
    *made, losses = jax.tree.map(lambda d: (d * scale).astype(d.dtype), saved)
    return (*made, None, losses)


_scored.defvjp(_forward, _backward)
