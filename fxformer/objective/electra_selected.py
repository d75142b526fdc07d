"""Replaced-token detection at the selected tokens alone, an ablation of ELECTRA."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from fxformer.batch import Batch, Rows
from fxformer.objective.electra import ReplacedTokenDetection, put


class SelectedTokenDetection(ReplacedTokenDetection):
    """mean of -log p_G(token | rest) + weight · mean of -log p_D(replaced or not | text with tokens
    of G), both over the selected tokens. Clark et al. 2020 (ELECTRA), sec. 3.4, "ELECTRA 15%".
    """

    def corrupt(self, rows: Rows) -> Batch:
        """`ReplacedTokenDetection`'s batch; both sums have one weight, so that balance [B] is 1."""
        batch = super().corrupt(rows)
        return batch.replace(balance=np.ones(len(batch.picked), np.float32))

    def counted(self, batch: Batch) -> Bool[Array, "B T"]:
        """The selected tokens."""
        return put(batch, jnp.ones(batch.picked.shape, bool), jnp.zeros(batch.tokens.shape, bool))
