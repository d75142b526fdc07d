"""Greedy decoding with a key-value cache."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fxformer.model.language_model import LanguageModel
from fxformer.model.seq2seq import Seq2Seq
from fxformer.nn.cache import KVCache

# (tokens [B 1], cache) -> (logits [B V], cache)
StepFunction = Callable[[Int[Array, "B 1"], KVCache], tuple[Float[Array, "B V"], KVCache]]


def greedy_search(
    step: StepFunction,
    cache: KVCache,
    prompt: Int[Array, "B T"],
    prompt_lengths: Int[Array, "B"],
    *,
    length: int,
    eos: int | None,
    pad: int,
) -> Int[Array, "B length"]:
    """Prompts continued with the token of highest probability, one token at a time.

    prompt_lengths: number of tokens of each prompt, at least 1
    cache: with room for `length` - 1 tokens; the last token is not read
    eos: id that ends a row, which is then filled with `pad`; None: never
    """
    forced_tokens = jnp.pad(prompt, ((0, 0), (0, max(0, length - prompt.shape[1]))))

    def body(carry, i):
        token, cache, ended = carry
        logits, cache = step(token[:, None], cache)
        best = jnp.argmax(logits, axis=-1).astype(prompt.dtype)
        forced = i < prompt_lengths
        following = jnp.where(forced, forced_tokens[:, i], jnp.where(ended, pad, best))
        if eos is not None:
            ended |= ~forced & (following == eos)
        return (following, cache, ended), following

    start = (prompt[:, 0], cache, jnp.zeros(prompt.shape[0], bool))
    _, rest = jax.lax.scan(body, start, jnp.arange(1, length))
    return jnp.concatenate([prompt[:, :1], rest.T], axis=1)


def generate_decoder(
    model: LanguageModel, prompt, prompt_lengths, *, length: int, eos: int | None, pad: int
) -> Int[Array, "B length"]:
    """Prompts continued by a causal decoder. Arguments as of `greedy_search`."""
    ones = jnp.ones((prompt.shape[0], 1), jnp.int32)

    def step(token, cache):
        x, cache = model.decode_step(token, ones, cache)
        return model.logits(x[:, -1]), cache

    cache = model.init_cache(prompt.shape[0], length)
    return greedy_search(step, cache, prompt, prompt_lengths, length=length, eos=eos, pad=pad)


def generate_prefix_decoder(
    model: LanguageModel,
    prompt: Int[Array, "B T"],
    prompt_lengths: Int[Array, "B"],
    prefix: Bool[Array, "B T"],
    *,
    length: int,
    eos: int | None,
    pad: int,
) -> Int[Array, "B length"]:
    """Prompts continued by a prefix language model: bidirectional attention within the prefix.

    prefix: True at the tokens of the prefix
    A prompt is read in one pass, so each row has its own cache: prompts differ in length.
    """

    def one_row(prompt, prompt_length, prefix):
        given = jnp.arange(len(prompt)) < prompt_length
        bidirectional = jnp.pad(prefix & given, (0, length - len(prompt)))[None]
        cache, one = model.init_cache(1, length), jnp.ones((1, 1), jnp.int32)
        _, cache = model.decode_step(prompt[None], given[None] * one, cache, prefix=bidirectional)
        # The last token is read again for its logits: it attends to the whole prompt either way.
        length_read = jnp.full_like(cache.length, prompt_length - 1)
        cache = dataclasses.replace(cache, length=length_read)

        def step(token, cache):
            x, cache = model.decode_step(token, one, cache)
            return model.logits(x[:, -1]), cache

        last = prompt[prompt_length - 1][None, None]
        rest = greedy_search(step, cache, last, one[0], length=length, eos=eos, pad=pad)[0]
        positions = jnp.arange(length)
        padded = jnp.pad(prompt, (0, length - len(prompt)))
        generated = rest[jnp.maximum(positions - prompt_length + 1, 0)]
        return jnp.where(positions < prompt_length, padded, generated)

    return jax.vmap(one_row)(prompt, prompt_lengths, prefix)


def generate_seq2seq(
    model: Seq2Seq,
    source: Int[Array, "B S"],
    segments: Int[Array, "B S"],
    *,
    start: Int[Array, "B 1"] | int,
    length: int,
    eos: int | None,
    pad: int,
) -> Int[Array, "B length"]:
    """Output of an encoder-decoder for a source, without the start token.

    segments: 0 at padding of the source
    start: id of the first decoder token
    """
    encoder_output = model.encode(source, segments)
    ones = jnp.ones((source.shape[0], 1), jnp.int32)

    def step(token, cache):
        x, cache = model.decode_step(token, ones, cache, encoder_output, segments)
        return model.logits(x[:, -1]), cache

    first = jnp.broadcast_to(jnp.asarray(start, jnp.int32), (source.shape[0], 1))
    one = jnp.ones(source.shape[0], jnp.int32)
    cache = model.init_cache(source.shape[0], length + 1)
    rows = greedy_search(step, cache, first, one, length=length + 1, eos=eos, pad=pad)
    return rows[:, 1:]
