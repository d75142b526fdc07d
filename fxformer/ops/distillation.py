"""Cross-entropy of a student with a teacher's distribution, in chunks of rows."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

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
