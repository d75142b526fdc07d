"""From the last layer's vectors to what a model answers."""

from collections.abc import Callable
from typing import ClassVar

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from fxformer.errors import UserError
from fxformer.nn.core import Linear, Table
from fxformer.ops.cross_entropy import CrossEntropy, Sums
from fxformer.types import Part


class DenseTransform(nnx.Module):
    """norm(act(x W + b)), from the model's width to that of the word vectors.

    Devlin et al. 2019: the layer between BERT's last block and its tied output table.
    bias: whether there is a b (ModernBERT: none)
    """

    def __init__(
        self,
        dim: int,
        *,
        width: int,
        act: Callable,
        norm: Part,
        bias: bool = True,
        rngs: nnx.Rngs,
    ):
        self.dense = Linear(dim, width, bias=bias, rngs=rngs)
        self.norm = norm(width, rngs=rngs)
        self.act = act

    def __call__(self, x: Float[Array, "*B D"]) -> Float[Array, "*B E"]:
        return self.norm(self.act(self.dense(x)))


class Head(nnx.Module):
    """logits = features(x) · tableᵀ + bias, kept apart for a loss that wants them so.

    reads: what the word vectors must be kept in for this head to answer with; None: anything
    """

    reads: ClassVar[type | None] = None
    transform: nnx.Module | None = None
    bias: nnx.Param | None = None
    scale: float = 1.0

    def features(self, x: Float[Array, "*B D"]) -> Float[Array, "*B E"]:
        """What is multiplied with the output table."""
        x = x if self.transform is None else self.transform(x)
        return x if self.scale == 1 else x * self.scale

    def table(self, words: Float[Array, "V E"]) -> Float[Array, "V E"]:
        """The output table, given the input one."""
        return words

    def projection(self, words: nnx.Module):
        """(features, kernel [V E], bias [V] | None): logits = features(x) kernelᵀ + bias."""
        bias = None if self.bias is None else self.bias[...]
        own = None if self.reads is None else words.embedding[...]
        return self.features, self.table(own), bias

    def logits(self, x: Float[Array, "*B D"], words: nnx.Module) -> Float[Array, "*B V"]:
        """Unnormalised log-probabilities; float32. words: the model's word table."""
        features, kernel, bias = self.projection(words)
        y = jnp.einsum("...E,VE->...V", features(x), kernel, preferred_element_type=jnp.float32)
        return y if bias is None else y + bias.astype(jnp.float32)

    def score(
        self,
        x: Float[Array, "N D"],
        words: nnx.Module,
        targets: Int[Array, "N"],
        weights: Float[Array, "N"],
        loss: CrossEntropy,
    ) -> Sums:
        """{name: (sum, weight)} that a loss makes of the logits and the targets."""
        features, kernel, bias = self.projection(words)
        return loss(features(x), kernel, bias, targets, weights)

    def kernels(self, words: nnx.Module) -> list[Array]:
        """What a scored vector is multiplied with, the transform aside."""
        return [self.projection(words)[1]]


class TiedHead(Head):
    """The word table serves as the output table. Press and Wolf 2017.

    scaled: multiply by dim^-0.5 first (T5: the word table has unit variance)
    """

    reads = Table

    def __init__(
        self,
        dim: int,
        *,
        vocab: int,
        width: int,
        transform: Part | None = None,
        bias: bool = False,
        scaled: bool = False,
        rngs: nnx.Rngs,
    ):
        if transform is None and width != dim:
            raise UserError(
                f"a tied head needs vectors as wide as the word table: the model is {dim} wide, "
                f"the table {width}; write model/head=mlm (it has a transform) or model/head=untied"
            )
        self.transform = None if transform is None else transform(dim, width=width, rngs=rngs)
        self.bias = nnx.Param(jnp.zeros((vocab,), jnp.float32)) if bias else None
        self.scale = dim**-0.5 if scaled else 1.0


class UntiedHead(Head):
    """An output table of its own.

    transform: a layer before it, to the width of the word vectors
    scaled: multiply by dim^-0.5 first
    """

    def __init__(
        self,
        dim: int,
        *,
        vocab: int,
        width: int,
        transform: Part | None = None,
        bias: bool = False,
        scaled: bool = False,
        rngs: nnx.Rngs,
    ):
        self.transform = None if transform is None else transform(dim, width=width, rngs=rngs)
        self.output = Table(vocab, dim if transform is None else width, rngs=rngs)
        self.bias = nnx.Param(jnp.zeros((vocab,), jnp.float32)) if bias else None
        self.scale = dim**-0.5 if scaled else 1.0

    def table(self, words):
        return self.output.embedding[...]


class ReplacedTokenHead(nnx.Module):
    """act(x W₁ + b₁) w₂ + b₂: a logit for each token, of its being replaced. Clark et al. 2020.

    No output table: `objective=electra` puts it on its discriminator.
    """

    def __init__(self, dim: int, *, vocab: int, width: int, act: Callable, rngs: nnx.Rngs):
        self.dense = Linear(dim, dim, rngs=rngs)
        self.output = Linear(dim, 1, rngs=rngs)
        self.act = act

    def __call__(self, x: Float[Array, "*B D"]) -> Float[Array, "*B"]:
        return self.output(self.act(self.dense(x)))[..., 0]


class Pooler(nnx.Module):
    """tanh(x₀ W + b): a body with no output table, its first vector pooled. Devlin et al. 2019."""

    def __init__(self, dim: int, *, vocab: int, width: int, rngs: nnx.Rngs):
        self.dense = Linear(dim, dim, rngs=rngs)

    def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B D"]:
        return jnp.tanh(self.dense(x[:, 0]))


class NoHead(nnx.Module):
    """A bare body."""

    def __init__(self, dim: int, *, vocab: int, width: int, rngs: nnx.Rngs):
        pass
