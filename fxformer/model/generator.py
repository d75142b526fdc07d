"""ELECTRA's generator: a narrower encoder that shares the discriminator's embeddings."""

import functools
from collections.abc import Callable
from typing import Any

from flax import nnx
from jaxtyping import Array, Float, Int

from fxformer.errors import UserError
from fxformer.model.language_model import LanguageModel
from fxformer.model.transformer import Transformer
from fxformer.nn.head import Head
from fxformer.nn.input import InputProjection
from fxformer.nn.position import NoPosition, Position
from fxformer.types import Count, Part

TOLERANCE = 0.01  # relative; 0.333 means a third


class Generator(nnx.Module):
    """ELECTRA generator: head(transformer(embeddings)), tied embeddings. Clark et al. 2020.

    It has no embeddings of tokens, positions or types: its input is the discriminator's
    `Transformer.input_embeddings`, projected to its own width, and its output matrix is given.
    """

    architecture = "encoder"

    def __init__(
        self, *, transformer: Part, head: Part, vocab: Count, width: Count, rngs: nnx.Rngs
    ):
        self.transformer: Transformer = transformer(rngs=rngs)
        self.head: Head = head(self.transformer.dim, vocab=vocab, width=width, rngs=rngs)

    def __call__(
        self,
        embeddings: Float[Array, "B T E"],
        segments: Int[Array, "B T"],
        *,
        positions: Int[Array, "B T"] | None = None,
        key: Array | None = None,
    ) -> Float[Array, "B T D"]:
        """Hidden states of the last layer. key: PRNG key of dropout; None: no dropout."""
        return self.transformer(embeddings, segments, positions=positions, key=key)[0]

    def projection(self, token_embeddings: Float[Array, "V E"]):
        """(features, kernel [V E], bias [V] | None): logits = features(x) kernelᵀ + bias."""
        bias = None if self.head.bias is None else self.head.bias[...]
        return self.head.features, self.head.output_matrix(token_embeddings), bias


def as_language_model(generator: Generator, model: LanguageModel) -> LanguageModel:
    """The generator with the embeddings of the discriminator `model`: an encoder whose
    `logits(model(batch))` are its own. Arrays are shared with both."""
    made, body = nnx.clone(model), nnx.clone(generator.transformer)
    shared = made.transformer.input
    shared.projection = nnx.data(body.input.projection)
    if isinstance(body.position, NoPosition):  # absolute positions are in the shared embeddings
        body.position = made.transformer.position
    body.input = shared
    made.transformer, made.head = body, nnx.clone(generator.head)
    return made


def scale_transformer(transformer: Part, size: float, width: int) -> Part:
    """The `Transformer` of a config with `size` times its width, heads and feed-forward width, as
    many layers, and input embeddings of `width`. A fraction below one head gives one head.

    Absolute positions are part of the input embeddings already; relative positions are kept, for
    the new number of heads. Raises UserError where width or heads would not be whole.
    """
    _, options = unwrap_partial(transformer)
    if not {"dim", "heads", "ffn", "attention", "position", "input"} <= set(options):
        raise UserError(
            "a generator is derived from an encoder's Transformer, and this model has none"
        )
    dim, heads = scale_width(options["dim"], options["heads"], size)
    fraction = dim / options["dim"]
    position, _ = unwrap_partial(options["position"])
    added = getattr(position, "embed", Position.embed) is not Position.embed
    inside = unwrap_partial(options["attention"])[1]
    groups = inside.get("kv_heads")
    fewer = {} if groups is None else {"kv_heads": max(round(groups * fraction), 1)}
    hidden = options.get("hidden") or unwrap_partial(options["ffn"])[1]["hidden"]
    of_input = unwrap_partial(options["input"])[1].items()
    kept = {k: v for k, v in of_input if k in ("project", "dropout")}
    return functools.partial(
        transformer,
        dim=dim,
        heads=heads,
        hidden=max(round(hidden * fraction), 1),
        attention=functools.partial(options["attention"], **fewer),
        position=NoPosition if added else options["position"],
        input=functools.partial(InputProjection, width=width, **kept),
    )


def scale_width(dim: int, heads: int, size: float) -> tuple[int, int]:
    """(width, heads) of `size` times them; UserError, with the nearest size, if not whole."""
    fewer = max(round(size * heads), 1)
    share = size if size * heads < 1 - TOLERANCE else fewer / heads
    width = round(share * dim)
    whole = abs(share * dim - width) <= TOLERANCE and abs(share - size) <= TOLERANCE * size
    if whole and width:
        return width, fewer
    near = min(range(1, heads + 1), key=lambda n: (abs(n / heads - size), dim * n % heads))
    raise UserError(
        f"a generator of {size:g} times {dim} wide and {heads} heads would be {size * dim:g} wide "
        f"with {size * heads:g} heads; the nearest that splits: write "
        f"objective.generator_size={near / heads:.4g} ({dim * near // heads} wide, heads: {near})"
    )


def unwrap_partial(part: Part) -> tuple[Callable, dict[str, Any]]:
    """The function that nested partials call, and the keyword arguments they give."""
    options: dict[str, Any] = {}
    while isinstance(part, functools.partial):
        options = {**part.keywords, **options}
        part = part.func
    return part, options
