"""Greedy search: the most probable token at every step."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.decoding.processors import build_processors, process
from fxformer.inference.decoding.scalars import Scalars
from fxformer.inference.decoding.state import DecodingState


class Greedy:
    """argmax of the processed logits. Base of the strategies that extend rows independently.

    rows_per_prompt: rows that decode each prompt; cache_rows: rows of the cache for them
    shares_cache: whether they share a cache, as rows that continue each other do
    """

    shares_cache = False

    def __init__(self, config: GenerationConfig, scalars: Scalars):
        self.config = config
        self.processors = build_processors(config, scalars)
        self.rows_per_prompt = self.cache_rows = config.num_return_sequences

    def begin(self, state: DecodingState) -> DecodingState:
        """The state before the first token, with the strategy's own arrays."""
        return state

    def choose(self, logits: Float[Array, "R V"], state: DecodingState) -> Array:
        """The next token of every row, from processed logits."""
        return jnp.argmax(logits, axis=-1)

    def update(
        self,
        state: DecodingState,
        logits: Float[Array, "R V"],
        allowed: Bool[Array, "R V"] | None,
    ) -> DecodingState:
        """The state with the next token of every row.

        logits: of the model for the next token
        allowed: tokens to choose from; None: all
        """
        scores = process(self.processors, logits, state.text, allowed)
        tokens = self.choose(scores, state).astype(jnp.int32)
        return state.append(tokens, logits, self.config.eos_ids, self.config.pad_id)

    def unfinished(self, state: DecodingState) -> Bool[Array, ""]:
        """Whether a row needs another token."""
        return ~state.ended.all()

    def result(self, state: DecodingState) -> tuple[Array, Array, Array]:
        """(generated tokens [R N], lengths [R], scores [R]) of a finished state."""
        return state.text.ids[:, state.text.width :], state.lengths, state.scores
