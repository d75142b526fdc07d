"""Adaptive embedding and softmax: wide vectors for frequent tokens, narrow ones for rare tokens."""

from collections.abc import Sequence
from itertools import pairwise

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from fxformer.errors import UserError
from fxformer.nn.core import Embedding, Linear
from fxformer.nn.head import Head
from fxformer.ops.adaptive_softmax import adaptive_cross_entropy, adaptive_log_softmax
from fxformer.types import Count


def cluster_bounds(vocab: int, cutoffs: Sequence[int] | None) -> tuple[int, ...]:
    """First ids of the clusters of a vocabulary, and its end: (0, …, vocab).

    cutoffs: first ids of all clusters but the first; None: an eighth and a half of the vocabulary.
    Raises UserError where they are not ascending or not below the vocabulary.
    """
    if cutoffs is None:
        cutoffs = sorted({max(vocab // 8, 1), vocab // 2} - {0, vocab})
    bounds = (0, *cutoffs, vocab)
    if any(low >= high for low, high in pairwise(bounds)):
        raise UserError(
            f"cutoffs must be ascending and below the vocabulary of {vocab}, got {list(cutoffs)}: "
            "write model.embedding.cutoffs=null, or other numbers"
        )
    return bounds


def cluster_widths(first: int, div_val: int, count: int) -> list[int]:
    """Width of the embeddings of each cluster. Raises UserError where one would be 0."""
    if first // div_val ** (count - 1) < 1:
        raise UserError(
            f"a width of {first} cannot be divided by {div_val} {count - 1} times: write a smaller "
            "model.embedding.div_val, or fewer model.embedding.cutoffs"
        )
    return [first // div_val**k for k in range(count)]


class AdaptiveEmbedding(nnx.Module):
    """table_k[id - start of cluster k] P_k: token embeddings that are narrower for rarer tokens.
    Baevski and Auli 2019, sec. 3. Ids are ranks: frequent tokens come first.

    cutoffs: the ids at which a new cluster begins; null: an eighth and a half of the vocabulary
    width: of the first cluster's embeddings; null: the model's
    div_val: factor by which each cluster's width is smaller than the one before
    """

    def __init__(
        self,
        size: int,
        dim: int,
        *,
        cutoffs: list[Count] | None = None,
        width: Count | None = None,
        div_val: Count = 1,
        rngs: nnx.Rngs,
    ):
        self.bounds, first = cluster_bounds(size, cutoffs), width or dim
        own = cluster_widths(first, div_val, len(self.bounds) - 1)
        rows = [high - low for low, high in pairwise(self.bounds)]
        names = [str(k) for k in range(len(rows))]
        shapes = zip(names, rows, own, strict=True)
        self.tables = nnx.Dict({name: Embedding(n, w, rngs=rngs) for name, n, w in shapes})
        projected = zip(names, own, strict=True) if div_val > 1 or first != dim else ()
        self.projections = nnx.Dict(
            {n: Linear(w, dim, bias=False, rngs=rngs) for n, w in projected}
        )

    def __call__(self, ids: Int[Array, "*B"]) -> Float[Array, "*B D"]:
        y = None
        for name, (low, high) in zip(self.tables, pairwise(self.bounds), strict=True):
            x = self.tables[name](jnp.clip(ids - low, 0, high - low - 1))
            x = self.projections[name](x) if name in self.projections else x
            y = x if y is None else jnp.where((ids >= low)[..., None], x, y)
        assert y is not None  # there is a table
        return y


class AdaptiveHead(Head):
    """Adaptive softmax: log p(token) = log p(cluster) + log p(token | cluster); the tokens of the
    first cluster and the other clusters share one softmax. Grave et al. 2017. The output matrices
    are the tables of the model's `AdaptiveEmbedding`.

    cutoffs, word_width, div_val: as of the embedding (cutoffs, width, div_val)
    tied: of each cluster, whether it uses the embedding's projection; null: all do
    """

    needs_embedding = AdaptiveEmbedding

    def __init__(
        self,
        dim: int,
        *,
        vocab: int,
        width: int,
        cutoffs: list[Count] | None = None,
        word_width: Count | None = None,
        div_val: Count = 1,
        tied: list[bool] | None = None,
        rngs: nnx.Rngs,
    ):
        self.bounds, self.dim = cluster_bounds(vocab, cutoffs), dim
        count, first = len(self.bounds) - 1, word_width or dim
        if tied is not None and len(tied) != count:
            raise UserError(
                f"model.head.tied has {len(tied)} values for {count} clusters: write one for each"
            )
        narrow = enumerate(cluster_widths(first, div_val, count))
        own = [(str(k), w) for k, w in narrow if tied is not None and not tied[k]]
        own = own if div_val > 1 or first != dim else []
        self.projections = nnx.Dict({n: Linear(dim, w, bias=False, rngs=rngs) for n, w in own})
        sizes = [high - low for low, high in pairwise(self.bounds)]
        zeros = {str(k): jnp.zeros((n,), jnp.float32) for k, n in enumerate(sizes)}
        self.biases = nnx.Dict({name: nnx.Param(bias) for name, bias in zeros.items()})
        self.clusters = Embedding(count - 1, first, rngs=rngs) if count > 1 else None
        none = jnp.zeros((count - 1,), jnp.float32)
        self.cluster_bias = nnx.Param(none) if count > 1 else None

    def softmaxes(
        self, x: Float[Array, "*B D"], token_embedding: AdaptiveEmbedding
    ) -> list[tuple[Array, Array, Array]]:
        """(features [*B E], kernel [V E], bias [V]) of each softmax: first that of the frequent
        tokens and the clusters, then that of each cluster's tokens."""
        if getattr(token_embedding, "bounds", None) != self.bounds:
            raise UserError(
                "an adaptive head needs the clusters of an adaptive embedding: write "
                "model/embedding=adaptive, and model.head.cutoffs=${model.embedding.cutoffs}"
            )
        found = []
        for name, bias in self.biases.items():
            features = self.project(name, x, token_embedding)
            found.append((features, token_embedding.tables[name].embedding[...], bias[...]))
        if self.clusters is not None and self.cluster_bias is not None:
            features, kernel, bias = found[0]
            kernel = jnp.concatenate([kernel, self.clusters.embedding[...]])
            found[0] = features, kernel, jnp.concatenate([bias, self.cluster_bias[...]])
        return found

    def project(
        self, name: str, x: Float[Array, "*B D"], token_embedding: AdaptiveEmbedding
    ) -> Float[Array, "*B E"]:
        """x projected to the width of a cluster's embeddings."""
        if name in self.projections:
            return self.projections[name](x)
        projections = token_embedding.projections
        return x @ projections[name].kernel[...].T if name in projections else x

    def logits(self, x, token_embedding: AdaptiveEmbedding):
        """log p of every token; float32."""
        return adaptive_log_softmax(self.softmaxes(x, token_embedding))

    def score(self, x, token_embedding: AdaptiveEmbedding, targets, weights, loss):
        """As `Head.score`. Raises UserError for label smoothing, which is not defined here."""
        if loss.smoothing:
            raise UserError(
                "label smoothing is not implemented for an adaptive softmax: write "
                "objective.loss.smoothing=0, or model/head=untied"
            )
        softmaxes = self.softmaxes(x, token_embedding)
        return adaptive_cross_entropy(
            softmaxes, targets, weights, z_loss=loss.z_loss, chunk=loss.chunk
        )

    def kernels(self, token_embedding: AdaptiveEmbedding):
        own = [linear.kernel[...] for linear in self.projections.values()]
        shared = token_embedding.projections.items()
        tied = [p.kernel[...] for n, p in shared if n not in self.projections]
        softmaxes = self.softmaxes(jnp.zeros((1, self.dim)), token_embedding)
        return [kernel for _, kernel, _ in softmaxes] + own + tied
