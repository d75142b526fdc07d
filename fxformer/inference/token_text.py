"""Tokens as a person reads them, and typed text that may name special ones."""

import re

import numpy as np

from fxformer.data.tokenizer import Tokenizer
from fxformer.spelling import Spelling

SHOWN = {" ": "▁", "\n": "↵", "\t": "⇥", "\r": "␍"}
SLOTS = {"pad": "<pad>", "unk": "<unk>", "bos": "<s>", "eos": "</s>", "mask": "<mask>"}


def specials(tokenizer: Tokenizer) -> dict[str, int]:
    """{name: id} of the special tokens, by the names they are shown under."""
    ids = tokenizer.ids
    found = {name: getattr(ids, slot) for slot, name in SLOTS.items()}
    found |= {f"<extra_id_{i}>": one for i, one in enumerate(ids.sentinels)}
    found |= {f"<code {code}>": one for code, one in ids.codes.items()}
    return {name: one for name, one in found.items() if one is not None}


def pieces(ids: np.ndarray, tokenizer: Tokenizer) -> list[str]:
    """Each token by itself; a space shows as ▁, bytes that are no text as \\x…"""
    names = {one: name for name, one in reversed(specials(tokenizer).items())}
    spelling = tokenizer.spelling()
    return [names.get(int(i)) or piece(int(i), tokenizer, spelling) for i in ids]


def piece(i: int, tokenizer: Tokenizer, spelling: Spelling | None) -> str:
    """One token that has no name."""
    one = np.array([i], np.int32)
    if spelling is not None and spelling.size[i] >= 0:
        text = spelling.bytes_of(one).tobytes().decode(errors="backslashreplace")
    else:
        text = tokenizer.decode(one)
    return "".join(SHOWN.get(letter, letter) for letter in text) or f"#{i}"


def ids_of(text: str, tokenizer: Tokenizer) -> np.ndarray:
    """[n] int32 ids of typed text, without template. The name of a special token, as `specials`
    spells it, is that token here; the space before a mask belongs to the word that it stands for.
    """
    known = specials(tokenizer)
    parts = re.split("(" + "|".join(map(re.escape, known)) + ")", text)
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


def _joins_spaces(spelling: Spelling | None) -> bool:
    """Whether tokens are longer than a character, so that a space begins the next word."""
    return spelling is None or bool(spelling.starts.max(initial=0) > 1)
