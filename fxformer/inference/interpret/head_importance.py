"""Importance of attention heads, by gradient and by ablation. Michel et al. 2019.

By gradient (their eq. 2): the mean over examples of |∂L/∂ξ_h| at ξ_h = 1, ξ_h the factor of head
h's output; by the chain rule this is |Att_hᵀ ∂L/∂Att_h|. By ablation: the mean over examples of the
loss with ξ_h = 0 minus the loss. To first order the latter is -∂L/∂ξ_h.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from fxformer.batch import Batch
from fxformer.inference.forward import TargetLogProbs
from fxformer.inference.interpret.head_mask import current_masks, set_masks
from fxformer.metrics.confidence import ConfidenceInterval


@dataclasses.dataclass(frozen=True)
class HeadImportance:
    """Importance of every head on some examples.

    losses: of each example, in nats per scored target [N]
    gradients: {kind: ∂L/∂ξ of each example [N, blocks, H]}
    ablations: {kind: loss without the head minus loss [N, blocks, H]}; {}: not measured
    """

    losses: Float[np.ndarray, "N"]
    gradients: dict[str, Float[np.ndarray, "N G H"]]
    ablations: dict[str, Float[np.ndarray, "N G H"]]

    def by_gradient(self, kind: str) -> Float[np.ndarray, "G H"]:
        """Mean over examples of |∂L/∂ξ|, in nats."""
        return np.abs(self.gradients[kind]).mean(0)

    def by_ablation(self, kind: str) -> Float[np.ndarray, "G H"]:
        """Mean increase of the loss without the head, in nats."""
        return self.ablations[kind].mean(0)

    def interval(self, method: str, kind: str, block: int, head: int) -> ConfidenceInterval:
        """Mean over examples with its 95 % interval. method: gradient or ablation"""
        each = np.abs(self.gradients[kind]) if method == "gradient" else self.ablations[kind]
        return ConfidenceInterval.of(each[:, block, head].tolist())

    def least(self, count: int, method: str = "gradient") -> list[tuple[str, int, int]]:
        """The `count` least important heads, (kind, block, head) from 0, the least first."""
        values = self.by_gradient if method == "gradient" else self.by_ablation
        every = [
            (float(value), kind, int(block), int(head))
            for kind in self.gradients
            for (block, head), value in np.ndenumerate(values(kind))
        ]
        return [(kind, block, head) for _, kind, block, head in sorted(every)[:count]]


@dataclasses.dataclass(frozen=True)
class ExampleLoss:
    """Mean of -log p(target) over the picked positions of each row, in nats. [B]."""

    def __call__(self, module: Any, batch: Batch) -> Array:
        counted = jnp.maximum((batch.weights > 0).sum(-1), 1)
        return -TargetLogProbs()(module, batch).sum(-1) / counted


@dataclasses.dataclass(frozen=True)
class ClassLoss:
    """-log p(class) by a task head with logits [B, C], in nats. The class of a row is its first
    target. [B]."""

    head: str

    def __call__(self, module: Any, batch: Batch) -> Array:
        scores = jax.nn.log_softmax(module.task_outputs(batch)[self.head].astype(jnp.float32))
        return -jnp.take_along_axis(scores, batch.targets[:, :1], -1)[:, 0]


@dataclasses.dataclass(frozen=True)
class HeadGradients:
    """(loss [B], {kind: ∂ loss/∂ξ [B, blocks, H]}) of each row at the module's own masks."""

    loss: ExampleLoss | ClassLoss

    def __call__(self, module: Any, batch: Batch) -> tuple[Array, dict[str, Array]]:
        rows = batch.tokens.shape[0]
        graphdef, state = nnx.split(module)
        masks = {
            kind: jnp.broadcast_to(mask[:, None], (len(mask), rows, mask.shape[-1]))
            for kind, mask in current_masks(module).items()
        }

        def total(masks):
            own = nnx.merge(graphdef, state)
            set_masks(own, masks)
            losses = self.loss(own, batch)
            return losses.sum(), losses

        slopes, losses = jax.grad(total, has_aux=True)(masks)
        return losses, {kind: jnp.moveaxis(slope, 1, 0) for kind, slope in slopes.items()}
