"""Model FLOPs of a training step, which do not depend on how the step is executed.

Two for each multiply-add; the backward pass counts twice the forward (Kaplan et al. 2020, sec.
2.1). Padding, masked pairs and recomputation do not count: these are the FLOPs of MFU (Chowdhery
et al. 2022, app. B). Those that a program executes are counted by `jaxpr_flops`.
"""

from collections import Counter

import jax
import numpy as np
from flax import nnx

from fxformer.batch import Batch
from fxformer.flops.attention_pairs import (
    cross_attention_pairs,
    first_of_segments,
    self_attention_pairs,
    windows,
    with_memory,
)
from fxformer.model.ngram import NgramDecoder
from fxformer.nn.flops import kernel_size


def transformer_flops(
    part,
    segments: np.ndarray,
    encoder_segments: np.ndarray | None = None,
    prefix: np.ndarray | None = None,
    global_tokens: np.ndarray | None = None,
    num_predicted: int = 1,
    remembered: np.ndarray | None = None,
) -> int:
    """FLOPs of one forward pass of a stack over the tokens of a batch that are not padding.

    segments, encoder_segments: int [B, T] and [B, S], 0 for padding
    remembered: [B], tokens before each row that it attends to; None: none
    num_predicted: predicting streams of an n-gram decoder, each of which processes all tokens
    """
    if isinstance(part, NgramDecoder):
        body = part.transformer
    else:
        body, num_predicted = part, 0
    stack, block = body.stack, body.stack.blocks
    tokens = (1 + num_predicted) * int((segments > 0).sum())
    by_token = stack.layers * kernel_size(block.ffn)
    by_token += kernel_size(stack.convolution) + kernel_size(body.input)
    flops = 2 * tokens * by_token
    if global_tokens is None and getattr(block.attention, "first_global", False):
        global_tokens = first_of_segments(segments)
    for window, layers in Counter(windows(stack)).items():
        pairs = self_attention_pairs(
            segments,
            causal=part.causal,
            window=window,
            prefix=prefix,
            global_tokens=global_tokens,
            num_distances=body.position.num_distances,
            num_predicted=num_predicted,
        )
        if remembered is not None:
            pairs = with_memory(pairs, segments, remembered, window)
        flops += layers * block.attention.flops(pairs)
    if encoder_segments is not None:
        pairs = cross_attention_pairs(segments, encoder_segments, 1 + num_predicted)
        flops += stack.layers * block.cross_attention.flops(pairs)
    return flops


def training_flops(
    model, batch: Batch, head: int | None = None, num_predicted: int = 1, memory: int = 0
) -> int:
    """FLOPs of forward and backward pass over one batch (numpy), the head at scored positions only.

    model: its arrays may be abstract
    memory: positions before a row that it may attend to (nn/memory.py)
    head: elements of the matrices of the head; None: those of the model's head
    num_predicted: predicting streams of an n-gram decoder, each of which is scored
    """
    scored = int((np.asarray(batch.weights) > 0).sum())
    flops = 2 * scored * num_predicted * (head_weights(model) if head is None else head)
    if batch.hidden is not None:  # of a body that was computed before
        return 3 * flops
    words = getattr(model, "token_embedding", None)  # a generator has none of its own
    flops += 2 * tokens_read(batch) * kernel_size(words)
    segments, global_tokens = np.asarray(batch.segments), batch.global_tokens
    if model.architecture == "seq2seq":
        source = np.asarray(batch.source_segments)
        flops += transformer_flops(model.encoder, source, global_tokens=global_tokens)
        flops += transformer_flops(model.decoder, segments, source, num_predicted=num_predicted)
    else:
        prefix = None if batch.prefix is None else np.asarray(batch.prefix)
        known = {"prefix": prefix, "global_tokens": global_tokens}
        if memory:
            known["remembered"] = np.minimum(np.asarray(batch.positions)[:, 0], memory)
        flops += transformer_flops(model.transformer, segments, **known)
    return 3 * flops


def head_weights(model) -> int:
    """Elements of the matrices of the head: transform and output matrices."""
    graphdef, state = nnx.split(model)

    def output_matrices(state):
        merged = nnx.merge(graphdef, state)
        return merged.head.kernels(merged.token_embedding)

    found = jax.eval_shape(output_matrices, state)
    return sum(int(np.prod(one.shape)) for one in found) + kernel_size(model.head.transform)


def tokens_read(batch: Batch) -> int:
    """Number of tokens in a batch without padding; of a seq2seq model, source and target."""
    sides = (batch.segments, batch.source_segments)
    return sum(int((np.asarray(side) > 0).sum()) for side in sides if side is not None)
