"""Choice of the decoding strategy that a config describes."""

from typing import Protocol

from jaxtyping import Array, Bool, Float

from fxformer.inference.decoding.beam import BeamSearch
from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.decoding.contrastive import ContrastiveSearch
from fxformer.inference.decoding.greedy import Greedy
from fxformer.inference.decoding.sampling import Sampling
from fxformer.inference.decoding.scalars import Scalars
from fxformer.inference.decoding.state import DecodingState


class Strategy(Protocol):
    """Methods of a strategy; `Greedy` documents them. rows_per_prompt: rows that decode a prompt"""

    rows_per_prompt: int
    cache_rows: int
    shares_cache: bool

    def begin(self, state: DecodingState) -> DecodingState: ...

    def update(
        self, state: DecodingState, logits: Float[Array, "R V"], allowed: Bool[Array, "R V"] | None
    ) -> DecodingState: ...

    def unfinished(self, state: DecodingState) -> Bool[Array, ""]: ...

    def result(self, state: DecodingState) -> tuple[Array, Array, Array]: ...


def build_strategy(config: GenerationConfig, scalars: Scalars) -> Strategy | ContrastiveSearch:
    """The strategy of a config, with these values of its numbers."""
    if config.penalty_alpha:
        return ContrastiveSearch(config, scalars)
    if config.num_beams > 1:
        return BeamSearch(config, scalars)
    return (Sampling if config.do_sample else Greedy)(config, scalars)
