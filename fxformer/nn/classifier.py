"""Classification heads: one of C classes for a whole row (pooled) or for each token."""

from collections.abc import Callable

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from fxformer.nn.core import Linear
from fxformer.ops.dropout import drop, split_key
from fxformer.types import Count, Part, Rate


def pool_each(x: Float[Array, "B T D"], segments: Int[Array, "B T"]) -> Float[Array, "B T D"]:
    """No pooling: the hidden state of each token."""
    return x


def pool_first(x: Float[Array, "B T D"], segments: Int[Array, "B T"]) -> Float[Array, "B D"]:
    """The hidden state at the first position, whether padding or not."""
    return x[:, 0]


def pool_last(x: Float[Array, "B T D"], segments: Int[Array, "B T"]) -> Float[Array, "B D"]:
    """The hidden state of the last token that is not padding."""
    last = segments.shape[1] - 1 - jnp.argmax(segments[:, ::-1] > 0, axis=1)
    return jnp.take_along_axis(x, last[:, None, None], axis=1)[:, 0]


def pool_mean(x: Float[Array, "B T D"], segments: Int[Array, "B T"]) -> Float[Array, "B D"]:
    """The mean of the hidden states of all tokens that are not padding."""
    weights = (segments > 0).astype(x.dtype)[..., None]
    return (x * weights).sum(1) / jnp.maximum(weights.sum(1), 1)


class Classifier(nnx.Module):
    """Classification head: drop(norm(act(pool(x) W₁ + b₁))) W₂ + b₂. Devlin et al. 2019.

    classes: number of classes; null: the output is the vector before W₂ (BERT's pooler)
    pooling: `pool_each`, `pool_first`, `pool_last` or `pool_mean` of this file
    act: after W₁; null: there is no W₁ and no norm
    norm: after the activation (ModernBERT); null: none
    """

    def __init__(
        self,
        dim: int,
        *,
        classes: Count | None,
        pooling: Callable,
        act: Callable | None = None,
        norm: Part | None = None,
        dense_bias: bool = True,
        bias: bool = True,
        dropout: Rate = 0.0,
        rngs: nnx.Rngs,
    ):
        self.dense = None if act is None else Linear(dim, dim, bias=dense_bias, rngs=rngs)
        self.norm = None if act is None or norm is None else norm(dim, rngs=rngs)
        self.output = None if classes is None else Linear(dim, classes, bias=bias, rngs=rngs)
        self.pooling, self.act, self.dropout = pooling, act, dropout

    def __call__(
        self,
        x: Float[Array, "B T D"],
        segments: Int[Array, "B T"],
        *,
        key: Array | None = None,
    ) -> Float[Array, "B *T C"]:
        keys = split_key(key, 2)
        x = self.pooling(x, segments)
        if self.dense is not None and self.act is not None:
            x = self.act(self.dense(drop(x, self.dropout, keys[0])))
        x = x if self.norm is None else self.norm(x)
        return x if self.output is None else self.output(drop(x, self.dropout, keys[1]))
