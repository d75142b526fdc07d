"""The likeliest token, one at a time, from a cache."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fxformer.model.language_model import LanguageModel
from fxformer.model.seq2seq import Seq2Seq
from fxformer.nn.cache import KVCache

# (tokens [B 1], cache) -> (logits [B V], cache)
Reader = Callable[[Int[Array, "B 1"], KVCache], tuple[Float[Array, "B V"], KVCache]]


def decode(
    read: Reader,
    cache: KVCache,
    prompt: Int[Array, "B T"],
    given: Int[Array, "B"],
    *,
    length: int,
    eos: int | None,
    pad: int,
) -> Int[Array, "B length"]:
    """Rows that begin with their prompt (`given` tokens of it) and go on with the likeliest token.

    A row ends with `eos` (None: never) and is filled up with `pad`. The cache must have room for
    `length` - 1 tokens: the last one is written but not read.
    """
    room = jnp.pad(prompt, ((0, 0), (0, max(0, length - prompt.shape[1]))))

    def one(carry, i):
        token, cache, ended = carry
        scores, cache = read(token[:, None], cache)
        best = jnp.argmax(scores, axis=-1).astype(prompt.dtype)
        forced = i < given
        following = jnp.where(forced, room[:, i], jnp.where(ended, pad, best))
        if eos is not None:
            ended |= ~forced & (following == eos)
        return (following, cache, ended), following

    start = (prompt[:, 0], cache, jnp.zeros(prompt.shape[0], bool))
    _, rest = jax.lax.scan(one, start, jnp.arange(1, length))
    return jnp.concatenate([prompt[:, :1], rest.T], axis=1)


def continue_text(
    model: LanguageModel, prompt, given, *, length: int, eos: int | None, pad: int
) -> Int[Array, "B length"]:
    """Prompts, continued by a decoder."""
    ones = jnp.ones((prompt.shape[0], 1), jnp.int32)

    def read(token, cache):
        x, cache = model.decode_step(token, ones, cache)
        return model.logits(x[:, -1]), cache

    cache = model.init_cache(prompt.shape[0], length)
    return decode(read, cache, prompt, given, length=length, eos=eos, pad=pad)


def continue_prefix(
    model: LanguageModel,
    prompt: Int[Array, "B T"],
    given: Int[Array, "B"],
    prefix: Bool[Array, "B T"],
    *,
    length: int,
    eos: int | None,
    pad: int,
) -> Int[Array, "B length"]:
    """Prompts, continued by a decoder that reads the tokens of the prefix in both directions.

    A prompt is read at once, so each row has a cache of its own: prompts differ in length.
    """

    def one(prompt, given, prefix):
        shown = jnp.arange(len(prompt)) < given
        both_ways = jnp.pad(prefix & shown, (0, length - len(prompt)))[None]
        cache, one = model.init_cache(1, length), jnp.ones((1, 1), jnp.int32)
        _, cache = model.decode_step(prompt[None], shown[None] * one, cache, prefix=both_ways)
        # The last token is read once more, to be answered: it sees all of the prompt either way.
        cache = cache.replace(length=jnp.full_like(cache.length, given - 1))

        def read(token, cache):
            x, cache = model.decode_step(token, one, cache)
            return model.logits(x[:, -1]), cache

        last = prompt[given - 1][None, None]
        rest = decode(read, cache, last, one[0], length=length, eos=eos, pad=pad)[0]
        at = jnp.arange(length)
        begun = jnp.pad(prompt, (0, length - len(prompt)))
        return jnp.where(at < given, begun, rest[jnp.maximum(at - given + 1, 0)])

    return jax.vmap(one)(prompt, given, prefix)


def rewrite(
    model: Seq2Seq,
    source: Int[Array, "B S"],
    segments: Int[Array, "B S"],
    *,
    start: Int[Array, "B 1"] | int,
    length: int,
    eos: int | None,
    pad: int,
) -> Int[Array, "B length"]:
    """What a seq2seq model makes of its source, without the start token."""
    memory = model.encode(source, segments)
    ones = jnp.ones((source.shape[0], 1), jnp.int32)

    def read(token, cache):
        x, cache = model.decode_step(token, ones, cache, memory, segments)
        return model.logits(x[:, -1]), cache

    first = jnp.broadcast_to(jnp.asarray(start, jnp.int32), (source.shape[0], 1))
    given = jnp.ones(source.shape[0], jnp.int32)
    cache = model.init_cache(source.shape[0], length + 1)
    rows = decode(read, cache, first, given, length=length + 1, eos=eos, pad=pad)
    return rows[:, 1:]
