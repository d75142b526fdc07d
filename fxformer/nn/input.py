"""Input layer of a stack: token embeddings, positions and token types, before the first block."""

from typing import Literal

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from fxformer.nn.core import Embedding, Linear
from fxformer.nn.position import Position
from fxformer.ops.dropout import drop
from fxformer.types import Count, Natural, Part, Rate


class InputLayer(nnx.Module):
    """Input layer: project(drop(norm(scale · token + position + type))).

    width: of the token embeddings (factorised embeddings, Lan et al. 2020, sec. 3.1); null: the
        model's
    scaled: multiply token embeddings by √width (Vaswani et al. 2017, sec. 3.4)
    types: number of token types (BERT's sentence A and B), 0: none
    norm: of the sum; null: none
    project: whether a linear layer maps the width to the model's: `always` (ALBERT), or only
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
        self.type_embedding = Embedding(types, self.width, rngs=rngs) if types else None
        self.norm = None if norm is None else norm(self.width, rngs=rngs)
        needed = project == "always" or self.width != dim
        self.projection = Linear(self.width, dim, rngs=rngs) if needed else None
        self.scale = self.width**0.5 if scaled else 1.0
        self.dropout = dropout

    def __call__(
        self,
        tokens: Float[Array, "B T E"],
        positions: Int[Array, "B T"],
        position: Position,
        *,
        types: Int[Array, "B T"] | None = None,
        key: Array | None = None,
    ) -> Float[Array, "B T D"]:
        x = drop(self.embed(tokens, positions, position, types=types), self.dropout, key)
        return x if self.projection is None else self.projection(x)

    def embed(
        self,
        tokens: Float[Array, "B T E"],
        positions: Int[Array, "B T"],
        position: Position,
        *,
        types: Int[Array, "B T"] | None = None,
    ) -> Float[Array, "B T E"]:
        """norm(scale · token + position + type), which two stacks may share (ELECTRA)."""
        x = tokens if self.scale == 1 else tokens * self.scale
        x = position.embed(x, positions)
        if self.type_embedding is not None:
            x = x + self.type_embedding(jnp.zeros_like(positions) if types is None else types)
        return x if self.norm is None else self.norm(x)


class InputProjection(nnx.Module):
    """project(drop(x)): input layer of a stack that shares another's `InputLayer.embed`.

    width, project, dropout: as of `InputLayer`
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
        needed = project == "always" or width != dim
        self.projection = Linear(width, dim, rngs=rngs) if needed else None

    def __call__(
        self, x: Float[Array, "B T E"], positions, position: Position, *, types=None, key=None
    ) -> Float[Array, "B T D"]:
        x = drop(x, self.dropout, key)
        return x if self.projection is None else self.projection(x)
