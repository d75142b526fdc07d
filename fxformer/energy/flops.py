"""Model FLOPs of a training step: what the arithmetic of the model needs, however it is run.

Two for each multiplication with its addition; the backward pass counts twice the forward
(Kaplan et al. 2020, sec. 2.1). Padding, masked-out blocks and recomputation are no work.
"""

import jax
import numpy as np
from flax import nnx

from fxformer.batch import Batch
from fxformer.model.ngram import NgramDecoder


def matrices(stack) -> dict[str, int]:
    """Weights of one layer's dense matrices, by sublayer (attention, cross, ffn)."""
    counts = {"attention": 0, "cross": 0, "ffn": 0}
    for name in counts:
        part = getattr(stack.blocks, name)
        if part is None:
            continue
        kernels = [
            getattr(part, knob).kernel
            for knob in ("q", "k", "v", "o", "relative", "up", "down", "gate")
            if hasattr(getattr(part, knob, None), "kernel")
        ]
        counts[name] = sum(int(np.prod(kernel.shape[1:])) for kernel in kernels)
    return counts


def pairs(queries: np.ndarray, keys: np.ndarray, causal: bool) -> int:
    """How many (query, key) pairs see each other, over all rows of segment ids [B, T], [B, S]."""
    total = 0
    for q, k in zip(queries, keys, strict=True):
        top = max(q.max(initial=0), k.max(initial=0)) + 1
        n, m = np.bincount(q, minlength=top)[1:], np.bincount(k, minlength=top)[1:]
        total += int((n * (n + 1) // 2).sum() if causal else (n * m).sum())
    return total


def later_pairs(segments: np.ndarray, prefix: np.ndarray) -> int:
    """(query, key) pairs [B, T] a causal stack sees only because the key, later, is a prefix's."""
    inside = np.where(prefix, segments, 0)
    return pairs(inside, inside, False) - pairs(inside, inside, True)


def transformer_flops(
    part,
    segments: np.ndarray,
    memory: np.ndarray | None = None,
    prefix: np.ndarray | None = None,
    ahead: int = 1,
) -> int:
    """FLOPs of one forward pass of a stack over the tokens that are there.

    ahead: predicting streams of an n-gram decoder. Each goes over the tokens anew and sees as many
    as the main one, itself in place of a later one
    """
    streams = 1 + ahead if isinstance(part, NgramDecoder) else 1
    weights, tokens = matrices(part.stack), streams * int((segments > 0).sum())
    inner = part.stack.blocks.attention
    mixed = 2 * inner.products * inner.heads * inner.width
    flops = 2 * tokens * (weights["attention"] + weights["ffn"])
    flops += mixed * streams * pairs(segments, segments, part.causal)
    flops += 0 if prefix is None else mixed * later_pairs(segments, prefix)
    if memory is not None:
        read = part.stack.blocks.cross.k.kernel.shape
        sides = 2 * int(np.prod(read[1:]))  # keys and values are made of the memory
        flops += 2 * tokens * (weights["cross"] - sides) + 2 * int((memory > 0).sum()) * sides
        flops += mixed * streams * pairs(segments, memory, False)
    return flops * part.layers


def training_flops(model, batch: Batch, head: int | None = None, ahead: int = 1) -> int:
    """FLOPs of forward and backward over one batch (numpy), the head at scored positions only.

    model: its arrays may be abstract
    head: weights that a scored vector is multiplied with; None: those of the output table
    ahead: predicting streams of an n-gram decoder, each with its own scored vector
    """
    scored = int((np.asarray(batch.weights) > 0).sum())
    flops = 2 * scored * ahead * (table_weights(model) if head is None else head)
    segments = np.asarray(batch.segments)
    if model.architecture == "seq2seq":
        source = np.asarray(batch.source_segments)
        flops += transformer_flops(model.encoder, source)
        flops += transformer_flops(model.decoder, segments, source, ahead=ahead)
    else:
        prefix = None if batch.prefix is None else np.asarray(batch.prefix)
        flops += transformer_flops(model.transformer, segments, prefix=prefix)
    return 3 * flops


def table_weights(model) -> int:
    """Numbers in a model's output table, or tables."""
    shape, state = nnx.split(model)

    def kernels(arrays):
        whole = nnx.merge(shape, arrays)
        return whole.head.kernels(whole.words)

    return sum(int(np.prod(kernel.shape)) for kernel in jax.eval_shape(kernels, state))


def tokens_read(batch: Batch) -> int:
    """Tokens the model reads, padding left out; source and target of a seq2seq model both."""
    sides = (batch.segments, batch.source_segments)
    return sum(int((np.asarray(side) > 0).sum()) for side in sides if side is not None)
