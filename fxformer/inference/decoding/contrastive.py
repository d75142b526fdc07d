"""Contrastive search: among the most probable tokens the one least like the text so far."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.decoding.processors import EXCLUDED, build_processors, process
from fxformer.inference.decoding.scalars import Scalars
from fxformer.inference.decoding.state import DecodingState


@flax.struct.dataclass
class Context:
    """What contrastive search knows of each row.

    directions: hidden states of the last layer of all tokens so far, each of norm 1
    logits: of the model for the next token
    candidates: the top_k most probable next tokens; log_probs: theirs, -inf where excluded
    """

    directions: Float[Array, "B W+N D"]
    logits: Float[Array, "B V"]
    candidates: Int[Array, "B K"]
    log_probs: Float[Array, "B K"]


class ContrastiveSearch:
    """argmax over the top_k candidates v of (1 - α) p(v) - α max_j cos(h_v, h_j), j over all tokens
    of the text. Su et al. 2022, eq. 5.

    Each candidate is read in a row of the cache of its own; the rows of the one that is chosen are
    kept. h are the hidden states of the last layer, after its norm, of a decoder's prompt and
    output, or of an encoder-decoder's output.

    cache_rows: rows of the cache for each row of text, one for each candidate
    """

    rows_per_prompt = 1
    shares_cache = True

    def __init__(self, config: GenerationConfig, scalars: Scalars):
        self.config, self.scalars = config, scalars
        self.processors = build_processors(config, scalars)
        self.cache_rows = config.top_k

    def begin(
        self, state: DecodingState, logits: Float[Array, "B V"], hidden: Float[Array, "B W D"]
    ) -> DecodingState:
        """The state before the first token. hidden: of the prompt."""
        room = state.text.ids.shape[1] - hidden.shape[1]
        directions = jnp.pad(normalized(hidden), ((0, 0), (0, room), (0, 0)))
        none = jnp.zeros((len(hidden), self.cache_rows), jnp.int32)
        own = Context(directions, logits, none, none.astype(jnp.float32))
        return dataclasses.replace(state, own=own)

    def candidates(
        self, state: DecodingState, allowed: Bool[Array, "B V"] | None
    ) -> tuple[DecodingState, Int[Array, "B*K"]]:
        """(state with the candidates of every row, these as the tokens to read)."""
        scores = process(self.processors, state.own.logits, state.text, allowed)
        count = min(self.cache_rows, scores.shape[-1])
        log_probs, ids = jax.lax.top_k(jax.nn.log_softmax(scores), count)
        more = ((0, 0), (0, self.cache_rows - count))  # of a smaller vocabulary
        own = dataclasses.replace(
            state.own,
            candidates=jnp.pad(ids, more),
            log_probs=jnp.pad(log_probs, more, constant_values=EXCLUDED),
        )
        return dataclasses.replace(state, own=own), own.candidates.ravel()

    def choose(
        self, state: DecodingState, logits: Float[Array, "B*K V"], hidden: Float[Array, "B*K D"]
    ) -> DecodingState:
        """The state with the best candidate of every row. logits, hidden: after each candidate."""
        own, (batch, count) = state.own, state.own.candidates.shape
        new = normalized(hidden).reshape(batch, count, -1)
        cosines = jnp.einsum("bkd,bsd->bks", new, own.directions)
        likeness = jnp.where(state.text.valid[:, None], cosines, -jnp.inf).max(-1)
        alpha = self.scalars.penalty_alpha
        score = (1 - alpha) * jnp.exp(own.log_probs) - alpha * likeness
        best = jnp.argmax(jnp.where(jnp.isfinite(own.log_probs), score, EXCLUDED), axis=1)
        rows = jnp.arange(batch) * count + best
        tokens = jnp.take_along_axis(own.candidates, best[:, None], axis=1)[:, 0]
        chosen = new.reshape(batch * count, 1, -1)[rows]
        own = dataclasses.replace(
            own,
            logits=logits[rows],
            directions=jax.lax.dynamic_update_slice_in_dim(
                own.directions, chosen, state.text.length, axis=1
            ),
        )
        before = state.own.logits
        state = dataclasses.replace(
            state, cache=state.cache.take_rows(jnp.repeat(rows, count)), own=own
        )
        return state.append(tokens, before, self.config.eos_ids, self.config.pad_id)

    def unfinished(self, state: DecodingState) -> Bool[Array, ""]:
        return ~state.ended.all()

    def result(self, state: DecodingState) -> tuple[Array, Array, Array]:
        return state.text.ids[:, state.text.width :], state.lengths, state.scores


def normalized(x: Float[Array, "*B D"]) -> Float[Array, "*B D"]:
    """Vectors of norm 1, float32; zeros stay zeros."""
    x = x.astype(jnp.float32)
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
