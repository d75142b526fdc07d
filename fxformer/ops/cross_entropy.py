"""Cross-entropy over a vocabulary, computed in chunks of rows so that all logits never coexist."""

import dataclasses
import functools
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fxformer.types import Count, NonNegative, Rate

Sums = dict[str, tuple[Array, Array]]

# Features up to this width: the gradient of a kernel [V E] is computed as that of its transpose. On
# CPU the product's first operand is rearranged, which costs less for [c E] than for [c V]; for
# wider features the product itself weighs more. Measured: docs/performance.md.
NARROW = 256


@dataclasses.dataclass(frozen=True)
class CrossEntropy:
    """`cross_entropy` with its options.

    smoothing: label smoothing, the probability spread uniformly over the vocabulary (Szegedy et
        al. 2016, sec. 7)
    z_loss: weight of log(Z)², which keeps the normaliser close to 1 (PaLM, sec. 5: 1e-4)
    chunk: tokens whose logits exist at the same time, at least as many as the features are wide;
        memory is chunk × vocabulary × 4 bytes
    """

    smoothing: Rate = 0.0
    z_loss: NonNegative = 0.0
    chunk: Count = 256

    def __call__(
        self,
        features: Float[Array, "N E"],
        kernel: Float[Array, "V E"],
        bias: Float[Array, "V"] | None,
        targets: Int[Array, "N"],
        weights: Float[Array, "N"],
    ) -> Sums:
        """See `cross_entropy`."""
        options = {"smoothing": self.smoothing, "z_loss": self.z_loss, "chunk": self.chunk}
        return cross_entropy(features, kernel, bias, targets, weights, **options)


def cross_entropy(
    features: Float[Array, "N E"],
    kernel: Float[Array, "V E"],
    bias: Float[Array, "V"] | None,
    targets: Int[Array, "N"],
    weights: Float[Array, "N"],
    *,
    smoothing: float = 0.0,
    z_loss: float = 0.0,
    chunk: int = 256,
) -> Sums:
    """{name: (sum, weight)} of -log softmax(features kernelᵀ + bias)[target], in float32 nats.

    loss: with label smoothing and z-loss; the only entry that has a gradient
    nll: the plain negative log-likelihood, whose exponential is the perplexity
    accuracy: number of targets with the largest logit

    Rows of weight 0 are ignored: neither their targets (which may be out of range) nor their
    features (which may be NaN) reach a sum or a gradient. Matrix products are computed in the dtype
    of the features and accumulated in float32.

    A chunk has at least as many rows as the features are wide: each one reads the kernel [V E] and
    adds to its gradient, and should not pass over more numbers for them than for its logits [c V].
    """
    counts = weights != 0
    features = jnp.where(
        counts[:, None], features, 0
    )  # 0 · NaN would be NaN in the kernel's gradient
    targets = jnp.where(counts, targets, 0)
    weights = weights.astype(jnp.float32)
    rows = max(chunk, features.shape[-1])
    cut = functools.partial(fold, count=chunks(len(targets), rows))
    parts = cut(features), kernel, bias, cut(targets), cut(weights)
    scored = _scored((float(smoothing), float(z_loss)), *parts)
    loss, nll, hits = cast(tuple[Array, Array, Array], scored)  # custom_vjp loses the type
    total = weights.sum()
    return {
        "loss": (loss, total),
        "nll": (jax.lax.stop_gradient(nll), total),
        "accuracy": (jax.lax.stop_gradient(hits), total),
    }


