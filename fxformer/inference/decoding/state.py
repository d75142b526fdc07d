"""State of a decoding loop: tokens so far, cache, ends and scores of all rows."""

import dataclasses
from typing import Any, Self

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fxformer.nn.cache import StackCache


@flax.struct.dataclass
class TokenRows:
    """Prompts and generated tokens of all rows, for logits processors.

    ids: prompts of unequal length end at the same index; what comes after the tokens so far is 0
    prompt_start: index of the first token of each prompt
    step: number of tokens generated so far, the same in all rows
    min_new, max_new: least and most tokens generated in each row
    width: index at which the prompts end
    """

    ids: Int[Array, "R W+N"]
    prompt_start: Int[Array, "R"]
    step: Int[Array, ""]
    min_new: Int[Array, "R"]
    max_new: Int[Array, "R"]
    width: int = flax.struct.field(pytree_node=False)

    @property
    def length(self) -> Int[Array, ""]:
        """Index of the next token."""
        return self.width + self.step

    @property
    def valid(self) -> Bool[Array, "R W+N"]:
        """Which ids are tokens of the prompt or generated."""
        index = jnp.arange(self.ids.shape[1])
        return (index >= self.prompt_start[:, None]) & (index < self.length)

    @property
    def generated(self) -> Bool[Array, "W+N"]:
        """Which ids are generated."""
        index = jnp.arange(self.ids.shape[1])
        return (index >= self.width) & (index < self.length)

    @property
    def last_tokens(self) -> Int[Array, "R"]:
        """The latest token of each row."""
        return jax.lax.dynamic_index_in_dim(self.ids, self.length - 1, axis=1, keepdims=False)

    def append(self, tokens: Int[Array, "R"]) -> Self:
        """The text with one more token in each row."""
        ids = jax.lax.dynamic_update_slice_in_dim(self.ids, tokens[:, None], self.length, axis=1)
        return dataclasses.replace(self, ids=ids, step=self.step + 1)

    def take_rows(self, rows: Int[Array, "R"]) -> Self:
        """The text of these rows."""
        return jax.tree.map(lambda a: a if a.ndim == 0 else jnp.take(a, rows, axis=0), self)


@flax.struct.dataclass
class DecodingState:
    """All arrays of a decoding loop.

    text: prompts and generated tokens
    cache: of all tokens but the latest
    ended: rows that are complete
    lengths: generated tokens of each row, the end of sequence included
    scores: log-probability of the generated tokens under the model
    keys: a PRNG key for each row
    encoder_segments: of the source of an encoder-decoder
    own: further arrays of the strategy
    """

    text: TokenRows
    cache: StackCache
    ended: Bool[Array, "R"]
    lengths: Int[Array, "R"]
    scores: Float[Array, "R"]
    keys: Array
    encoder_segments: Int[Array, "R S"] | None = None
    own: Any = None

    def append(
        self,
        tokens: Int[Array, "R"],
        logits: Float[Array, "R V"],
        eos_ids: tuple[int, ...],
        pad_id: int,
    ) -> Self:
        """The state with a token more in each row that has not ended, and padding in the others.

        logits: of the model, of which the scores are
        """
        chosen = jnp.take_along_axis(logits, tokens[:, None], axis=1)[:, 0]
        log_probability = chosen - jax.nn.logsumexp(logits, axis=-1)
        tokens = jnp.where(self.ended, pad_id, tokens)
        lengths = self.lengths + ~self.ended
        over = is_eos(tokens, eos_ids) | (lengths >= self.text.max_new)
        return dataclasses.replace(
            self,
            text=self.text.append(tokens),
            ended=self.ended | over,
            lengths=lengths,
            scores=self.scores + jnp.where(self.ended, 0.0, log_probability),
        )


def is_eos(tokens: Int[Array, "*R"], eos_ids: tuple[int, ...]) -> Bool[Array, "*R"]:
    """Which tokens end a sequence."""
    return jnp.isin(tokens, jnp.asarray(eos_ids, jnp.int32)) if eos_ids else tokens < 0
