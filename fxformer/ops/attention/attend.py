"""Scaled dot-product attention: softmax(scale · q kᵀ + bias) v, by the backend that suits."""

import jax
from jaxtyping import Array, Bool, Float

from fxformer.ops.attention.choice import Call, choose
from fxformer.ops.attention.cudnn import cudnn_attention
from fxformer.ops.attention.mask import AttentionMask
from fxformer.ops.attention.pallas import pallas_attention
from fxformer.ops.attention.reference import reference_attention, split_heads
from fxformer.ops.attention.splash import splash_attention
from fxformer.ops.attention.tiled import tiled_attention
from fxformer.ops.dropout import row_seeds


def attend(
    q: Float[Array, "B T H K"],
    k: Float[Array, "B S G K"],
    v: Float[Array, "B S G K"],
    mask: AttentionMask | Bool[Array, "#B 1 T S"],
    *,
    bias: Float[Array, "*B H T S"] | None = None,
    scale: float,
    dropout: float = 0.0,
    key: Array | None = None,
    capture: list[Float[Array, "B H T S"]] | None = None,
    backend: str = "auto",
) -> Float[Array, "B T H K"]:
    """softmax(scale · q kᵀ + bias) v over the keys that are not masked. Vaswani et al. 2017, eq. 1.

    The softmax is computed in float32. Each key-value head is shared by H / G queries (Ainslie et
    al. 2023). A query whose keys are all masked (padding) gets something finite that is never used.

    q: may have a multiple of the rows of k and v, so many of which in turn attend to each of these
        (beams of one prompt or source)
    mask: symbolic, or an array that is True where a query attends to a key
    dropout, key: rate of dropout on the attention weights, and its PRNG key (None: no dropout)
    capture: list to which the attention weights are appended, in float32 and 0 where masked; None:
        they need not be formed. The output is the same either way
    backend: one of `choice.Backend`; auto: the fastest for this call. Raises UserError where it
        cannot compute this call, while a run is set up (`choice.recorded`)
    """
    dropping = key is not None and dropout > 0
    call = Call.of(q, k, mask, bias, dropping, capture)
    chosen = choose(backend, call)
    if chosen == "reference" or not isinstance(mask, AttentionMask):
        return reference_attention(q, k, v, mask, bias, scale, dropout, key, capture)
    B, T, H, K = q.shape
    seed = row_seeds(key, B) if dropping and key is not None else None
    grouped = q.reshape(B, T, k.shape[2], -1, K)
    with jax.named_scope(f"attention_{chosen}"):
        y = BACKENDS[chosen](
            grouped, k, v, mask, split_heads(bias, k.shape[2]), scale, seed, dropout
        )
    return y.reshape(q.shape)


BACKENDS = {
    "cpu": tiled_attention,
    "cudnn": cudnn_attention,
    "pallas": pallas_attention,
    "splash": splash_attention,
}
