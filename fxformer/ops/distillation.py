"""Cross-entropy of a student with a teacher's distribution, in chunks of rows."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fxformer.ops.cross_entropy import chunks, fold, logits_of

ABSENT = -1e8  # a logit below stands for a class that a row does not have


class Projection(NamedTuple):
    """What gives the logits of N rows: features kernelᵀ + bias."""

    features: Float[Array, "N E"]
    kernel: Float[Array, "V E"]
    bias: Float[Array, "V"] | None

    def rows(self, count: int) -> "Projection":
        """The same for the first `count` words of the vocabulary."""
        if len(self.kernel) == count:
            return self
        bias = None if self.bias is None else self.bias[:count]
        return Projection(self.features, self.kernel[:count], bias)


class Differences(NamedTuple):
    """Sums over rows, each times its weight; float32 scalars, nats.

    cross_entropy: -Σ p_teacher log p_student at the temperature
    divergence: KL(p_teacher ‖ p_student) at the temperature
    squared: mean over the classes of a row of the squared differences of logits
    """

    cross_entropy: Float[Array, ""]
    divergence: Float[Array, ""]
    squared: Float[Array, ""]


def differences(
    student: Float[Array, "*B V"],
    teacher: Float[Array, "*B V"],
    weights: Float[Array, "*B"],
    temperature: float,
) -> Differences:
    """The differences of two sets of logits. Logits of rows of weight 0 may be NaN.

    A class of a logit below ABSENT is none of its row."""
    counts = weights != 0
    student = jnp.where(counts[..., None], student.astype(jnp.float32), 0)
    teacher = jnp.where(counts[..., None], teacher.astype(jnp.float32), 0)
    log_q = jax.nn.log_softmax(student / temperature)
    log_p = jax.nn.log_softmax(teacher / temperature)
    p, there = jnp.exp(log_p), teacher > ABSENT
    squares = jnp.where(there, jnp.square(student - teacher), 0)
    each = (
        -jnp.sum(p * log_q, axis=-1),
        jnp.sum(p * (log_p - log_q), axis=-1),
        jnp.sum(squares, axis=-1) / jnp.maximum(there.sum(axis=-1), 1),
    )
    return Differences(*(jnp.sum(weights * values) for values in each))


def log_top_k(
    teacher: Projection, k: int, temperature: float, *, chunk: int = 256
) -> tuple[Array, Array, Array, Array, Array]:
    """Of N rows at a temperature: (ids [N k], log p [N k], log of the mass of all others [N],
    entropy [N], entropy with all others as one class [N]), in nats; `chunk` rows of logits at a
    time."""
    count = chunks(len(teacher.features), chunk)
    rows = fold(teacher.features, count)

    def body(_, x):
        logits = logits_of(x, teacher.kernel, teacher.bias).astype(jnp.float32)
        log_p = jax.nn.log_softmax(logits / temperature)
        best, ids = jax.lax.top_k(log_p, k)
        rest = log_rest(log_p, ids)
        coarse = -(jnp.exp(best) * best).sum(-1) - _xlogx(rest)
        return None, (ids, best, rest, -(jnp.exp(log_p) * log_p).sum(-1), coarse)

    found = jax.lax.scan(body, None, rows)[1]
    size = len(teacher.features)  # the inverse of `fold`
    return jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(-1, *x.shape[2:])[:size], found)


def log_rest(log_p: Float[Array, "N V"], ids: Int[Array, "N k"]) -> Float[Array, "N"]:
    """log of the mass outside some classes of each row; -inf where there is none."""
    if ids.shape[-1] == log_p.shape[-1]:
        return jnp.full(len(log_p), -jnp.inf)
    others = log_p.at[jnp.arange(len(log_p))[:, None], ids].set(-jnp.inf)
    return jax.nn.logsumexp(others, axis=-1)


def _xlogx(log_x: Array) -> Array:
    """x log x, 0 at x = 0."""
    finite = jnp.isfinite(log_x)
    return jnp.where(finite, jnp.exp(log_x) * jnp.where(finite, log_x, 0), 0)


def top_k_differences(
    student: Projection,
    ids: Int[Array, "N k"],
    log_p: Float[Array, "N k"],
    rest: Float[Array, "N"],
    weights: Float[Array, "N"],
    *,
    temperature: float = 1.0,
    chunk: int = 256,
) -> Differences:
    """Differences from a teacher of which k classes and the mass of all others are known.

    All others are one class, of the student too: -Σ p log q - p_rest log q_rest. With k = V this is
    the cross-entropy of `projected_differences`; otherwise it, and the divergence, are smaller by
    what the rest hides (the log-sum inequality). `squared` is 0.
    """
    counts = weights != 0
    cut = functools.partial(fold, count=chunks(len(weights), chunk))
    features = jnp.where(counts[:, None], student.features, 0)

    @jax.checkpoint
    def body(total, part):
        x, at, p_log, other, w = part
        logits = logits_of(x, student.kernel, student.bias).astype(jnp.float32)
        log_q = jax.nn.log_softmax(logits / temperature)
        own, hidden = jnp.take_along_axis(log_q, at, axis=-1), log_rest(log_q, at)
        known = jnp.isfinite(other) & jnp.isfinite(hidden)
        hidden, other = jnp.where(known, hidden, 0), jnp.where(known, other, 0)
        p, p_rest = jnp.exp(p_log), jnp.where(known, jnp.exp(other), 0)
        cross = -(p * own).sum(-1) - p_rest * hidden
        divergence = (p * (p_log - own)).sum(-1) + p_rest * (other - hidden)
        found = Differences(jnp.sum(w * cross), jnp.sum(w * divergence), jnp.float32(0))
        return jax.tree.map(jnp.add, total, found), None

    zeros = Differences(*(jnp.float32(0),) * 3)
    rows = (features, ids, log_p, rest, weights.astype(jnp.float32))
    return jax.lax.scan(body, zeros, tuple(cut(one) for one in rows))[0]


def projected_differences(
    student: Projection,
    teacher: Projection,
    weights: Float[Array, "N"],
    *,
    temperature: float = 1.0,
    chunk: int = 256,
) -> Differences:
    """`differences` of projections; the logits of `chunk` rows exist at a time, in the backward
    pass too, where they are computed again."""
    counts = weights != 0
    cut = functools.partial(fold, count=chunks(len(weights), chunk))
    rows = [cut(jnp.where(counts[:, None], one.features, 0)) for one in (student, teacher)]

    @jax.checkpoint
    def body(total, part):
        x, y, w = part
        found = differences(
            logits_of(x, student.kernel, student.bias),
            logits_of(y, teacher.kernel, teacher.bias),
            w,
            temperature,
        )
        return jax.tree.map(jnp.add, total, found), None

    zeros = Differences(*(jnp.float32(0),) * 3)
    return jax.lax.scan(body, zeros, (*rows, cut(weights.astype(jnp.float32))))[0]
