"""Attention weights of a text, one array for each kind of attention of a model."""

import dataclasses
from typing import Literal

import numpy as np
from flax import nnx
from jaxtyping import Float

from fxformer.batch import Batch, Vocabulary
from fxformer.inference.forward import AttentionWeights, run_rows

Kind = Literal["encoder", "decoder", "cross"]


@dataclasses.dataclass(frozen=True)
class Attention:
    """Attention weights of one stack.

    queries: token ids of the attending positions [T]
    keys: token ids of the attended positions [S]
    weights: rows sum to 1
    """

    kind: Kind
    queries: np.ndarray
    keys: np.ndarray
    weights: Float[np.ndarray, "L H T S"]


def attention_of(
    graphdef: nnx.GraphDef,
    params: dict,
    row: Batch,
    vocabulary: Vocabulary,
    *,
    architecture: str,
    max_tokens: int | None = None,
) -> list[Attention]:
    """Attention weights of a forward pass over one row [1, t], float32, without dropout.

    architecture: encoder and decoder: one entry; seq2seq: encoder, decoder, cross
    """
    read = row.replace(targets=None, weights=None, picked=None, noise=None, balance=None)
    (made,) = run_rows(
        graphdef, params, [read], AttentionWeights(), vocabulary, max_tokens=max_tokens
    )
    tokens = np.asarray(row.tokens)[0]
    if row.source is None:
        return [
            _unpadded(
                "decoder" if architecture == "decoder" else "encoder", tokens, tokens, made[0]
            )
        ]
    source = np.asarray(row.source)[0]
    return [
        _unpadded("encoder", source, source, made[0]),
        _unpadded("decoder", tokens, tokens, made[1]),
        _unpadded("cross", tokens, source, made[2]),
    ]


def _unpadded(kind: Kind, queries: np.ndarray, keys: np.ndarray, weights) -> Attention:
    """Remove padding; padded keys have weight 0, so the remaining rows still sum to 1."""
    return Attention(kind, queries, keys, np.asarray(weights)[..., : len(queries), : len(keys)])
