"""Attention by cuDNN's fused kernel, on NVIDIA GPUs: the backend `cudnn`.

Not yet run on a GPU: its program is traced and lowered in tests.
"""

import jax
from jaxtyping import Array, Float

from fxformer.ops.attention.kernel_inputs import dense, ungrouped, whole_blocks
from fxformer.ops.attention.mask import AttentionMask


def cudnn_attention(
    q: Float[Array, "B T G R K"],
    k: Float[Array, "B S G K"],
    v: Float[Array, "B S G K"],
    mask: AttentionMask,
    bias: None,
    scale: float,
    seed: None = None,
    dropout: float = 0.0,
) -> Float[Array, "B T G R K"]:
    """`attend` by cuDNN. The mask is given to the kernel as a bias [B 1 T S] of two bytes an entry,
    segments included; the kernel is given causality too, to skip later keys."""
    queries, keys, values, *segments = whole_blocks(q, k, v, mask)
    y = jax.nn.dot_product_attention(
        queries,
        keys,
        values,
        mask=dense(mask, *segments),
        scale=scale,
        is_causal=mask.strictly_causal,
        implementation="cudnn",
    )
    return ungrouped(y, q)


def obstacle(width: int, dtype: str, bias: bool, dropout: bool) -> str | None:
    """Why cuDNN cannot compute such a call, as the end of a sentence; None: it can.

    jax 0.10 gives no gradient of a bias for more than one row, and none of a learned bias that is
    joined to a mask (jax#30593).
    """
    if dtype not in ("bfloat16", "float16"):
        return f"takes bfloat16 and float16, not {dtype} (precision=bfloat16)"
    if width % 8 or width > 128:
        return f"takes heads of a width up to 128 that 8 divides, not {width}"
    if bias:
        return "gives no gradient of a bias"
    return "has no dropout of attention weights of ours" if dropout else None
