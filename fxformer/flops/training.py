"""Model FLOPs of a training step: what the arithmetic of the model needs, however it is run.

Two for each multiplication with its addition; the backward pass counts twice the forward
(Kaplan et al. 2020, sec. 2.1). Padding, what a mask or a window hides, and recomputation are no
work: this is what MFU counts (Chowdhery et al. 2022, app. B). What a program multiplies all the
same is in `products.py`.
"""

from collections import Counter

import jax
import numpy as np
from flax import nnx

from fxformer.batch import Batch
from fxformer.flops.attention_pairs import across, first_of_pieces, windows, within
from fxformer.model.ngram import NgramDecoder
from fxformer.nn.flops import kernels


def transformer_flops(
    part,
    segments: np.ndarray,
    memory: np.ndarray | None = None,
    prefix: np.ndarray | None = None,
    global_tokens: np.ndarray | None = None,
    ahead: int = 1,
) -> int:
    """FLOPs of one forward pass of a stack over the tokens that are there.

    ahead: predicting streams of an n-gram decoder; each goes over the tokens anew
    """
    ahead = ahead if isinstance(part, NgramDecoder) else 0
    body = part.transformer if ahead else part
    stack, block = body.stack, body.stack.blocks
    tokens = (1 + ahead) * int((segments > 0).sum())
    alone = stack.layers * kernels(block.ffn) + kernels(stack.local) + kernels(body.embed)
    flops = 2 * tokens * alone
    if global_tokens is None and getattr(block.attention, "first_global", False):
        global_tokens = first_of_pieces(segments)
    known = {"causal": part.causal, "prefix": prefix, "chosen": global_tokens, "ahead": ahead}
    for window, layers in Counter(windows(stack)).items():
        seen = within(segments, window=window, distances=body.position.distances, **known)
        flops += layers * block.attention.flops(seen)
    if memory is not None:
        flops += stack.layers * block.cross.flops(across(segments, memory, 1 + ahead))
    return flops


def training_flops(model, batch: Batch, head: int | None = None, ahead: int = 1) -> int:
    """FLOPs of forward and backward over one batch (numpy), the head at scored positions only.

    model: its arrays may be abstract
    head: weights that a scored vector is multiplied with; None: those of the model's head
    ahead: predicting streams of an n-gram decoder, each with its own scored vector
    """
    scored = int((np.asarray(batch.weights) > 0).sum())
    flops = 2 * scored * ahead * (head_weights(model) if head is None else head)
    words = getattr(model, "words", None)  # a generator reads another model's
    flops += 2 * tokens_read(batch) * kernels(words)
    segments, chosen = np.asarray(batch.segments), batch.global_tokens
    if model.architecture == "seq2seq":
        source = np.asarray(batch.source_segments)
        flops += transformer_flops(model.encoder, source, global_tokens=chosen)
        flops += transformer_flops(model.decoder, segments, source, ahead=ahead)
    else:
        prefix = None if batch.prefix is None else np.asarray(batch.prefix)
        known = {"prefix": prefix, "global_tokens": chosen}
        flops += transformer_flops(model.transformer, segments, **known)
    return 3 * flops


def head_weights(model) -> int:
    """Numbers that a vector meets on its way to the logits: transform and output tables."""
    shape, state = nnx.split(model)

    def tables(arrays):
        whole = nnx.merge(shape, arrays)
        return whole.head.kernels(whole.words)

    found = jax.eval_shape(tables, state)
    return sum(int(np.prod(one.shape)) for one in found) + kernels(model.head.transform)


def tokens_read(batch: Batch) -> int:
    """Tokens the model reads, padding left out; source and target of a seq2seq model both."""
    sides = (batch.segments, batch.source_segments)
    return sum(int((np.asarray(side) > 0).sum()) for side in sides if side is not None)
