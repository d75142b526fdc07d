"""The input side of a stack: what becomes of a word vector before the first layer."""

from typing import Literal

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from fxformer.nn.core import Linear, Table, drop
from fxformer.nn.position import Position
from fxformer.types import Count, Natural, Part, Rate


class Embedding(nnx.Module):
    """project(drop(norm(scale · words + position + type))).

    width: of the word vectors, where it differs from the model's (factorised embeddings, Lan et
        al. 2020, sec. 3.1); null: the model's
    scaled: multiply word vectors by √width (Vaswani et al. 2017, sec. 3.4)
    types: number of token types (BERT's sentence A and B), 0: none
    norm: whether a norm follows the sum
    project: when a dense layer brings the width to the model's: `always` (ALBERT), or only
        `if_different` (ELECTRA)
    """

    def __init__(
        self,
        dim: int,
        *,
        norm: Part | None,
        width: Count | None = None,
        scaled: bool = False,
        types: Natural = 0,
        project: Literal["always", "if_different"] = "if_different",
        dropout: Rate = 0.0,
        rngs: nnx.Rngs,
    ):
        self.width = width or dim
        self.types = Table(types, self.width, rngs=rngs) if types else None
        self.norm = None if norm is None else norm(self.width, rngs=rngs)
        wanted = project == "always" or self.width != dim
        self.project = Linear(self.width, dim, rngs=rngs) if wanted else None
        self.scale = self.width**0.5 if scaled else 1.0
        self.dropout = dropout

    def __call__(
        self,
        words: Float[Array, "B T E"],
        at: Int[Array, "B T"],
        position: Position,
        *,
        types: Int[Array, "B T"] | None = None,
        key: Array | None = None,
    ) -> Float[Array, "B T D"]:
        x = drop(self.vectors(words, at, position, types=types), self.dropout, key)
        return x if self.project is None else self.project(x)

    def vectors(
        self,
        words: Float[Array, "B T E"],
        at: Int[Array, "B T"],
        position: Position,
        *,
        types: Int[Array, "B T"] | None = None,
    ) -> Float[Array, "B T E"]:
        """norm(scale · words + position + type): what two stacks may share."""
        x = words if self.scale == 1 else words * self.scale
        x = position.embed(x, at)
        if self.types is not None:
            x = x + self.types(jnp.zeros_like(at) if types is None else types)
        return x if self.norm is None else self.norm(x)


class Projection(nnx.Module):
    """project(drop(x)): the input side of a stack that reads another's `Embedding.vectors`.

    width, project, dropout: as of `Embedding`
    """

    def __init__(
        self,
        dim: int,
        *,
        width: Count,
        project: Literal["always", "if_different"] = "if_different",
        dropout: Rate = 0.0,
        rngs: nnx.Rngs,
    ):
        self.width, self.dropout = width, dropout
        wanted = project == "always" or width != dim
        self.project = Linear(width, dim, rngs=rngs) if wanted else None

    def __call__(
        self, x: Float[Array, "B T E"], at, position: Position, *, types=None, key=None
    ) -> Float[Array, "B T D"]:
        x = drop(x, self.dropout, key)
        return x if self.project is None else self.project(x)
