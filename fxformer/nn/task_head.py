"""Classification head: C logits for a text (pooled) or for each token; labelled tasks use it."""

from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from fxformer.nn.core import Linear
from fxformer.ops.dropout import drop, split_key
from fxformer.types import Count, Part, Rate

Pooling = Literal["first", "last", "mean"]


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


POOLINGS = {"first": pool_first, "last": pool_last, "mean": pool_mean}


class ClassificationHead(nnx.Module):
    """Classification head: drop(norm(act(pool(x) W₁ + b₁))) W₂ + b₂. Devlin et al. 2019.

    classes: number of classes; null: the output is the vector before W₂ (BERT's pooler)
    pooling: hidden state that represents a text: of the first token, of the last one that is not
        padding, or the mean of all; null: logits of each token
    act: after W₁; null: there is no W₁ and no norm
    norm: after the activation (ModernBERT); null: none
    """

    def __init__(
        self,
        dim: int,
        *,
        classes: Count | None,
        pooling: Pooling | None = None,
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
        """Logits of hidden states x. key: PRNG key of dropout; None: no dropout."""
        keys = split_key(key, 2)
        x = self.pooled(x, segments, key=keys[0])
        return x if self.output is None else self.output(drop(x, self.dropout, keys[1]))

    def pooled(
        self,
        x: Float[Array, "B T D"],
        segments: Int[Array, "B T"],
        *,
        key: Array | None = None,
    ) -> Float[Array, "B *T D"]:
        """The input of the output layer, before its dropout: norm(act(pool(x) W₁ + b₁))."""
        x = x if self.pooling is None else POOLINGS[self.pooling](x, segments)
        if self.dense is not None and self.act is not None:
            x = self.act(self.dense(drop(x, self.dropout, key)))
        return x if self.norm is None else self.norm(x)
