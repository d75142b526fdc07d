"""Adam without bias correction, as the optimizer of the released BERT code."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from fxformer.train.optim import AdamW


@dataclasses.dataclass(frozen=True, kw_only=True)
class UncorrectedAdamW(AdamW):
    """AdamW whose moments are not bias-corrected: m / (sqrt(v) + eps).

    Since v starts at 0 and rises more slowly than m where betas[0] < betas[1], the first updates
    are larger: update t of a constant gradient (1 - betas[0]^t) / sqrt(1 - betas[1]^t) times, which
    is a learning rate that begins high.
    Mosbach et al. 2021, sec. 5.1; Devlin et al. 2019 used it.
    """

    def direction(self, params: Any) -> optax.GradientTransformation:
        return scale_by_uncorrected_adam(*self.betas, eps=self.eps)


def scale_by_uncorrected_adam(b1: float, b2: float, eps: float) -> optax.GradientTransformation:
    """m / (sqrt(v) + eps) with m = b1 m + (1 - b1) g and v = b2 v + (1 - b2) g², both from 0."""

    def init(params: Any) -> optax.ScaleByAdamState:
        mu, nu = (jax.tree.map(jnp.zeros_like, params) for _ in range(2))
        return optax.ScaleByAdamState(count=jnp.zeros([], jnp.int32), mu=mu, nu=nu)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, updates)
        nu = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state.nu, updates)
        moved = jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + eps), mu, nu)
        return moved, optax.ScaleByAdamState(optax.safe_increment(state.count), mu, nu)

    return optax.GradientTransformation(init, update)