def chunks(rows: int, chunk: int) -> int:
    """How many chunks of at most `chunk` rows; at least one."""
    return max(-(-rows // chunk), 1)


def fold(x: Array, count: int) -> Array:
    """[N, …] -> [count, ceil(N / count), …], padded with zeros.

    Row i goes to chunk i mod count, so that rows that are sharded over devices are not moved: each
    chunk has rows of every device.
    """
    short = -len(x) % count
    x = jnp.pad(x, [(0, short)] + [(0, 0)] * (x.ndim - 1))
    return x.reshape(-1, count, *x.shape[1:]).swapaxes(0, 1)


def logits_of(features: Array, kernel: Array, bias: Array | None) -> Float[Array, "c V"]:
    """The logits of a chunk of rows, float32."""
    logits = jnp.einsum("cE,VE->cV", features, kernel, preferred_element_type=jnp.float32)
    return logits if bias is None else logits + bias.astype(jnp.float32)


class Softmax(NamedTuple):
    """The parts of the softmax of a chunk of logits; the exponentials are computed once, for the
    normaliser and for the gradient.

    exps: exp(logits - max) of each row, [c V] float32
    total: their sum, [c] float32
    log_z: log of the sum of exp(logits), [c] float32
    """

    exps: Array
    total: Array
    log_z: Array


def softmax_of(logits: Float[Array, "c V"]) -> Softmax:
    """The parts of softmax(logits)."""
    largest = logits.max(-1, keepdims=True)
    largest = jnp.where(jnp.isfinite(largest), largest, 0)  # inf - inf would be NaN
    exps = jnp.exp(logits - largest)
    total = exps.sum(-1)
    return Softmax(exps, total, jnp.log(total) + largest[:, 0])


def _score(options: tuple, logits: Array, log_z: Array, targets: Array) -> tuple[Array, ...]:
    """(loss, nll, hit) of each row, [c] float32."""
    smoothing, z_loss = options
    right = jnp.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
    nll = log_z - right
    spread = log_z - logits.mean(-1) if smoothing else 0.0  # -mean over the vocabulary of log p
    loss = (1 - smoothing) * nll + smoothing * spread + z_loss * jnp.square(log_z)
    return loss, nll, _is_argmax(logits, targets, right).astype(jnp.float32)


def _is_argmax(logits: Array, targets: Array, right: Array) -> Array:
    """logits.argmax(-1) == targets, [c] bool: no logit is larger than that of the target, and none
    before it as large. On CPU this costs a sixth of an arg max, which XLA does not vectorise.

    right: the logits of the targets
    """
    before = jnp.arange(logits.shape[-1]) < targets[:, None]
    ahead = (logits > right[:, None]) | (before & (logits == right[:, None]))
    return ~ahead.any(-1) & ~jnp.isnan(right)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _scored(options, features, kernel, bias, targets, weights):
    """Sums over all chunks of (loss, nll, hit), each times its weight; float32 scalars."""

    def body(sums, part):
        x, t, w = part
        logits = logits_of(x, kernel, bias)
        scores = _score(options, logits, softmax_of(logits).log_z, t)
        return tuple(s + jnp.vdot(w, score) for s, score in zip(sums, scores, strict=True)), None

    zeros = (jnp.float32(0),) * 3
    return jax.lax.scan(body, zeros, (features, targets, weights))[0]


def _forward(options, features, kernel, bias, targets, weights):
    """The sums, and the gradients of the loss, for which each chunk's logits are needed too."""
    across = kernel.shape[-1] <= NARROW  # whether the gradient of the kernel is added up as [E V]

    def body(carry, part):
        sums, d_kernel, d_bias = carry
        x, t, w = part
        logits = logits_of(x, kernel, bias)
        softmax = softmax_of(logits)
        loss, nll, hit = _score(options, logits, softmax.log_z, t)
        d = gradient(options, softmax, t, w)
        low = d.astype(x.dtype)
        d_x = jnp.einsum("cV,VE->cE", low, kernel, preferred_element_type=jnp.float32)
        operands = (x, low) if across else (low, x)
        product = jnp.einsum("ca,cb->ab", *operands, preferred_element_type=jnp.float32)
        d_bias = None if bias is None else d_bias + d.sum(0)
        sums = tuple(
            s + jnp.vdot(w, score) for s, score in zip(sums, (loss, nll, hit), strict=True)
        )
        return (sums, d_kernel + product, d_bias), (d_x.astype(x.dtype), loss)

    zeros = (jnp.float32(0),) * 3
    d_bias = None if bias is None else jnp.zeros(bias.shape, jnp.float32)
    shape = kernel.shape[::-1] if across else kernel.shape
    carry = zeros, jnp.zeros(shape, jnp.float32), d_bias
    carry, (d_features, losses) = jax.lax.scan(body, carry, (features, targets, weights))
    sums, d_kernel, d_bias = carry
    d_kernel = (d_kernel.T if across else d_kernel).astype(kernel.dtype)
    d_bias = None if bias is None or d_bias is None else d_bias.astype(bias.dtype)
    return sums, (d_features, d_kernel, d_bias, losses)


def gradient(options: tuple, softmax: Softmax, targets: Array, weights: Array) -> Array:
    """d (weight · loss) / d logits, [c V] float32; see `_score` for the loss."""
    smoothing, z_loss = options
    exps, total, log_z = softmax
    scale = weights * (1 + 2 * z_loss * log_z)
    right = jnp.arange(exps.shape[-1]) == targets[:, None]
    target = (1 - smoothing) * right + smoothing / exps.shape[-1]
    return exps * (scale / total)[:, None] - target * weights[:, None]


def _backward(options, saved, cotangents):
    """Scale the gradients of the forward pass; only the loss has one (see `cross_entropy`)."""
    d_features, d_kernel, d_bias, losses = saved
    scale = cotangents[0]

    def times(d):
        return (d * scale).astype(d.dtype)

    return (
        times(d_features),
        times(d_kernel),
        d_bias if d_bias is None else times(d_bias),
        None,
        losses * scale,
    )


_scored.defvjp(_forward, _backward)
