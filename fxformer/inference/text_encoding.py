"""Texts given by a caller, checked and encoded with the template's special tokens."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from fxformer.data.tokenizer import Tokenizer
from fxformer.errors import UserError
from fxformer.inference.token_text import encode_text

Text = str | np.ndarray | jax.Array  # a text, or the ids of one that is encoded already
Texts = Text | Sequence[Text]
ARRAYS = (np.ndarray, jax.Array)


def as_list(texts: Texts, what: str = "texts") -> list[Text]:
    """The texts as a list; a single text is a list of one.

    what: the name of the argument, for error messages
    Raises UserError for an empty text, None, and anything that is no text.
    """
    if isinstance(texts, str) or (isinstance(texts, ARRAYS) and texts.ndim == 1):
        texts = [texts]
    if not isinstance(texts, (list, tuple)):
        raise UserError(
            f"{what}: expected a text or a list of texts, got {type(texts).__name__} {texts!r:.60}"
        )
    for number, text in enumerate(texts):
        if wrong := _problem(text):
            raise UserError(f"{what}[{number}] {wrong}")
    return list(texts)


def _problem(text: Any) -> str | None:
    if isinstance(text, ARRAYS):
        if text.ndim != 1 or not np.issubdtype(text.dtype, np.integer):
            return f"is an array {list(text.shape)} of {text.dtype}: expected one row of token ids"
        return None if len(text) else "is empty: it has no token ids"
    if not isinstance(text, str):
        kind = "None" if text is None else f"{type(text).__name__} {text!r:.60}"
        return f"is {kind}: expected a str"
    return None if text else "is empty: write at least one word"


def encode_texts(
    texts: Texts,
    tokenizer: Tokenizer | None,
    *,
    closed: bool,
    rows: int,
    name: str,
    opened: bool = True,
    max_tokens: int | None = None,
    what: str = "texts",
) -> list[np.ndarray]:
    """Token ids of texts with the template's tokens around them; ids stay as they are. [n] int32.

    closed: whether the template's suffix follows; opened: whether its prefix precedes
    rows: of the embedding table, for a check of given ids
    name: of the model, for error messages
    max_tokens: most tokens of a text; None: no bound
    Raises UserError, with the number of the text, for one that is empty or too long.
    """
    found = []
    for number, text in enumerate(as_list(texts, what)):
        if isinstance(text, str):
            ids = _ids(text, tokenizer, f"{what}[{number}]", name)
            if tokenizer is not None:
                ids = with_template(ids, tokenizer, opened=opened, closed=closed)
        else:
            ids = np.asarray(text, np.int32)
        if ids.min() < 0 or ids.max() >= rows:
            raise UserError(f"{what}[{number}] has ids outside 0 … {rows - 1}, those of {name}")
        check_length(len(ids), max_tokens, f"{what}[{number}]", name)
        found.append(ids)
    return found


def check_length(length: int, max_tokens: int | None, what: str, name: str) -> None:
    """Raise UserError for a text of more than `max_tokens` tokens; None: no bound."""
    if max_tokens is not None and length > max_tokens:
        raise UserError(
            f"{what} has {length} tokens, and {name} reads at most {max_tokens}: shorten it by "
            f"about {length - max_tokens}, or cut it into parts"
        )


def _ids(text: str, tokenizer: Tokenizer | None, what: str, name: str) -> np.ndarray:
    if tokenizer is None:
        raise UserError(f"{name} has no tokenizer that can be read: give arrays of token ids")
    ids = encode_text(text, tokenizer)
    if not len(ids):
        raise UserError(f"{what} has no tokens: {text!r:.60} is empty to its tokenizer")
    return ids


def with_template(
    ids: np.ndarray, tokenizer: Tokenizer, *, opened: bool = True, closed: bool = True
) -> np.ndarray:
    """Ids with the template's prefix (`opened`) and suffix (`closed`). [n] int32."""
    before = tokenizer.prefix if opened else tokenizer.prefix[:0]
    after = tokenizer.suffix if closed else tokenizer.suffix[:0]
    return np.concatenate([before, ids, after]).astype(np.int32)
