"""A less wide encoder beside another, whose word vectors it reads and whose word table it answers
with: the generator of ELECTRA."""

import functools
from collections.abc import Callable
from typing import Any

from flax import nnx
from jaxtyping import Array, Float, Int

from fxformer.errors import UserError
from fxformer.model.transformer import Transformer
from fxformer.nn.embed import Projection
from fxformer.nn.head import Head
from fxformer.nn.position import NoPosition, Position
from fxformer.types import Count, Part

SLACK = 0.01  # 0.333 is meant to be a third


class Generator(nnx.Module):
    """head(transformer(vectors)). Clark et al. 2020, sec. 3.2: tied embeddings.

    It has no table of its own, neither of words nor of positions or types: what it reads are the
    other's `Transformer.vectors`, projected to its own width, and what it answers with is given.
    """

    architecture = "encoder"

    def __init__(
        self, *, transformer: Part, head: Part, vocab: Count, width: Count, rngs: nnx.Rngs
    ):
        self.transformer: Transformer = transformer(rngs=rngs)
        self.head: Head = head(self.transformer.dim, vocab=vocab, width=width, rngs=rngs)

    def __call__(
        self,
        vectors: Float[Array, "B T E"],
        segments: Int[Array, "B T"],
        *,
        positions: Int[Array, "B T"] | None = None,
        key: Array | None = None,
    ) -> Float[Array, "B T D"]:
        return self.transformer(vectors, segments, positions=positions, key=key)[0]

    def projection(self, words: Float[Array, "V E"]):
        """(features, kernel [V E], bias [V] | None): logits = features(x) kernelᵀ + bias."""
        bias = None if self.head.bias is None else self.head.bias[...]
        return self.head.features, self.head.table(words), bias


def narrow(transformer: Part, size: float, width: int) -> Part:
    """The Transformer of a config with `size` times its width, heads and feed-forward, as deep, to
    read vectors of `width`. A share below one head gets one head.

    What a position adds to the words is in those vectors already; what it does inside attention
    is done for the new number of heads. Raises UserError where the share gives no whole heads.
    """
    _, knobs = unfolded(transformer)
    if not {"dim", "heads", "ffn", "attention", "position", "embed"} <= set(knobs):
        raise UserError("a generator is made out of an encoder's Transformer and this has none")
    dim, heads = narrowed(knobs["dim"], knobs["heads"], size)
    share = dim / knobs["dim"]
    position, _ = unfolded(knobs["position"])
    added = getattr(position, "embed", Position.embed) is not Position.embed
    inside = unfolded(knobs["attention"])[1]
    groups = inside.get("kv_heads")
    fewer = {} if groups is None else {"kv_heads": max(round(groups * share), 1)}
    hidden = knobs.get("hidden") or unfolded(knobs["ffn"])[1]["hidden"]
    entry = {k: v for k, v in unfolded(knobs["embed"])[1].items() if k in ("project", "dropout")}
    return functools.partial(
        transformer,
        dim=dim,
        heads=heads,
        hidden=max(round(hidden * share), 1),
        attention=functools.partial(knobs["attention"], **fewer),
        position=NoPosition if added else knobs["position"],
        embed=functools.partial(Projection, width=width, **entry),
    )


def narrowed(dim: int, heads: int, size: float) -> tuple[int, int]:
    """(width, heads) of `size` times them; UserError, with the nearest size, if not whole."""
    fewer = max(round(size * heads), 1)
    share = size if size * heads < 1 - SLACK else fewer / heads
    width = round(share * dim)
    whole = abs(share * dim - width) <= SLACK and abs(share - size) <= SLACK * size
    if whole and width:
        return width, fewer
    near = min(range(1, heads + 1), key=lambda n: (abs(n / heads - size), dim * n % heads))
    raise UserError(
        f"a generator of {size:g} times {dim} wide and {heads} heads would be {size * dim:g} wide "
        f"with {size * heads:g} heads; the nearest that splits: write "
        f"objective.generator_size={near / heads:.4g} ({dim * near // heads} wide, heads: {near})"
    )


def unfolded(part: Part) -> tuple[Callable, dict[str, Any]]:
    """What a partial (of a partial …) calls, and the knobs it gives."""
    knobs: dict[str, Any] = {}
    while isinstance(part, functools.partial):
        knobs = {**part.keywords, **knobs}
        part = part.func
    return part, knobs
