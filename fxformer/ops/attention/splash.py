"""Attention by jax's splash kernel, on TPUs: the backend `splash`.

Not yet run on a TPU: tests interpret it on CPU.
"""

import functools
import importlib

import jax
from jaxtyping import Array, Float

from fxformer.ops.attention.kernel_inputs import BLOCK, ungrouped, whole_blocks
from fxformer.ops.attention.mask import AttentionMask


def splash_attention(
    q: Float[Array, "B T G R K"],
    k: Float[Array, "B S G K"],
    v: Float[Array, "B S G K"],
    mask: AttentionMask,
    bias: None,
    scale: float,
    seed: None = None,
    dropout: float = 0.0,
    interpret: bool = False,
) -> Float[Array, "B T G R K"]:
    """`attend` by jax's kernel, with segments, causality and windows; tiles that causality or the
    window empties are skipped.

    interpret: run it as jax operations, on any platform
    """
    queries, keys, values, *segments = whole_blocks(q * scale, k, v, mask)
    shape = (queries.shape[1], keys.shape[1])
    kernel = _kernel(shape, queries.shape[2], mask.causal, mask.window, interpret)
    queries, keys, values = (x.swapaxes(1, 2) for x in (queries, keys, values))
    y = jax.vmap(kernel)(queries, keys, values, *segments)
    return ungrouped(y.swapaxes(1, 2), q).astype(q.dtype)


def _kernel(shape: tuple[int, int], heads: int, causal: bool, window, interpret: bool):
    """Function of one row: (q, k, v, segments of queries, of keys) -> outputs, all by head."""
    package = "jax.experimental.pallas.ops.tpu.splash_attention.splash_attention_"
    kernels, masks = (importlib.import_module(package + name) for name in ("kernel", "mask"))
    if window is not None:
        after = 0 if causal else int(window) - 1
        one = masks.LocalMask(shape, (int(window) - 1, after), 0)
    else:
        one = masks.CausalMask(shape) if causal else masks.FullMask(shape)
    names = ("block_q", "block_kv", "block_q_dkv", "block_kv_dkv", "block_q_dq", "block_kv_dq")
    make = functools.partial(kernels.make_splash_mha, head_shards=1, q_seq_shards=1)
    sizes = kernels.BlockSizes(**dict.fromkeys(names, BLOCK))
    kernel = make(masks.MultiHeadMask([one] * heads), block_sizes=sizes, interpret=interpret)
    return lambda q, k, v, *segments: kernel(q, k, v, kernels.SegmentIds(*segments))


def obstacle(mask: AttentionMask, bias: bool, dropout: bool) -> str | None:
    """Why the kernel cannot compute such a call, as the end of a sentence; None: it can."""
    if mask.prefix is not None or mask.window_exempt is not None:
        return "takes causal masks, windows and segments, not a prefix or global tokens"
    if bias:
        return "takes no bias"
    return "has no dropout" if dropout else None
