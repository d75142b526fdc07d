"""Mixed precision: one cast of the parameters before the loss."""

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp

from fxformer.rules import named_map, select


@dataclasses.dataclass(frozen=True)
class Precision:
    """Mixed-precision policy: float32 parameters and gradients, computation in `compute`.

    Softmax, norms and losses are computed in float32 with any policy (Micikevicius et al. 2018,
    sec. 3; bfloat16 has the range of float32, so there is no loss scaling).

    compute: dtype of the model's computation
    matmul: precision of float32 matrix products; "highest" is true float32 on GPU and TPU, where
        the default is TF32 or bfloat16 passes; None: the setting of JAX
    keep: regexes of parameter paths that stay float32
    """

    compute: Literal["float32", "bfloat16"] = "float32"
    matmul: Literal["default", "high", "highest"] | None = None
    keep: Sequence[str] = ()

    def cast(self, params: Any) -> Any:
        """Cast floating-point parameters to `compute`, except those in `keep`."""
        kept, dtype = select(self.keep, params, what="precision.keep"), jnp.dtype(self.compute)

        def leaf(value: jax.Array, keep: bool) -> jax.Array:
            floating = jnp.issubdtype(value.dtype, jnp.floating)
            return value.astype(dtype) if floating and not keep else value

        return jax.tree.map(leaf, params, kept)

    def output(self, sums: Any) -> Any:
        """Cast sums to float32."""
        return named_map(lambda _, value: jnp.asarray(value, jnp.float32), sums)

    def matmul_context(self) -> contextlib.AbstractContextManager:
        """Context for tracing the model that sets the precision of its matrix products."""
        return (
            jax.default_matmul_precision(self.matmul) if self.matmul else contextlib.nullcontext()
        )
