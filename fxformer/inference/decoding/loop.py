"""The decoding loop: the prompts in one pass, then a token a step until all rows have ended."""

import dataclasses
from functools import partial
from typing import Any, cast

import flax.struct
import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.decoding.contrastive import ContrastiveSearch
from fxformer.inference.decoding.scalars import Scalars
from fxformer.inference.decoding.state import DecodingState, TokenRows
from fxformer.inference.decoding.strategy import Strategy, build_strategy
from fxformer.model.language_model import LanguageModel
from fxformer.model.seq2seq import Seq2Seq
from fxformer.nn.beam_cache import BeamCache
from fxformer.nn.cache import StackCache


@dataclasses.dataclass(frozen=True)
class Program:
    """What a compiled program depends on besides the shapes of its arrays.

    new_tokens: room for generated tokens
    vocab_size: ids from here on are never chosen
    """

    graphdef: nnx.GraphDef
    config: GenerationConfig
    new_tokens: int
    vocab_size: int
    cache_dtype: Any


@flax.struct.dataclass
class Inputs:
    """Arrays of one call. Prompts end at the same index, after padding on the left.

    prompt: first tokens of the text, or of the output of an encoder-decoder
    padding: number of places before each prompt
    prefix: which tokens of the prompt are encoded bidirectionally; None: none
    source, source_segments, global_tokens: input of an encoder-decoder's encoder
    min_new, max_new: least and most generated tokens
    seed, rows: of the PRNG key of each prompt
    scalars: settings that are numbers
    """

    prompt: Int[Array, "B W"]
    padding: Int[Array, "B"]
    min_new: Int[Array, "B"]
    max_new: Int[Array, "B"]
    seed: Int[Array, ""]
    rows: Int[Array, "B"]
    scalars: Scalars
    prefix: Bool[Array, "B W"] | None = None
    source: Int[Array, "B S"] | None = None
    source_segments: Int[Array, "B S"] | None = None
    global_tokens: Bool[Array, "B S"] | None = None


@partial(jax.jit, static_argnums=0)
def start(
    program: Program, params: nnx.State, inputs: Inputs, allowed: Bool[Array, "R V"] | None
) -> tuple[DecodingState, Bool[Array, ""]]:
    """(state with the first token of every row, whether a row needs another)."""
    model = nnx.merge(program.graphdef, params)
    strategy = build_strategy(program.config, inputs.scalars)
    batch, width = inputs.prompt.shape
    cache = model.init_cache(batch, width + program.new_tokens, program.cache_dtype)
    cache = cache.with_padding(inputs.padding)
    if isinstance(model, Seq2Seq):
        assert inputs.source is not None and inputs.source_segments is not None
        known = {"global_tokens": inputs.global_tokens}
        encoded = model.encode(inputs.source, inputs.source_segments, **known)
        cache = model.with_encoder(cache, encoded)
    segments = (jnp.arange(width) >= inputs.padding[:, None]).astype(jnp.int32)
    x, cache = read(
        model, inputs.prompt, segments, cache, inputs.source_segments, prefix=inputs.prefix
    )
    logits = next_logits(program, model, x)
    per_prompt, cache_rows = strategy.rows_per_prompt, strategy.cache_rows
    rows = jnp.repeat(jnp.arange(batch), per_prompt)
    read_rows = jnp.repeat(jnp.arange(batch), cache_rows)
    if strategy.shares_cache and BeamCache.suits(cache, cache_rows):
        cache = BeamCache.of(cache, cache_rows, width, program.new_tokens)
    else:
        cache = cache.take_rows(read_rows)
    ids = jnp.pad(inputs.prompt, ((0, 0), (0, program.new_tokens)))
    text = TokenRows(ids, inputs.padding, jnp.int32(0), inputs.min_new, inputs.max_new, width)
    sources = inputs.source_segments
    state = DecodingState(
        text.take_rows(rows),
        cache,
        jnp.zeros(len(rows), bool),
        jnp.zeros(len(rows), jnp.int32),
        jnp.zeros(len(rows), jnp.float32),
        row_keys(inputs.seed, inputs.rows, per_prompt),
        None if sources is None else sources[read_rows],
    )
    if isinstance(strategy, ContrastiveSearch):
        state = strategy.begin(state, logits, x)
        state = next_token(program, model, strategy, state, allowed)
    else:
        state = strategy.update(strategy.begin(state), logits[rows], allowed)
    return state, strategy.unfinished(state)


