"""Neuron view: products of queries and keys, channel by channel (Vig 2019, BertViz)."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fxformer.batch import Batch
from fxformer.inference.attention import Attention


@dataclasses.dataclass(frozen=True)
class QueriesKeys:
    """Queries and keys of every layer and head of one kind of attention.

    attention: its weights and token ids
    q: queries, scaled, after rotary embedding
    k: keys; the logit of a pair is Σ_c q_c k_c plus what the position scheme adds to it
    """

    attention: Attention
    q: Float[np.ndarray, "L T H K"]
    k: Float[np.ndarray, "L S H K"]

    def products(self, layer: int, head: int, query: int, key: int) -> Float[np.ndarray, "K"]:
        """q_c k_c of each channel for a pair of positions."""
        return self.q[layer, query, head] * self.k[layer, key, head]


@dataclasses.dataclass(frozen=True)
class Products:
    """(queries [B, L, T, H, K], keys [B, L, S, H, K]) of each kind of attention, float32; of a
    seq2seq model those of the encoder, the decoder and of cross-attention."""

    def __call__(self, module: Any, batch: Batch) -> tuple[tuple[Array, Array], ...]:
        made = module.intermediates(batch, products=True)
        if module.architecture != "seq2seq":
            found = (made.self_products,)
        else:
            encoder, decoder = made
            found = (encoder.self_products, decoder.self_products, decoder.cross_products)
        return tuple((jnp.moveaxis(q, 1, 0), jnp.moveaxis(k, 1, 0)) for q, k in found)
