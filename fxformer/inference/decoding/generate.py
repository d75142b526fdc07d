"""generate: tokens that a decoder or an encoder-decoder continues prompts with."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int

from fxformer.errors import UserError
from fxformer.inference.decoding.config import DEFAULT_NEW_TOKENS, GenerationConfig
from fxformer.inference.decoding.contrastive import ContrastiveSearch
from fxformer.inference.decoding.layout import decoding_layout
from fxformer.inference.decoding.loop import Inputs, Program, advance, start
from fxformer.inference.decoding.prompts import align_right, bucket, position_limit, source_arrays
from fxformer.inference.decoding.scalars import Scalars, compiled_settings
from fxformer.inference.decoding.strategy import Strategy, build_strategy
from fxformer.model.language_model import LanguageModel
from fxformer.model.seq2seq import Seq2Seq

# (number of the prompt, its ids with those generated so far [n]) -> ids that may follow
AllowedFunction = Callable[[int, Int[np.ndarray, "n"]], Sequence[int]]
# (latest token of each row [B], which rows it belongs to [B]) -> rows that shall end [B], or None
TokenCallback = Callable[
    [Int[np.ndarray, "B"], Bool[np.ndarray, "B"]], Bool[np.ndarray, "B"] | None
]


@dataclasses.dataclass(frozen=True)
class Generated:
    """Generated tokens. The num_return_sequences R of a prompt stand together, best first.

    sequences: without the prompt or the start token; the end of sequence is included, padding
        follows
    lengths: generated tokens of each row
    scores: of beam search the log-probability divided by the length penalty, otherwise the
        log-probability under the model
    """

    sequences: Int[np.ndarray, "B*R N"]
    lengths: Int[np.ndarray, "B*R"]
    scores: Float[np.ndarray, "B*R"]

    def rows(self) -> list[Int[np.ndarray, "n"]]:
        """The generated tokens of each row without padding."""
        pairs = zip(self.sequences, self.lengths, strict=True)
        return [row[:length] for row, length in pairs]


def generate(
    model: LanguageModel | Seq2Seq,
    config: GenerationConfig,
    *,
    prompt: Int[ArrayLike, "B T"] | None = None,
    prompt_mask: Bool[ArrayLike, "B T"] | None = None,
    prefix: Bool[ArrayLike, "B T"] | None = None,
    source: Int[ArrayLike, "B S"] | None = None,
    source_segments: Int[ArrayLike, "B S"] | None = None,
    global_tokens: Bool[ArrayLike, "B S"] | None = None,
    row_numbers: Int[ArrayLike, "B"] | None = None,
    vocab_size: int | None = None,
    cache_dtype: Any = None,
    allowed: AllowedFunction | None = None,
    on_token: TokenCallback | None = None,
) -> Generated:
    """Continues each prompt, or rewrites each source, until its end of sequence or its limit.

    Rows of one call do not influence each other: each has the positions, the cache and the random
    numbers that it would have alone. Lengths are rounded up to a few sizes, so that few programs
    are compiled (`loop.compiled_programs`).

    prompt: tokens to continue; of an encoder-decoder the first ones of the output, None:
        config.decoder_start_token_id
    prompt_mask: which ids are tokens: prompts may be padded on either side; None: all
    prefix: which of them a prefix language model encodes bidirectionally
    source, source_segments: input of the encoder, 0 at padding; segments None: no padding
    global_tokens: tokens of the source that attend to all (Longformer)
    row_numbers: number of each prompt among all that are generated with one seed; None: 0, 1, …
    vocab_size: ids from here on are never generated; None: that of the model
    cache_dtype: of keys and values; None: that of the parameters
    allowed: restricts the next token, called for each row and step
    on_token: called after each step; not with beams, whose tokens are not final

    Raises UserError for prompts and limits that do not fit the model.
    """
    if config.stop_strings:
        raise UserError("generation.stop_strings end texts, not arrays: use Model.generate")
    tokens, mask = _prompt(model, config, prompt, prompt_mask, source)
    lengths = mask.sum(1)
    max_new, min_new = new_token_limits(config, lengths, position_limit(model))
    if on_token is not None and config.num_beams > 1:
        raise UserError("tokens of beam search are not final before its end: write num_beams=1")
    width = min(bucket(int(lengths.max())), position_limit(model) or 1 << 30)
    graphdef, params = decoding_layout(model)
    if cache_dtype is None:
        cache_dtype = jax.tree.leaves(params)[0].dtype
    program = Program(
        graphdef,
        compiled_settings(config),
        bucket(int(max_new.max())),
        min(vocab_size or model.vocab, model.vocab),
        jnp.dtype(cache_dtype),
    )
    arrays: dict[str, Any] = dict(
        prompt=align_right(tokens, mask, width),
        padding=(width - lengths).astype(np.int32),
        min_new=min_new,
        max_new=max_new,
        seed=np.uint32(config.seed),
        scalars=Scalars.of(config),
        rows=np.arange(len(tokens)) if row_numbers is None else np.asarray(row_numbers),
        prefix=None if prefix is None else align_right(np.asarray(prefix), mask, width),
        **source_arrays(model, source, source_segments, global_tokens),
    )
    strategy = build_strategy(config, Scalars.of(config))
    state = _run(program, params, strategy, Inputs(**arrays), allowed, on_token)
    sequences, row_lengths, scores = map(np.asarray, strategy.result(state))
    sequences = np.where(
        np.arange(sequences.shape[1]) < row_lengths[:, None], sequences, config.pad_id
    )
    return Generated(sequences[:, : int(max_new.max())], row_lengths, scores)


def _run(
    program: Program,
    params,
    strategy: Strategy | ContrastiveSearch,
    inputs: Inputs,
    allowed,
    on_token,
):
    """The final state: in one call, or step by step where a function is called after each."""
    per_prompt = strategy.rows_per_prompt
    last, scalars = int(inputs.max_new.max()), inputs.scalars
    shape = len(inputs.prompt) * per_prompt, program.vocab_size
    texts = [row[pad:] for row, pad in zip(inputs.prompt, inputs.padding, strict=True)]
    texts = [text for text in texts for _ in range(per_prompt)]
    numbers = np.repeat(np.asarray(inputs.rows), per_prompt)
    mask = None if allowed is None else allowed_mask(allowed, numbers, texts, shape)
    ended = np.zeros(shape[0], bool)
    state, unfinished = start(program, params, inputs, mask)
    if allowed is None and on_token is None:
        return (
            advance(program, params, scalars, state, np.int32(last), None)[0]
            if unfinished
            else state
        )
    while True:
        if on_token is not None:
            stop = on_token(np.asarray(state.text.last_tokens), ~ended)
            if stop is not None:
                state = dataclasses.replace(state, ended=state.ended | np.asarray(stop, bool))
                unfinished = strategy.unfinished(state)
        if not unfinished or int(state.text.step) >= last:
            return state
        ended, step = np.array(state.ended), int(state.text.step)
        if allowed is not None:
            ids = np.asarray(state.text.ids)[:, : state.text.width + step]
            texts = [row[pad:] for row, pad in zip(ids, state.text.prompt_start, strict=True)]
            mask = allowed_mask(allowed, numbers, texts, shape, ended)
        state, unfinished = advance(program, params, scalars, state, np.int32(step + 1), mask)


def allowed_mask(
    allowed: AllowedFunction,
    numbers: Int[np.ndarray, "R"],
    texts: list[Int[np.ndarray, "n"]],
    shape: tuple[int, int],
    ended: Bool[np.ndarray, "R"] | None = None,
) -> Bool[np.ndarray, "R V"]:
    """The tokens that `allowed` names for each text, all where it has ended. UserError if none."""
    mask = np.zeros(shape, bool)
    for row, (number, text) in enumerate(zip(numbers, texts, strict=True)):
        if ended is not None and ended[row]:
            mask[row] = True
            continue
        ids = np.asarray(allowed(int(number), text), int)
        if not len(ids) or ids.min() < 0 or ids.max() >= shape[1]:
            raise UserError(
                f"`allowed` must name one or more ids below {shape[1]}; it returned "
                f"{ids.tolist()} for prompt {number} after {text.tolist()}"
            )
        mask[row, ids] = True
    return mask


def new_token_limits(
    config: GenerationConfig, lengths: Int[np.ndarray, "B"], limit: int | None
) -> tuple[Int[np.ndarray, "B"], Int[np.ndarray, "B"]]:
    """(most, least) generated tokens of each row.

    limit: longest text that the model reads, in tokens; None: any
    Raises UserError where prompt and continuation do not fit it, or no token may be generated.
    """
    longest = int(lengths.max())
    if limit is not None and longest >= limit:
        raise UserError(
            f"a prompt of {longest} tokens leaves no room to continue it: the model reads at most "
            f"{limit}; shorten it by {longest - limit + 1} or more"
        )
    if config.max_new_tokens is not None:
        most = np.full(len(lengths), config.max_new_tokens)
    elif config.max_length is not None:
        most = config.max_length - lengths
    else:
        most = np.full(len(lengths), min(DEFAULT_NEW_TOKENS, (limit or 1 << 30) - longest))
    if most.min() < 1:
        raise UserError(
            f"generation.max_length={config.max_length} leaves no token to generate after a "
            f"prompt of {longest}: write generation.max_new_tokens={DEFAULT_NEW_TOKENS}"
        )
    over = int((lengths + most).max()) - (limit or 1 << 30)
    if over > 0:
        raise UserError(
            f"a prompt of {longest} tokens and {int(most.max())} new ones are more than the "
            f"{limit} that the model reads: write generation.max_new_tokens="
            f"{max(1, int(most.max()) - over)}"
        )
    least = np.maximum(0, config.min_length - lengths)
    if config.min_new_tokens is not None:
        least = np.full(len(lengths), config.min_new_tokens)
    return most.astype(np.int32), least.astype(np.int32)


def _prompt(model, config, prompt, mask, source):
    """(ids, which of them are tokens) of the prompt, or of the start token."""
    if isinstance(model, Seq2Seq) and source is None:
        raise UserError("an encoder-decoder generates from a source: give `source`")
    if prompt is None:
        if source is None:
            raise UserError("a decoder continues a prompt: give `prompt`")
        if config.decoder_start_token_id is None:
            raise UserError("give `prompt` or generation.decoder_start_token_id: neither is set")
        prompt = np.full((len(source), 1), config.decoder_start_token_id, np.int32)
    prompt = np.asarray(prompt, np.int32)
    mask = np.ones(prompt.shape, bool) if mask is None else np.asarray(mask, bool)
    if mask.shape != prompt.shape or prompt.ndim != 2:
        raise UserError(
            f"a prompt of shape {list(prompt.shape)} with a mask of shape {list(mask.shape)}: both "
            "must be [batch, length]"
        )
    if not mask.any(1).all():
        row = int(np.argmin(mask.any(1)))
        raise UserError(f"prompt {row} is empty: it needs one token or more")
    return prompt, mask
