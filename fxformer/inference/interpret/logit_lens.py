"""Logit lens: the model's own final norm and head applied to the hidden states of each layer.

nostalgebraist 2020, "interpreting GPT: the logit lens".
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fxformer.batch import Batch
from fxformer.inference.structure import stack_of


@dataclasses.dataclass(frozen=True)
class LogitLens:
    """Predictions at each position of one text, read from every layer.

    Layers are numbered as in `hidden_states`: 0 the embeddings, the last that of the model.

    queries: token ids that are read [n]
    targets: the right ids [n]; -1 where there is none
    tokens: ids with the largest probabilities, in descending order
    probabilities: of these tokens
    losses: -log p(target) in nats; NaN where there is no target
    """

    queries: Int[np.ndarray, "n"]
    targets: Int[np.ndarray, "n"]
    tokens: Int[np.ndarray, "L n k"]
    probabilities: Float[np.ndarray, "L n k"]
    losses: Float[np.ndarray, "L n"]

    @property
    def loss(self) -> Float[np.ndarray, "L"]:
        """Mean over the positions with a target, of every layer; NaN where there is none."""
        scored = self.targets >= 0
        none = np.full(len(self.losses), np.nan)
        return self.losses[:, scored].mean(1) if scored.any() else none


@dataclasses.dataclass(frozen=True)
class LensLogits:
    """Logits of every layer, float32. [B, L, T, V]."""

    def __call__(self, module: Any, batch: Batch) -> Array:
        made = module.intermediates(batch)
        states = (made[1] if module.architecture == "seq2seq" else made).hidden_states
        norm = stack_of(module).norm
        early = states[:-1] if norm is None else norm(states[:-1])
        read = jnp.concatenate([early, states[-1:]])  # the last comes after the norm
        return jnp.moveaxis(module.logits(read).astype(jnp.float32), 0, 1)


@dataclasses.dataclass(frozen=True)
class LensPredictions:
    """The k most probable tokens of every layer and log p(target). (ids [B, L, T, k], their
    probabilities, log p [B, L, T])."""

    k: int

    def __call__(self, module: Any, batch: Batch) -> tuple[Array, Array, Array]:
        scores = jax.nn.log_softmax(LensLogits()(module, batch))
        best, ids = jax.lax.top_k(scores, self.k)
        right = jnp.take_along_axis(scores, batch.targets[:, None, :, None], -1)[..., 0]
        return ids, jnp.exp(best), right