@partial(jax.jit, static_argnums=0, donate_argnums=3)
def advance(
    program: Program,
    params: nnx.State,
    scalars: Scalars,
    state: DecodingState,
    limit: Int[Array, ""],
    allowed: Bool[Array, "R V"] | None,
) -> tuple[DecodingState, Bool[Array, ""]]:
    """(state once `limit` tokens are generated or all rows have ended, whether one has not)."""
    model = nnx.merge(program.graphdef, params)
    strategy = build_strategy(program.config, scalars)

    def needed(state):
        return (state.text.step < limit) & strategy.unfinished(state)

    def body(state):
        return next_token(program, model, strategy, state, allowed)

    state = jax.lax.while_loop(needed, body, state)
    return state, strategy.unfinished(state)


def next_token(
    program: Program,
    model: LanguageModel | Seq2Seq,
    strategy: Strategy | ContrastiveSearch,
    state: DecodingState,
    allowed: Bool[Array, "R V"] | None,
) -> DecodingState:
    """The state with another token in every row, once the latest, or its candidates, are read."""
    tokens = state.text.last_tokens
    if isinstance(strategy, ContrastiveSearch):
        state, tokens = strategy.candidates(state, allowed)
    tokens = tokens[:, None]
    x, cache = read(model, tokens, jnp.ones_like(tokens), state.cache, state.encoder_segments)
    state, logits = dataclasses.replace(state, cache=cache), next_logits(program, model, x)
    if isinstance(strategy, ContrastiveSearch):
        return strategy.choose(state, logits, x[:, -1])
    return strategy.update(state, logits, allowed)


def read(
    model: LanguageModel | Seq2Seq,
    tokens: Int[Array, "B T"],
    segments: Int[Array, "B T"],
    cache: StackCache,
    encoder_segments: Int[Array, "B S"] | None,
    *,
    prefix: Bool[Array, "B T"] | None = None,
) -> tuple[Float[Array, "B T D"], StackCache]:
    """(hidden states of the last layer of these tokens, cache with them)."""
    if isinstance(model, Seq2Seq):
        assert encoder_segments is not None  # as `generate` has checked
        return model.decode_step(tokens, segments, cache, None, encoder_segments)
    return model.decode_step(tokens, segments, cache, prefix=prefix)


def next_logits(
    program: Program, model: LanguageModel | Seq2Seq, x: Float[Array, "B T D"]
) -> Float[Array, "B V"]:
    """float32 logits after the last token, of the tokens that may be chosen."""
    return model.logits(x[:, -1]).astype(jnp.float32)[:, : program.vocab_size]


def row_keys(seed: Int[Array, ""], rows: Int[Array, "B"], per_prompt: int) -> Array:
    """A PRNG key for each row, from the seed, the number of its prompt and its own among those of
    the prompt: what a row draws does not depend on the others."""
    key = jax.random.key(seed)

    def of_prompt(row):
        own = jax.random.fold_in(key, row)
        return jax.vmap(lambda i: jax.random.fold_in(own, i))(jnp.arange(per_prompt))

    return jax.vmap(of_prompt)(rows).reshape(-1)


def compiled_programs() -> int:
    """Number of programs that this process has compiled for decoding: two for each combination of
    model, settings, batch size and bucketed lengths (prompts, and the loop)."""
    return cast(Any, start)._cache_size() + cast(Any, advance)._cache_size()


def limit_programs(most: int) -> None:
    """Drop the programs compiled for decoding if there are more than `most`, for processes that
    decode for a long time with settings that vary."""
    if compiled_programs() > most:
        cast(Any, start).clear_cache()
        cast(Any, advance).clear_cache()
