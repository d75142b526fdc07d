"""Classification head: C logits for a text (pooled) or for each token; labelled tasks use it."""

from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from fxformer.errors import UserError
from fxformer.nn.core import Linear
from fxformer.ops.dropout import drop, split_key
from fxformer.types import Count, Part, Rate

Pooling = Literal["first", "last", "mean"]


def pool_first(x: Float[Array, "B T D"], pieces: Bool[Array, "B N T"]) -> Float[Array, "B N D"]:
    """The hidden state of the first token of each piece; of position 0 for an empty one."""
    return jnp.take_along_axis(x, jnp.argmax(pieces, axis=2)[..., None], axis=1)


def pool_last(x: Float[Array, "B T D"], pieces: Bool[Array, "B N T"]) -> Float[Array, "B N D"]:
    """The hidden state of the last token of each piece; of the last position for an empty one."""
    last = pieces.shape[2] - 1 - jnp.argmax(pieces[:, :, ::-1], axis=2)
    return jnp.take_along_axis(x, last[..., None], axis=1)


def pool_mean(x: Float[Array, "B T D"], pieces: Bool[Array, "B N T"]) -> Float[Array, "B N D"]:
    """The mean of the hidden states of each piece; 0 for an empty one."""
    weights = pieces.astype(x.dtype)
    total = jnp.einsum("BNT,BTD->BND", weights, x)
    return total / jnp.maximum(weights.sum(2), 1)[..., None]


POOLINGS = {"first": pool_first, "last": pool_last, "mean": pool_mean}


class ClassificationHead(nnx.Module):
    """Classification head: drop(norm(act(drop(pool(x)) W₁ + b₁))) W₂ + b₂. Devlin et al. 2019.

    classes: number of classes; null: the output is the vector before W₂ (BERT's pooler)
    pooling: hidden state that represents a text: of the first token, of the last one that is not
        padding, or the mean of all; null: logits of each token
    act: after W₁; null: there is no W₁ and no norm
    norm: after the activation (ModernBERT); null: none
    dropout, dense_dropout: of the input of W₂ and of that of W₁ (RoBERTa)
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
        dense_dropout: Rate = 0.0,
        rngs: nnx.Rngs,
    ):
        self.dense = None if act is None else Linear(dim, dim, bias=dense_bias, rngs=rngs)
        self.norm = None if act is None or norm is None else norm(dim, rngs=rngs)
        self.output = None if classes is None else Linear(dim, classes, bias=bias, rngs=rngs)
        self.pooling, self.act = pooling, act
        self.dropout, self.dense_dropout = dropout, dense_dropout

    def __call__(
        self,
        x: Float[Array, "B T D"],
        segments: Int[Array, "B T"],
        *,
        key: Array | None = None,
    ) -> Float[Array, "B *T C"]:
        """Logits of hidden states x. key: PRNG key of dropout; None: no dropout."""
        keys = split_key(key, 2)
        return self._output(self.pooled(x, segments, key=keys[0]), keys[1])

    def pooled(
        self,
        x: Float[Array, "B T D"],
        segments: Int[Array, "B T"],
        *,
        key: Array | None = None,
    ) -> Float[Array, "B *T D"]:
        """The input of the output layer, before its dropout: norm(act(pool(x) W₁ + b₁)).

        One vector for each row, of all its tokens that are not padding.
        """
        if self.pooling is None:
            return self._transformed(x, key)
        whole = (segments > 0)[:, None, :]
        return self._transformed(POOLINGS[self.pooling](x, whole)[:, 0], key)

    def of_pieces(
        self,
        x: Float[Array, "B T D"],
        pieces: Bool[Array, "B N T"],
        *,
        key: Array | None = None,
    ) -> Float[Array, "B N C"]:
        """Logits of several texts of each row. pieces: the tokens of each; none: any logits"""
        if self.pooling is None:
            raise UserError("this head has no pooling: it classifies tokens, not texts")
        return self.of_vectors(POOLINGS[self.pooling](x, pieces), key=key)

    def of_vectors(
        self, x: Float[Array, "*B D"], *, key: Array | None = None
    ) -> Float[Array, "*B C"]:
        """Logits of hidden states that are pooled already."""
        keys = split_key(key, 2)
        return self._output(self._transformed(x, keys[0]), keys[1])

    def _transformed(self, x: Float[Array, "*B D"], key: Array | None) -> Float[Array, "*B D"]:
        if self.dense is not None and self.act is not None:
            x = self.act(self.dense(drop(x, self.dense_dropout, key)))
        return x if self.norm is None else self.norm(x)

    def _output(self, x: Float[Array, "*B D"], key: Array | None) -> Float[Array, "*B C"]:
        return x if self.output is None else self.output(drop(x, self.dropout, key))
