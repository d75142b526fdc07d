"""Logits processors: each changes the scores of the next token, given the text so far."""

import dataclasses
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.decoding.scalars import Scalars
from fxformer.inference.decoding.state import TokenRows, is_eos

EXCLUDED = -jnp.inf  # score of a token that cannot be chosen


class Processor(Protocol):
    """scores [R V] of the next token -> scores [R V]."""

    def __call__(self, scores: Float[Array, "R V"], text: TokenRows) -> Float[Array, "R V"]: ...


def process(
    processors: tuple[Processor, ...],
    scores: Float[Array, "R V"],
    text: TokenRows,
    allowed: Bool[Array, "R V"] | None,
) -> Float[Array, "R V"]:
    """Scores after all processors. allowed: tokens that may be chosen; None: all"""
    for processor in processors:
        scores = processor(scores, text)
    return scores if allowed is None else jnp.where(allowed, scores, EXCLUDED)


def build_processors(config: GenerationConfig, scalars: Scalars) -> tuple[Processor, ...]:
    """The processors that a config asks for, in the order of transformers."""
    found: list[Processor] = []
    if config.repetition_penalty != 1:
        prompt = config.repetition_penalty_prompt
        found.append(RepetitionPenalty(scalars.repetition_penalty, prompt))
    if config.no_repeat_ngram_size:
        found.append(NoRepeatNgram(config.no_repeat_ngram_size))
    if config.bad_words_ids:
        found.append(BadWords(config.bad_words_ids))
    if config.eos_ids and (config.min_length or config.min_new_tokens):
        found.append(MinNewTokens(config.eos_ids))
    if config.suppress_tokens:
        found.append(Suppress(config.suppress_tokens))
    if config.begin_suppress_tokens:
        found.append(Suppress(config.begin_suppress_tokens, first_only=True))
    if config.forced_bos_token_id is not None:
        found.append(ForcedFirst(config.forced_bos_token_id))
    if config.forced_eos_token_id is not None:
        found.append(ForcedLast(config.forced_eos_token_id))
    return tuple(found)


@dataclasses.dataclass(frozen=True)
class RepetitionPenalty:
    """Divides positive and multiplies negative scores of ids that have occurred, once for each id.
    Keskar et al. 2019, sec. 4.1.

    prompt: whether the ids of the prompt count
    """

    penalty: Float[Array, ""] | float
    prompt: bool = True

    def __call__(self, scores, text):
        counted = text.valid if self.prompt else jnp.broadcast_to(text.generated, text.ids.shape)
        occurred = occurring(text.ids, counted, scores.shape[-1])
        penalised = jnp.where(scores > 0, scores / self.penalty, scores * self.penalty)
        return jnp.where(occurred, penalised, scores)


@dataclasses.dataclass(frozen=True)
class NoRepeatNgram:
    """Excludes tokens that would complete an n-gram that has occurred in prompt or output."""

    size: int

    def __call__(self, scores, text):
        ids, length = text.ids, text.length
        rows, width = ids.shape
        before = self.size - 1
        if width < self.size:
            return scores
        starts = jnp.arange(width - before)
        same = starts + before < length
        same = jnp.broadcast_to(same, (rows, len(starts))) & (starts >= text.prompt_start[:, None])
        for i in range(before):
            last = jnp.take(ids, jnp.maximum(length - before + i, 0), axis=1)
            same &= ids[:, i : i + len(starts)] == last[:, None]
        same &= (length - text.prompt_start >= before)[:, None]
        return jnp.where(occurring(ids[:, before:], same, scores.shape[-1]), EXCLUDED, scores)


@dataclasses.dataclass(frozen=True)
class BadWords:
    """Excludes the last token of a sequence of ids where the others have just been read."""

    words: tuple[tuple[int, ...], ...]

    def __call__(self, scores, text):
        vocabulary = jnp.arange(scores.shape[-1])
        for *before, last in self.words:
            read = text.length - text.prompt_start >= len(before)
            for i, token in enumerate(before):
                at = jnp.maximum(text.length - len(before) + i, 0)
                read &= jnp.take(text.ids, at, axis=1) == token
            scores = jnp.where(read[:, None] & (vocabulary == last), EXCLUDED, scores)
        return scores


@dataclasses.dataclass(frozen=True)
class MinNewTokens:
    """Excludes the end of sequence before a row has its least number of tokens."""

    eos_ids: tuple[int, ...]

    def __call__(self, scores, text):
        eos = is_eos(jnp.arange(scores.shape[-1]), self.eos_ids)
        return jnp.where((text.step < text.min_new)[:, None] & eos, EXCLUDED, scores)


@dataclasses.dataclass(frozen=True)
class Suppress:
    """Excludes tokens, always or as the first one generated."""

    tokens: tuple[int, ...]
    first_only: bool = False

    def __call__(self, scores, text):
        listed = np.isin(np.arange(scores.shape[-1]), self.tokens)
        return jnp.where(listed & ((text.step == 0) | (not self.first_only)), EXCLUDED, scores)


@dataclasses.dataclass(frozen=True)
class ForcedFirst:
    """The first generated token is this one, with a score of 0."""

    token: int

    def __call__(self, scores, text):
        return jnp.where(text.step == 0, only(self.token, scores), scores)


@dataclasses.dataclass(frozen=True)
class ForcedLast:
    """The token at which a row reaches its limit is this one, with a score of 0."""

    token: int

    def __call__(self, scores, text):
        last = (text.step == text.max_new - 1)[:, None]
        return jnp.where(last, only(self.token, scores), scores)


def only(token: int, scores: Float[Array, "R V"]) -> Float[Array, "V"]:
    """Scores under which one token is certain."""
    return jnp.where(jnp.arange(scores.shape[-1]) == token, 0.0, EXCLUDED).astype(scores.dtype)


def occurring(ids, counted: Bool[Array, "R W"], vocabulary: int) -> Bool[Array, "R V"]:
    """Which ids of the vocabulary occur at one of the counted places of each row."""

    def of_row(ids, counted):
        at = jnp.where(counted, ids, vocabulary)  # out of range, so dropped
        return jnp.zeros(vocabulary, bool).at[at].set(True, mode="drop")

    return jax.vmap(of_row)(ids, counted)
