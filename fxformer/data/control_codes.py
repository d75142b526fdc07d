"""Control codes: what kind of text a document is, as one special token (Keskar et al. 2019)."""

import dataclasses
import glob
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, cast

from fxformer.config.type_check import nearest
from fxformer.data.tokenizer import Recipe
from fxformer.errors import UserError

MOST = 1000  # different codes; more are no kinds of text but another field


class Coded(str):
    """A text that knows its control code."""

    code: str

    def __new__(cls, text: str, code: str):
        made = super().__new__(cls, text)
        made.code = code
        return made


def code_of(text: str) -> str | None:
    """The control code of a text, or None."""
    return getattr(text, "code", None)


def part_of(text: str, which: slice) -> str:
    """Some of a text, with its code."""
    code = code_of(text)
    return text[which] if code is None else Coded(text[which], code)


def folder_of(path: Path, patterns: str | Sequence[str]) -> str:
    """The first folder of a file below the fixed part of the pattern that found it."""
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        base = Path()
        for part in Path(pattern).expanduser().parts[:-1]:
            if glob.has_magic(part):
                break
            base /= part
        if path.is_relative_to(base) and len(rest := path.relative_to(base).parts) > 1:
            return rest[0]
    raise UserError(
        f"data.code=folder: {path} lies in no folder below that of data.files; write "
        "data.files='FOLDER/**/*.txt', or data.code=file"
    )


def check_number(codes: Collection[str]) -> None:
    """Raise UserError for more than a thousand different codes."""
    if len(codes) > MOST:
        some = ", ".join(sorted(codes)[:4])
        raise UserError(
            f"data.code: more than {MOST} different control codes ({some}, …); name a field "
            "with the kind of text"
        )


def with_codes(recipe: Recipe, codes: Sequence[str]) -> Recipe:
    """The recipe of a tokenizer that has these codes, unless it names its own."""
    specials = getattr(recipe, "specials", None)
    owner: Any = recipe if specials is None else specials
    own = getattr(owner, "codes", None)
    if own is None:
        raise UserError(
            f"data.code: {type(recipe).__name__} has no control codes; write tokenizer=unigram"
        )
    if own:
        return recipe
    owner = dataclasses.replace(owner, codes=tuple(codes))
    return owner if specials is None else dataclasses.replace(cast(Any, recipe), specials=owner)


def id_of(code: str | None, ids: dict[str, int]) -> int:
    """The token of a code. UserError, naming the nearest, for one the tokenizer does not know."""
    if code in ids:
        return ids[code]
    if code is None:
        raise UserError("data.code: a document has no control code")
    known = json.dumps(list(ids), ensure_ascii=False)[1:-1]
    raise UserError(
        f"control code {code!r} is none of the tokenizer's{nearest(code, ids)}; it has: "
        f"{known[:300] or 'none'}; name it in tokenizer.specials.codes (tokenizer=file: "
        "tokenizer.codes)"
    )
