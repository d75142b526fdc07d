"""Output heads: tied and untied language-model heads, replaced-token detection, pooler, none."""

from collections.abc import Callable
from typing import ClassVar, cast

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from fxformer.errors import UserError
from fxformer.nn.core import Embedding, Linear
from fxformer.ops.cross_entropy import CrossEntropy, Sums
from fxformer.types import Part


class DenseTransform(nnx.Module):
    """Dense layer of an MLM head, to the width of the token embeddings: norm(act(x W + b)).

    The layer between BERT's last block and its tied output matrix (Devlin et al. 2019).

    bias: whether there is a b (ModernBERT: no)
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
    """Base of language-model heads: logits = features(x) · kernelᵀ + bias, returned in parts for a
    loss that never forms all logits.

    needs_embedding: class that the model's token embedding must have; None: any
    """

    needs_embedding: ClassVar[type | None] = None
    transform: nnx.Module | None = None
    bias: nnx.Param | None = None
    scale: float = 1.0

    def features(self, x: Float[Array, "*B D"]) -> Float[Array, "*B E"]:
        """What is multiplied with the output matrix."""
        x = x if self.transform is None else self.transform(x)
        return x if self.scale == 1 else x * self.scale

    def output_matrix(self, embedding: Float[Array, "V E"] | None) -> Float[Array, "V E"]:
        """The output matrix, given the model's token embeddings; None: a head without any."""
        assert embedding is not None  # such a head overrides this
        return embedding

    def projection(self, token_embedding: nnx.Module):
        """(features, kernel [V E], bias [V] | None): logits = features(x) kernelᵀ + bias."""
        bias = None if self.bias is None else self.bias[...]
        table = None
        if self.needs_embedding is not None:
            table = cast(Embedding, token_embedding).embedding[...]
        return self.features, self.output_matrix(table), bias

    def logits(self, x: Float[Array, "*B D"], token_embedding: nnx.Module) -> Float[Array, "*B V"]:
        """Unnormalised log-probabilities in float32, given the model's token embedding."""
        features, kernel, bias = self.projection(token_embedding)
        y = jnp.einsum("...E,VE->...V", features(x), kernel, preferred_element_type=jnp.float32)
        return y if bias is None else y + bias.astype(jnp.float32)

    def score(
        self,
        x: Float[Array, "N D"],
        token_embedding: nnx.Module,
        targets: Int[Array, "N"],
        weights: Float[Array, "N"],
        loss: CrossEntropy,
    ) -> Sums:
        """{name: (sum, weight)} of a loss of the logits and the targets."""
        features, kernel, bias = self.projection(token_embedding)
        return loss(features(x), kernel, bias, targets, weights)

    def kernels(self, token_embedding: nnx.Module) -> list[Array]:
        """Matrices that a hidden state is multiplied with for its logits, without the transform."""
        return [self.projection(token_embedding)[1]]


class TiedHead(Head):
    """The token embeddings serve as the output matrix. Press and Wolf 2017.

    transform: a layer before it, to the width of the token embeddings; null: none
    scaled: multiply by dim^-0.5 first (T5, whose token embeddings have unit variance)
    """

    needs_embedding = Embedding

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
                "a tied head needs a model as wide as the token embeddings: the model is "
                f"{dim} wide, they are {width}; write model/head=mlm (it has a transform) or "
                "model/head=untied"
            )
        self.transform = None if transform is None else transform(dim, width=width, rngs=rngs)
        self.bias = nnx.Param(jnp.zeros((vocab,), jnp.float32)) if bias else None
        self.scale = dim**-0.5 if scaled else 1.0


class UntiedHead(Head):
    """An output matrix that is not the token embeddings.

    transform: a layer before it, to the width of the token embeddings; null: none
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
        self.output = Embedding(vocab, dim if transform is None else width, rngs=rngs)
        self.bias = nnx.Param(jnp.zeros((vocab,), jnp.float32)) if bias else None
        self.scale = dim**-0.5 if scaled else 1.0

    def output_matrix(self, embedding):
        return self.output.embedding[...]


class ReplacedTokenHead(nnx.Module):
    """Replaced-token detection: act(x W₁ + b₁) w₂ + b₂, one logit a token. Clark et al. 2020.

    The head of the discriminator of `objective=electra`; it has no output matrix.
    """

    def __init__(self, dim: int, *, vocab: int, width: int, act: Callable, rngs: nnx.Rngs):
        self.dense = Linear(dim, dim, rngs=rngs)
        self.output = Linear(dim, 1, rngs=rngs)
        self.act = act

    def __call__(self, x: Float[Array, "*B D"]) -> Float[Array, "*B"]:
        return self.output(self.act(self.dense(x)))[..., 0]


class Pooler(nnx.Module):
    """BERT's pooler: tanh(x₀ W + b) of the first hidden state, no logits. Devlin et al. 2019."""

    def __init__(self, dim: int, *, vocab: int, width: int, rngs: nnx.Rngs):
        self.dense = Linear(dim, dim, rngs=rngs)

    def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B D"]:
        return jnp.tanh(self.dense(x[:, 0]))


class NoHead(nnx.Module):
    """No head: the model returns hidden states only."""

    def __init__(self, dim: int, *, vocab: int, width: int, rngs: nnx.Rngs):
        pass
