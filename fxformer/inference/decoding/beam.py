"""Beam search, with groups of beams that a penalty keeps apart."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.decoding.processors import EXCLUDED, build_processors, process
from fxformer.inference.decoding.scalars import Scalars
from fxformer.inference.decoding.state import DecodingState, is_eos


@flax.struct.dataclass
class Beams:
    """Beams of each prompt and group, and the best finished sequences. Scores are -inf where there
    is no such beam or sequence.

    running: log-probability of each beam
    ids, lengths, scores: finished sequences, by descending score (length penalty included)
    done: groups to which nothing is added any more
    """

    running: Float[Array, "B K"]
    ids: Int[Array, "B K N"]
    lengths: Int[Array, "B K"]
    scores: Float[Array, "B K"]
    done: Bool[Array, "B"]


@flax.struct.dataclass
class Candidates:
    """The best continuations of the beams of a group by one token.

    parents: beam that each continues; ends: whether it is then finished
    """

    scores: Float[Array, "B C"]
    parents: Int[Array, "B C"]
    tokens: Int[Array, "B C"]
    ends: Bool[Array, "B C"]


class BeamSearch:
    """Keeps the num_beams most probable unfinished sequences of each prompt. Sequences that end
    among the num_beams best continuations are kept apart, with their length penalty.

    Groups (Vijayakumar et al. 2018) are beam searches of num_beams / num_beam_groups beams that
    take turns in every step; their finished sequences are ranked together at the end.
    """

    shares_cache = True

    def __init__(self, config: GenerationConfig, scalars: Scalars):
        self.config, self.scalars = config, scalars
        self.processors = build_processors(config, scalars)
        self.rows_per_prompt = self.cache_rows = config.num_beams
        self.groups = config.num_beam_groups
        self.group_size = config.num_beams // config.num_beam_groups

    def begin(self, state: DecodingState) -> DecodingState:
        batch = len(state.ended) // self.rows_per_prompt
        size, room = self.group_size, state.text.ids.shape[1] - state.text.width
        none = jnp.full((batch, size), EXCLUDED)
        zeros = jnp.zeros((batch, size), jnp.int32)
        # All beams begin as the same text: only the first counts.
        group = Beams(
            none.at[:, 0].set(0.0),
            jnp.zeros((batch, size, room), jnp.int32),
            zeros,
            none,
            jnp.zeros(batch, bool),
        )
        return dataclasses.replace(state, own=(group,) * self.groups)

    def update(
        self,
        state: DecodingState,
        logits: Float[Array, "R V"],
        allowed: Bool[Array, "R V"] | None,
    ) -> DecodingState:
        batch, vocabulary = len(state.own[0].done), logits.shape[-1]
        scores = process(self.processors, jax.nn.log_softmax(logits), state.text, allowed)
        scores = scores.reshape(batch, self.groups, self.group_size, vocabulary)
        generated = state.text.ids[:, state.text.width :]
        generated = generated.reshape(batch, self.groups, self.group_size, -1)
        max_new = state.text.max_new.reshape(batch, -1)[:, 0]
        chosen = jnp.zeros((batch, vocabulary), jnp.float32)  # by how many beams of earlier groups
        groups, parents, tokens = [], [], []
        for g, beams in enumerate(state.own):
            own = scores[:, g] - self.scalars.diversity_penalty * chosen[:, None]
            found = self.candidates(beams, own, state.text.step + 1 >= max_new)
            beams = self.finish(beams, found, generated[:, g], state.text.step)
            beams, kept = self.continue_beams(beams, found)
            groups.append(self.end(beams, state.text.step + 1, max_new))
            take = jnp.take_along_axis(found.parents, kept, 1)
            parents.append(take + g * self.group_size)
            tokens.append(jnp.take_along_axis(found.tokens, kept, 1))
            chosen = jax.vmap(lambda c, t: c.at[t].add(1.0))(chosen, tokens[-1])
        first_row = jnp.arange(batch)[:, None] * self.rows_per_prompt
        rows = (first_row + jnp.concatenate(parents, 1)).ravel()
        done = jnp.stack([beams.done for beams in groups], 1)
        return dataclasses.replace(
            state,
            text=state.text.take_rows(rows).append(jnp.concatenate(tokens, 1).ravel()),
            cache=state.cache.take_rows(rows),
            ended=jnp.repeat(done, self.group_size, axis=1).ravel(),
            own=tuple(groups),
        )

    def candidates(
        self, beams: Beams, scores: Float[Array, "B K V"], full: Bool[Array, "B"]
    ) -> Candidates:
        """The best continuations of a group: as many as leave K that do not end.

        scores: of each next token; full: prompts whose rows reach their limit with it
        """
        batch, size, vocabulary = scores.shape
        count = min(size * max(2, 1 + len(self.config.eos_ids)), size * vocabulary)
        total = (beams.running[:, :, None] + scores).reshape(batch, -1)
        best, index = jax.lax.top_k(total, count)
        tokens = index % vocabulary
        ends = is_eos(tokens, self.config.eos_ids) | full[:, None]
        return Candidates(best, index // vocabulary, tokens, ends)

    def finish(
        self,
        beams: Beams,
        found: Candidates,
        generated: Int[Array, "B K N"],
        step: Int[Array, ""],
    ) -> Beams:
        """The best of the finished sequences and of those that end now among the K best."""
        among_best = jnp.arange(found.scores.shape[1]) < self.group_size
        new = found.ends & among_best & ~beams.done[:, None] & jnp.isfinite(found.scores)
        scores = jnp.where(new, found.scores / self.penalty(step + 1), EXCLUDED)
        ids = jnp.take_along_axis(generated, found.parents[:, :, None], axis=1)
        ids = jnp.where(jnp.arange(ids.shape[2]) == step, found.tokens[:, :, None], ids)
        merged = (
            jnp.concatenate([beams.scores, scores], 1),
            jnp.concatenate([beams.ids, ids], 1),
            jnp.concatenate([beams.lengths, jnp.full_like(found.tokens, step + 1)], 1),
        )
        best, index = jax.lax.top_k(merged[0], self.group_size)
        return dataclasses.replace(
            beams,
            scores=best,
            ids=jnp.take_along_axis(merged[1], index[:, :, None], 1),
            lengths=jnp.take_along_axis(merged[2], index, 1),
        )

    def continue_beams(self, beams: Beams, found: Candidates) -> tuple[Beams, Int[Array, "B K"]]:
        """The K best continuations that do not end: (beams, index of each among the candidates)."""
        running, kept = jax.lax.top_k(
            jnp.where(found.ends, EXCLUDED, found.scores), self.group_size
        )
        return dataclasses.replace(beams, running=running), kept

    def end(self, beams: Beams, length: Int[Array, ""], max_new: Int[Array, "B"]) -> Beams:
        """Marks the groups that early_stopping ends, and those without beams.

        length: of the running beams. With `false` a beam is compared as if it ended now; with
        "never" by the largest score that it can reach: log-probabilities only fall, and a positive
        α lowers them least at the limit.
        """
        full = jnp.isfinite(beams.scores).all(1)
        best = beams.running[:, 0]
        if self.config.early_stopping is True:
            improvable = ~full
        else:
            later = self.config.early_stopping == "never"
            later &= self.scalars.length_penalty > 0
            reachable = best / self.penalty(jnp.where(later, max_new, length))
            improvable = ~full | (reachable > beams.scores[:, -1])
        return dataclasses.replace(beams, done=beams.done | ~improvable | ~jnp.isfinite(best))

    def penalty(self, length: Int[Array, "*B"]) -> Float[Array, "*B"]:
        """Length penalty of a sequence with this number of generated tokens."""
        base = length.astype(jnp.float32)
        if self.config.length_penalty_kind == "gnmt":
            base = (5.0 + base) / 6.0
        power = self.scalars.length_penalty  # pow(x, 1) is not exact
        return jnp.where(power == 1, base, base**power)

    def unfinished(self, state: DecodingState) -> Bool[Array, ""]:
        return ~state.ended.all()

    def result(self, state: DecodingState) -> tuple[Array, Array, Array]:
        scores = jnp.concatenate([beams.scores for beams in state.own], 1)
        ids = jnp.concatenate([beams.ids for beams in state.own], 1)
        lengths = jnp.concatenate([beams.lengths for beams in state.own], 1)
        best, index = jax.lax.top_k(scores, self.config.num_return_sequences)
        ids = jnp.take_along_axis(ids, index[:, :, None], 1)
        lengths = jnp.where(jnp.isfinite(best), jnp.take_along_axis(lengths, index, 1), 0)
        return ids.reshape(-1, ids.shape[-1]), lengths.ravel(), best.ravel()
