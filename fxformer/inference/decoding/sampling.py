"""Sampling from the distribution of the next token, whole or truncated."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.decoding.greedy import Greedy
from fxformer.inference.decoding.processors import EXCLUDED
from fxformer.inference.decoding.scalars import Scalars
from fxformer.inference.decoding.state import DecodingState


class Sampling(Greedy):
    """Draws each token from softmax(truncated logits / temperature).

    The key of a draw depends on the seed, the row's number and the step alone, so that a row reads
    the same in any batch.
    """

    def __init__(self, config: GenerationConfig, scalars: Scalars):
        super().__init__(config, scalars)
        self.temperature, self.truncations = scalars.temperature, build_truncations(config, scalars)

    def choose(self, logits: Float[Array, "R V"], state: DecodingState) -> Array:
        logits = truncate(logits / self.temperature, self.truncations)
        keys = jax.vmap(jax.random.fold_in, (0, None))(state.keys, state.text.step)
        return jax.vmap(jax.random.categorical)(keys, logits)


def truncate(logits: Float[Array, "R V"], truncations: tuple) -> Float[Array, "R V"]:
    """Logits after all truncations, one after the other."""
    for truncation in truncations:
        logits = truncation(logits)
    return logits


def build_truncations(config: GenerationConfig, scalars: Scalars) -> tuple:
    """The truncations that a config asks for, in the order of transformers."""
    found: list = []
    if config.top_k:
        found.append(TopK(config.top_k))
    if config.top_p < 1:
        found.append(TopP(scalars.top_p))
    if config.min_p > 0:
        found.append(MinP(scalars.min_p))
    if config.typical_p < 1:
        found.append(TypicalP(scalars.typical_p))
    return tuple(found)


@dataclasses.dataclass(frozen=True)
class TopK:
    """Keeps the k most probable tokens, and those as probable as the last of them."""

    k: int

    def __call__(self, logits: Float[Array, "R V"]) -> Float[Array, "R V"]:
        best = jax.lax.top_k(logits, min(self.k, logits.shape[-1]))
        # The barrier keeps XLA from sorting the whole vocabulary for the one value that is used.
        least = jax.lax.optimization_barrier(best)[0][:, -1:]
        return jnp.where(logits < least, EXCLUDED, logits)


@dataclasses.dataclass(frozen=True)
class TopP:
    """Keeps the fewest tokens whose probabilities sum to p or more, and at least one. Holtzman et
    al. 2020, sec. 3.1."""

    p: Float[Array, ""] | float

    def __call__(self, logits: Float[Array, "R V"]) -> Float[Array, "R V"]:
        probabilities = jax.nn.softmax(logits.astype(jnp.float32), axis=-1)
        return keep_mass(logits, probabilities, -probabilities, self.p)


@dataclasses.dataclass(frozen=True)
class MinP:
    """Keeps tokens with at least a fraction p of the largest probability."""

    p: Float[Array, ""] | float

    def __call__(self, logits: Float[Array, "R V"]) -> Float[Array, "R V"]:
        probabilities = jax.nn.softmax(logits.astype(jnp.float32), axis=-1)
        least = self.p * probabilities.max(axis=-1, keepdims=True)
        return jnp.where(probabilities < least, EXCLUDED, logits)


@dataclasses.dataclass(frozen=True)
class TypicalP:
    """Keeps the tokens whose information is nearest to the entropy, and whose probabilities sum to
    p or more; at least one. Meister et al. 2023, sec. 4."""

    p: Float[Array, ""] | float

    def __call__(self, logits: Float[Array, "R V"]) -> Float[Array, "R V"]:
        log_p = jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1)
        p = jnp.exp(log_p)
        entropy = -jnp.sum(jnp.where(p > 0, p * log_p, 0), axis=-1, keepdims=True)
        return keep_mass(logits, p, jnp.abs(-log_p - entropy), self.p)


def keep_mass(
    logits: Float[Array, "R V"],
    probabilities: Float[Array, "R V"],
    order: Float[Array, "R V"],
    mass: Float[Array, ""] | float,
) -> Float[Array, "R V"]:
    """Keeps the first tokens, by ascending `order`, whose probabilities sum to `mass` or more.

    The sum is float32: in bfloat16 it stalls below 1 over a large vocabulary. A sum that rounding
    leaves below `mass` by less than a few units in the last place counts as equal to it.
    """
    ranks = jnp.argsort(order, axis=-1, stable=True)
    ordered = jnp.take_along_axis(probabilities, ranks, axis=-1)
    before = jnp.cumsum(ordered, axis=-1) - ordered  # of the tokens that come first
    kept = before < mass - 1e-6
    kept = kept.at[:, 0].set(True)
    kept = jax.vmap(lambda kept, ranks: jnp.zeros_like(kept).at[ranks].set(kept))(kept, ranks)
    return jnp.where(kept, logits, EXCLUDED)
