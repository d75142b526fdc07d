"""Texts with masks: their token ids, the words that may fill them, and the filled text."""

import dataclasses
import re
from collections.abc import Mapping

import numpy as np

from fxformer.data.tokenizer import Tokenizer
from fxformer.errors import UserError


@dataclasses.dataclass(frozen=True)
class TextWithMasks:
    """A text with masks as token ids, without the template's tokens.

    characters: (start, end) of each mask in the text
    ids: [n] int32; places: [masks] int64, where the masks are in ids
    spaced: whether white space, or the beginning of the text, is in front of each mask
    """

    text: str
    characters: tuple[tuple[int, int], ...]
    ids: np.ndarray
    places: np.ndarray
    spaced: tuple[bool, ...]

    @classmethod
    def of(cls, text: str, tokenizer: Tokenizer) -> "TextWithMasks":
        """Encode the parts between masks as they stand.

        White space in front of a mask is dropped where tokens include their leading space: it is
        part of the word that the mask stands for.
        """
        name = mask_name(tokenizer)
        found = [match.span() for match in re.finditer(re.escape(name), text)]
        ends, begins = [0, *(end for _, end in found)], [*(low for low, _ in found), len(text)]
        ids: list[np.ndarray] = []
        places = []
        for number, (low, high) in enumerate(zip(ends, begins, strict=True)):
            part = text[low:high]
            if number < len(found) and joins_spaces(tokenizer):
                part = part.rstrip()
            if part:
                ids.append(tokenizer.encode(part) if low == 0 else _continued(part, tokenizer))
            if number < len(found):
                places.append(sum(map(len, ids)))
                ids.append(np.array([tokenizer.ids.mask], np.int32))
        spaced = tuple(low == 0 or text[low - 1].isspace() for low, _ in found)
        whole = np.concatenate([np.zeros(0, np.int32), *ids]).astype(np.int32)
        return cls(text, tuple(found), whole, np.array(places, np.int64), spaced)


def mask_name(tokenizer: Tokenizer) -> str:
    """How the tokenizer writes its mask: [MASK], <mask>."""
    assert tokenizer.ids.mask is not None
    return tokenizer.name_of(tokenizer.ids.mask)


def joins_spaces(tokenizer: Tokenizer) -> bool:
    """Whether a space is part of the token that follows it."""
    spelling = tokenizer.spelling()
    return spelling is None or bool(spelling.starts.max(initial=0) > 1)


def _continued(part: str, tokenizer: Tokenizer) -> np.ndarray:
    """Ids of a part of a text that something precedes, without a space in front of it where the
    tokenizer can do that."""
    spelling = tokenizer.spelling()
    if spelling is not None:
        (ids,) = spelling.encode([part])
        if tokenizer.ids.unk not in ids:
            return ids
    return tokenizer.encode(part)


def target_id(word: str, tokenizer: Tokenizer, spaced: bool) -> int:
    """The id of a word that is a single token, with a space in front of it if `spaced`.

    Raises UserError for a word that is several tokens: none of them stands for it.
    """
    forms = [word] if word[:1].isspace() or not spaced else [f" {word}", word]
    encoded = [tokenizer.encode(form) for form in forms]
    unk = tokenizer.ids.unk
    for ids in encoded:
        if len(ids) == 1 and ids[0] != unk:
            return int(ids[0])
    if unk in encoded[0]:
        raise UserError(f"targets: {word!r} has characters that the vocabulary lacks")
    pieces = ", ".join(repr(tokenizer.decode(ids[None])) for ids in encoded[0])
    raise UserError(
        f"targets: {word!r} is {len(encoded[0])} tokens ({pieces}), and a mask stands for one; "
        "name words that are single tokens"
    )


def filled(masked: TextWithMasks, fills: Mapping[int, int], tokenizer: Tokenizer) -> str:
    """The text with token fills[i] in the place of mask i; other masks stay.

    A token that continues a word is joined to what precedes it.
    """
    text, at = "", 0
    exact = tokenizer.spelling() is not None
    for number, (low, high) in enumerate(masked.characters):
        text += masked.text[at:low]
        at = high
        if number not in fills:
            text += masked.text[low:high]
            continue
        token = fills[number]
        if tokenizer.vocabulary.special[token]:
            text += tokenizer.name_of(token)
            continue
        word = _spelt(token, tokenizer)
        if word[:1].isspace():
            drop = not text or text[-1:].isspace() or not exact
            text += word[1:] if drop else word
        else:
            text = text.rstrip() + word
    return text + masked.text[at:]


def _spelt(token: int, tokenizer: Tokenizer) -> str:
    """What a token spells in a text, with the space in front of a word."""
    text, one = tokenizer.vocabulary.text, np.array([token])
    if text is None or text.size[token] < 0:
        return tokenizer.decode(one)
    return text.bytes_of(one).tobytes().decode(errors="replace")
