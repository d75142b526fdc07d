"""Attention by the Pallas kernel for GPUs that comes with jax (Triton): the backend `pallas`.

Not yet run on a GPU: tests interpret it on CPU.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from fxformer.ops.attention.kernel_inputs import ungrouped, whole_blocks
from fxformer.ops.attention.mask import AttentionMask


def pallas_attention(
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
    """`attend` by jax's kernel, with segments and causality. Queries of padding attend to keys of
    padding, where the reference gives them the mean of all values.

    interpret: run it as jax operations, on any platform
    """
    from jax.experimental.pallas.ops.gpu.attention import mha  # slow to import

    queries, keys, values, segments, _ = whole_blocks(q, k, v, mask)
    keys, values = (jnp.repeat(x, q.shape[3], axis=2) for x in (keys, values))
    settings = {"sm_scale": scale, "causal": mask.causal, "interpret": interpret}
    return ungrouped(mha(queries, keys, values, segments, **settings), q)


def obstacle(mask: AttentionMask, queries: int, keys: int, bias: bool, dropout: bool) -> str | None:
    """Why the kernel cannot compute such a call, as the end of a sentence; None: it can."""
    if queries != keys or mask.query_segments is not mask.key_segments:
        return "takes self-attention only"
    if mask.prefix is not None or mask.window is not None:
        return "takes causal masks and segments, not a prefix or a window"
    if bias:
        return "takes no bias"
    return "has no dropout" if dropout else None
