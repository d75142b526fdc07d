"""Sampling from a softmax with given random bits: a pure function of logits and bits."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt32

from fxformer.ops.cross_entropy import chunks, fold

BLOCK = 128  # ids whose probabilities are added up together


def sample(
    features: Float[Array, "N E"],
    kernel: Float[Array, "V E"],
    bias: Float[Array, "V"] | None,
    noise: UInt32[Array, "N"],
    *,
    size: int,
    chunk: int,
) -> Int[Array, "N"]:
    """One id below `size` for each row, of probability softmax(features kernelᵀ + bias). int32.

    By inversion of the distribution function at noise / 2³², of which float32 keeps 24 bits.
    `chunk` rows of logits exist at once. There is no gradient.
    """
    count = chunks(len(noise), chunk)
    features, kernel, bias = jax.lax.stop_gradient((features, kernel, bias))

    def draw(part):
        x, bits = part
        logits = jnp.einsum("cE,VE->cV", x, kernel, preferred_element_type=jnp.float32)
        logits = logits if bias is None else logits + bias.astype(jnp.float32)
        logits = logits[:, :size]
        weights = jnp.exp(logits - logits.max(-1, keepdims=True))
        return invert(weights, (bits >> 8).astype(jnp.float32) * 2.0**-24)

    drawn = jax.lax.map(draw, (fold(features, count), fold(noise, count)))
    return drawn.swapaxes(0, 1).reshape(-1)[: len(noise)]


def invert(weights: Float[Array, "c V"], at: Float[Array, "c"]) -> Int[Array, "c"]:
    """The smallest id whose cumulative weight is above `at` times the total. at: in [0, 1).

    First the block of ids, then the id in it: sums of few numbers, so that float32 suffices.
    """
    short = -weights.shape[-1] % BLOCK
    blocks = jnp.pad(weights, ((0, 0), (0, short))).reshape(len(weights), -1, BLOCK)
    sums = blocks.sum(-1)
    edges = jnp.cumsum(sums, -1)
    aim = at * edges[:, -1]
    block = _first_above(sums, edges, aim)
    take = block[:, None]
    before = jnp.take_along_axis(edges - sums, take, 1)[:, 0]
    inside = jnp.take_along_axis(blocks, take[..., None], 1)[:, 0]
    return block * BLOCK + _first_above(inside, jnp.cumsum(inside, -1), aim - before)


def _first_above(weights, edges, aim) -> Int[Array, "c"]:
    """Where the edges pass `aim`; the heaviest where rounding lets them end before it."""
    place = (edges <= aim[:, None]).sum(-1, dtype=jnp.int32)
    return jnp.where(place < edges.shape[-1], place, weights.argmax(-1).astype(jnp.int32))
