"""Hidden states and attention weights of all layers of a stack, and how blocks give them."""

import dataclasses

import flax.struct
from jaxtyping import Array, Float

from fxformer.nn.attention import AttentionContext
from fxformer.nn.ngram import StreamContext


@flax.struct.dataclass
class Intermediates:
    """Hidden states and attention weights of all layers of a stack.

    hidden_states: output of each layer
    self_attention: weights of each head, float32; rows sum to 1, those of padding to 0
    cross_attention: the same over the encoder's output; None: no cross-attention
    self_products, cross_products: (queries, keys) of each head, float32, whose products are the
        logits without what a position scheme adds; None: not captured
    """

    hidden_states: Float[Array, "*L B T D"]
    self_attention: Float[Array, "*L B H T T"]
    cross_attention: Float[Array, "*L B H T S"] | None = None
    self_products: tuple[Float[Array, "*L B T H K"], Float[Array, "*L B T H K"]] | None = None
    cross_products: tuple[Float[Array, "*L B T H K"], Float[Array, "*L B S H K"]] | None = None


def capturing(context, products: bool):
    """The context with an empty list for the weights, and for queries and keys where asked for."""
    return dataclasses.replace(context, capture=[], capture_products=[] if products else None)


def captured(
    x: Float[Array, "B T D"],
    own: AttentionContext | StreamContext,
    cross: AttentionContext | None,
) -> Intermediates:
    """The intermediates of one layer, from the contexts that captured its weights."""
    assert own.capture is not None
    (weights,), of_cross = own.capture, None
    if cross is not None and cross.capture:
        (of_cross,) = cross.capture
    self_products = own.capture_products[0] if own.capture_products else None
    cross_products = cross.capture_products[0] if cross and cross.capture_products else None
    return Intermediates(x, weights, of_cross, self_products, cross_products)
