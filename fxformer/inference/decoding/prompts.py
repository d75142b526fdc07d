"""Arrays of prompts and sources, padded to a few lengths; the longest text a model reads."""

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Bool, Int, Shaped

from fxformer.errors import UserError
from fxformer.model.language_model import LanguageModel
from fxformer.model.ngram import NgramDecoder
from fxformer.model.seq2seq import Seq2Seq


def bucket(length: int) -> int:
    """The smallest of 1, 8, 12, 16, 24, 32, 48, 64, 96, … that is not below a length."""
    if length <= 1:
        return 1
    size = 8
    while size < length:
        if size * 3 // 2 >= length:
            return size * 3 // 2
        size *= 2
    return size


def align_right(
    x: Shaped[np.ndarray, "B T"], mask: Bool[np.ndarray, "B T"], width: int
) -> Shaped[np.ndarray, "B W"]:
    """The masked values of each row, in order, at the end of a row of this width; zeros before."""
    found = np.zeros((len(x), width), x.dtype)
    for row, values, kept in zip(found, x, mask, strict=True):
        row[width - int(kept.sum()) :] = values[kept]
    return found


def continued_prompts(
    prompt: Int[np.ndarray, "B T"],
    mask: Bool[np.ndarray, "B T"],
    generated: list[Int[np.ndarray, "n"]],
    pad: int,
) -> Int[np.ndarray, "B T"]:
    """Each prompt without its padding, what was generated, and padding up to the longest row.

    mask: which ids of the prompt are tokens
    """
    rows = [np.concatenate([p[m], g]) for p, m, g in zip(prompt, mask, generated, strict=True)]
    found = np.full((len(rows), max(map(len, rows))), pad, np.int32)
    for whole, row in zip(found, rows, strict=True):
        whole[: len(row)] = row
    return found


def source_arrays(
    model: LanguageModel | Seq2Seq,
    source: Int[ArrayLike, "B S"] | None,
    segments: Int[ArrayLike, "B S"] | None,
    global_tokens: Bool[ArrayLike, "B S"] | None,
) -> dict[str, np.ndarray]:
    """Inputs of the encoder by name, padded on the right to a bucket; {} for a decoder.

    Raises UserError where the source is longer than the encoder reads.
    """
    if source is None:
        return {}
    if not isinstance(model, Seq2Seq):
        raise UserError("a decoder has no source: give `prompt`")
    ids = np.asarray(source, np.int32)
    given = np.ones_like(ids) if segments is None else np.asarray(segments, np.int32)
    read, limit = int(np.flatnonzero((given > 0).any(0)).max(initial=0)) + 1, encoder_limit(model)
    if limit is not None and read > limit:
        raise UserError(
            f"a source of {read} tokens is longer than the {limit} that the encoder reads: shorten "
            f"it by {read - limit}"
        )
    width = min(bucket(read), limit or 1 << 30)

    def fit(x):
        return np.pad(x[:, :width], ((0, 0), (0, max(0, width - x.shape[1]))))

    found = {"source": fit(ids), "source_segments": fit(given)}
    if global_tokens is not None:
        found["global_tokens"] = fit(np.asarray(global_tokens, bool))
    return found


def position_limit(model: LanguageModel | Seq2Seq) -> int | None:
    """Longest text that a decoder reads, in tokens, by its position table; None: any."""
    stack = model.decoder if isinstance(model, Seq2Seq) else model.transformer
    if isinstance(stack, NgramDecoder):  # also embeds the position after the last token
        length = stack.transformer.position.length
        return None if length is None else length - 1
    return stack.position.length


def encoder_limit(model: Seq2Seq) -> int | None:
    """Longest source that an encoder reads, in tokens; None: any."""
    return model.encoder.position.length
