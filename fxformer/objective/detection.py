"""Metrics of replaced-token detection."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fxformer.ops.cross_entropy import Sums


def detection(
    logits: Float[Array, "B T"], replaced: Bool[Array, "B T"], counts: Bool[Array, "B T"]
) -> Sums:
    """{name: (sum, weight)} over the tokens that count; float32.

    discriminator_loss: -log p(replaced or not), p = sigmoid(logit); the only one with a gradient.
        To beat: the entropy of the share `replaced`, which is what knowing that share alone gives
    discriminator_accuracy: p > ½ where replaced, p <= ½ where not
    replaced: share of tokens that are not the original ones
    precision: of the tokens called replaced, those that are
    recall: of the replaced tokens, those called so
    """
    loss = jax.nn.softplus(logits) - replaced * logits
    called, replaced = counts & (logits > 0), counts & replaced

    def total(x) -> Array:
        return jnp.sum(jnp.where(counts, x, 0), dtype=jnp.float32)

    tokens, hits = total(counts), total(called & replaced)
    return {
        "discriminator_loss": (total(loss), tokens),
        "discriminator_accuracy": (total(called == replaced), tokens),
        "replaced": (total(replaced), tokens),
        "precision": (hits, total(called)),
        "recall": (hits, total(replaced)),
    }
