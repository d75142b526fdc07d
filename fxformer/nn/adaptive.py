"""Frequent words get wide vectors, rare ones narrow ones; in the input and in the output."""

from collections.abc import Sequence
from itertools import pairwise

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from fxformer.errors import UserError
from fxformer.nn.core import Linear, Table
from fxformer.nn.head import Head
from fxformer.ops.adaptive_softmax import adaptive_cross_entropy, adaptive_log_softmax
from fxformer.types import Count


def clusters(vocab: int, cutoffs: Sequence[int] | None) -> tuple[int, ...]:
    """Where the clusters of a vocabulary begin and end: (0, …, vocab); cutoffs null: an eighth and
    a half of it. Raises UserError for cutoffs that do not rise to the vocabulary."""
    if cutoffs is None:
        cutoffs = sorted({max(vocab // 8, 1), vocab // 2} - {0, vocab})
    bounds = (0, *cutoffs, vocab)
    if any(low >= high for low, high in pairwise(bounds)):
        raise UserError(
            f"cutoffs must rise and stay below the vocabulary of {vocab}, got {list(cutoffs)}: "
            "write model.words.cutoffs=null, or such numbers"
        )
    return bounds


def widths(first: int, shrink: int, count: int) -> list[int]:
    """Of the vectors of each cluster. UserError where nothing is left."""
    if first // shrink ** (count - 1) < 1:
        raise UserError(
            f"vectors of {first} cannot be divided by {shrink} {count - 1} times: write a smaller "
            "model.words.shrink, or fewer model.words.cutoffs"
        )
    return [first // shrink**k for k in range(count)]


class AdaptiveTable(nnx.Module):
    """table_k[id - start of cluster k] P_k. Baevski and Auli 2019, sec. 3: word vectors whose width
    falls with the rank of the word. Ids are ranks: what is frequent comes first.

    cutoffs: the ids at which a new cluster begins; null: an eighth and a half of the vocabulary
    width: of the first cluster's vectors; null: the model's
    shrink: each cluster's are so many times narrower than those before
    """

    def __init__(
        self,
        size: int,
        dim: int,
        *,
        cutoffs: list[Count] | None = None,
        width: Count | None = None,
        shrink: Count = 1,
        rngs: nnx.Rngs,
    ):
        self.bounds, first = clusters(size, cutoffs), width or dim
        own = widths(first, shrink, len(self.bounds) - 1)
        rows = [high - low for low, high in pairwise(self.bounds)]
        names = [str(k) for k in range(len(rows))]
        made = zip(names, rows, own, strict=True)
        self.tables = nnx.Dict({name: Table(n, w, rngs=rngs) for name, n, w in made})
        wanted = zip(names, own, strict=True) if shrink > 1 or first != dim else ()
        self.projections = nnx.Dict({n: Linear(w, dim, bias=False, rngs=rngs) for n, w in wanted})

    def __call__(self, ids: Int[Array, "*B"]) -> Float[Array, "*B D"]:
        y = None
        for name, (low, high) in zip(self.tables, pairwise(self.bounds), strict=True):
            x = self.tables[name](jnp.clip(ids - low, 0, high - low - 1))
            x = self.projections[name](x) if name in self.projections else x
            y = x if y is None else jnp.where((ids >= low)[..., None], x, y)
        return y


class AdaptiveHead(Head):
    """log p(word) = log p(cluster) + log p(word | cluster); the first cluster's words and the other
    clusters share one softmax. Grave et al. 2017. The tables are those of the words.

    cutoffs, word_width, shrink: those of the words
    tied: of each cluster, whether it projects by the words' projection; null: all do
    """

    reads = AdaptiveTable

    def __init__(
        self,
        dim: int,
        *,
        vocab: int,
        width: int,
        cutoffs: list[Count] | None = None,
        word_width: Count | None = None,
        shrink: Count = 1,
        tied: list[bool] | None = None,
        rngs: nnx.Rngs,
    ):
        self.bounds, self.dim = clusters(vocab, cutoffs), dim
        count, first = len(self.bounds) - 1, word_width or dim
        if tied is not None and len(tied) != count:
            raise UserError(
                f"model.head.tied has {len(tied)} values for {count} clusters: write one for each"
            )
        narrow = enumerate(widths(first, shrink, count))
        own = [(str(k), w) for k, w in narrow if tied is not None and not tied[k]]
        own = own if shrink > 1 or first != dim else []
        self.projections = nnx.Dict({n: Linear(dim, w, bias=False, rngs=rngs) for n, w in own})
        sizes = [high - low for low, high in pairwise(self.bounds)]
        zeros = {str(k): jnp.zeros((n,), jnp.float32) for k, n in enumerate(sizes)}
        self.biases = nnx.Dict({name: nnx.Param(bias) for name, bias in zeros.items()})
        self.clusters = Table(count - 1, first, rngs=rngs) if count > 1 else None
        none = jnp.zeros((count - 1,), jnp.float32)
        self.cluster_bias = nnx.Param(none) if count > 1 else None

    def levels(self, x: Float[Array, "*B D"], words: AdaptiveTable) -> list[tuple]:
        """(features [*B E], kernel [V E], bias [V]) of each softmax: first that of the frequent
        words and the clusters, then that of each cluster's words."""
        if getattr(words, "bounds", None) != self.bounds:
            raise UserError(
                "an adaptive head has the clusters of its words: write model/words=adaptive, and "
                "model.head.cutoffs=${model.words.cutoffs}"
            )
        found = []
        for name, bias in self.biases.items():
            found.append(
                (self.project(name, x, words), words.tables[name].embedding[...], bias[...])
            )
        if self.clusters is not None:
            features, kernel, bias = found[0]
            kernel = jnp.concatenate([kernel, self.clusters.embedding[...]])
            found[0] = features, kernel, jnp.concatenate([bias, self.cluster_bias[...]])
        return found

    def project(self, name: str, x: Float[Array, "*B D"], words: AdaptiveTable):
        """A vector as wide as the words of a cluster."""
        if name in self.projections:
            return self.projections[name](x)
        return x @ words.projections[name].kernel[...].T if name in words.projections else x

    def logits(self, x, words):
        """log p of every word; float32."""
        return adaptive_log_softmax(self.levels(x, words))

    def score(self, x, words, targets, weights, loss):
        """As `Head.score`. Raises UserError for label smoothing, which is not defined here."""
        if loss.smoothing:
            raise UserError(
                "label smoothing is not implemented for an adaptive softmax: write "
                "objective.loss.smoothing=0, or model/head=untied"
            )
        levels = self.levels(x, words)
        return adaptive_cross_entropy(
            levels, targets, weights, z_loss=loss.z_loss, chunk=loss.chunk
        )

    def kernels(self, words):
        own = [linear.kernel[...] for linear in self.projections.values()]
        tied = [p.kernel[...] for n, p in words.projections.items() if n not in self.projections]
        none = jnp.zeros((1, self.dim))
        return [kernel for _, kernel, _ in self.levels(none, words)] + own + tied
