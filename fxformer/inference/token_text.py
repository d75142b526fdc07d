"""Printable form of tokens, and encoding of typed text that may contain special tokens."""

import re

import numpy as np

from fxformer.data.tokenizer import Tokenizer
from fxformer.errors import UserError
from fxformer.spelling import Spelling

VISIBLE = {" ": "▁", "\n": "↵", "\t": "⇥", "\r": "␍"}
SLOTS = {"pad": "<pad>", "unk": "<unk>", "bos": "<s>", "eos": "</s>", "mask": "<mask>"}


def special_tokens(tokenizer: Tokenizer) -> dict[str, int]:
    """{printed name: id} of the special tokens."""
    ids = tokenizer.ids
    found = {name: getattr(ids, slot) for slot, name in SLOTS.items()}
    found |= {f"<extra_id_{i}>": one for i, one in enumerate(ids.sentinels)}
    found |= {f"<code {code}>": one for code, one in ids.codes.items()}
    return {name: one for name, one in found.items() if one is not None}


def token_strings(ids: np.ndarray, tokenizer: Tokenizer) -> list[str]:
    """Each token as a string; a space prints as ▁, invalid UTF-8 as \\x…"""
    names = {one: name for name, one in reversed(special_tokens(tokenizer).items())}
    spelling = tokenizer.spelling()
    return [names.get(int(i)) or token_string(int(i), tokenizer, spelling) for i in ids]


def token_string(i: int, tokenizer: Tokenizer, spelling: Spelling | None) -> str:
    """A token that is not special as a string."""
    one = np.array([i], np.int32)
    if spelling is not None and spelling.size[i] >= 0:
        text = spelling.bytes_of(one).tobytes().decode(errors="backslashreplace")
    else:
        text = tokenizer.decode(one)
    return "".join(VISIBLE.get(letter, letter) for letter in text) or f"#{i}"


def encode_text(text: str, tokenizer: Tokenizer) -> np.ndarray:
    """Token ids of typed text, without the template's tokens. [n] int32.

    The name of a special token, as printed (see `special_tokens`) or as in the vocabulary ([MASK]),
    is encoded as that token. The space before a mask is dropped where tokens include their leading
    space. Raises UserError for a text with a lone surrogate.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"character {error.start} of the text is a lone surrogate, which no UTF-8 text has: "
            "remove it"
        ) from None
    known = _vocabulary_names(tokenizer) | special_tokens(tokenizer)
    names = sorted(known, key=len, reverse=True)
    parts = re.split("(" + "|".join(map(re.escape, names)) + ")", text)
    spaced = _joins_spaces(tokenizer.spelling())
    found = []
    for part, after in zip(parts, [*parts[1:], ""], strict=True):
        if part in known:
            found.append(np.array([known[part]], np.int32))
            continue
        if spaced and after in known and part.endswith(" "):
            part = part[:-1]
        if part:
            found.append(tokenizer.encode(part))
    return np.concatenate(found or [np.empty(0, np.int32)]).astype(np.int32)


def _vocabulary_names(tokenizer: Tokenizer) -> dict[str, int]:
    """{name in the vocabulary's own spelling: id} of the special tokens that have a name."""
    special = np.flatnonzero(tokenizer.vocabulary.special).tolist()
    return {name: i for i in special if (name := tokenizer.name_of(i)) != f"#{i}"}


def _joins_spaces(spelling: Spelling | None) -> bool:
    """Whether tokens span several characters, so that a space is part of the next token."""
    return spelling is None or bool(spelling.starts.max(initial=0) > 1)
