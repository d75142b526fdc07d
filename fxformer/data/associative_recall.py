"""Associative recall: key value key value … key ?, which takes two layers of attention."""

import dataclasses

import numpy as np

from fxformer.data.documents import Documents
from fxformer.data.symbols import SymbolCorpus
from fxformer.errors import UserError
from fxformer.types import Count


@dataclasses.dataclass(kw_only=True)
class Recall(SymbolCorpus):
    """pairs x (key value), then every key once more in another order, each followed by its value;
    the values of this second part are scored (Arora et al. 2023, multi-query associative recall).

    The first half of the symbols are keys, the other half values; an example's keys differ.
    """

    pairs: Count

    def __post_init__(self) -> None:
        if self.pairs > self.symbols // 2:
            raise UserError(
                f"data.pairs={self.pairs} keys that differ do not fit into half of "
                f"data.symbols={self.symbols}: at most {self.symbols // 2}"
            )

    def size(self, count: int) -> int:
        return 8 * count * (self.symbols + 4 * self.pairs)

    def generate(self, rng: np.random.Generator, count: int, first_id: int) -> Documents:
        keys = rng.permuted(np.tile(np.arange(self.symbols // 2), (count, 1)), axis=1)
        keys = keys[:, : self.pairs]
        values = rng.integers(self.symbols // 2, self.symbols, keys.shape)
        asked = rng.permuted(np.tile(np.arange(self.pairs), (count, 1)), axis=1)
        again = [np.take_along_axis(part, asked, 1) for part in (keys, values)]
        halves = [np.stack(both, -1).reshape(count, -1) for both in ((keys, values), again)]
        tokens = np.concatenate(halves, 1).astype(np.int32) + np.int32(first_id)
        place = np.arange(tokens.shape[1])
        scored = np.broadcast_to((place >= 2 * self.pairs) & (place % 2 == 1), tokens.shape)
        bounds = np.arange(count + 1, dtype=np.int64) * tokens.shape[1]
        return Documents(tokens.ravel(), bounds, scored.ravel())
