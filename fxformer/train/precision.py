"""Mixed precision as one cast of the parameters at the top of the loss."""

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp

from fxformer.rules import named_map, select


@dataclasses.dataclass(frozen=True)
class Precision:
    """Parameters are kept in float32 and computed with in `compute`; gradients come back float32.

    Softmax, norms and losses take float32 by themselves, whatever the policy
    (Micikevicius et al. 2018, sec. 3; bfloat16 has the range of float32, so no loss scaling).

    compute: dtype the model computes in
    matmul: how float32 products are made ("highest" is true float32 on GPU and TPU, where the
        default is TF32 or bfloat16 passes); None leaves jax's setting alone
    keep: regexes of parameter paths that stay float32
    """

    compute: Literal["float32", "bfloat16"] = "float32"
    matmul: Literal["default", "high", "highest"] | None = None
    keep: Sequence[str] = ()

    def cast(self, params: Any) -> Any:
        """The parameters as the model sees them: floating leaves in `compute`."""
        kept, dtype = select(self.keep, params, what="precision.keep"), jnp.dtype(self.compute)

        def leaf(value: jax.Array, keep: bool) -> jax.Array:
            floating = jnp.issubdtype(value.dtype, jnp.floating)
            return value.astype(dtype) if floating and not keep else value

        return jax.tree.map(leaf, params, kept)

    def output(self, sums: Any) -> Any:
        """Sums leave in float32."""
        return named_map(lambda _, value: jnp.asarray(value, jnp.float32), sums)

    def products(self) -> contextlib.AbstractContextManager:
        """The context in which the model is traced: sets the precision of its matrix products."""
        return (
            jax.default_matmul_precision(self.matmul) if self.matmul else contextlib.nullcontext()
        )
