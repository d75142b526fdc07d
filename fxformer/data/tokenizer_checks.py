"""What is wrong with a tokenizer that was read, told before anything is made of it."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from fxformer.data.tokenizer_fast import FastTokenizer
from fxformer.errors import UserError

PROBES = ("", " ", "Hello,  world! 12", "naïve Åå 東京 한국 🙂\n\t\u200d", "\0\x7f")


@contextlib.contextmanager
def guarded(what: str) -> Iterator[None]:
    """UserError in one sentence for whatever the tokenizer libraries raise over a damaged file:
    bare Exceptions, RuntimeErrors and Rust's panics, which are no Exceptions."""
    try:
        yield
    except OSError:
        raise
    except BaseException as problem:
        panic = type(problem).__name__ == "PanicException"
        if isinstance(problem, UserError) or not (panic or isinstance(problem, Exception)):
            raise
        raise UserError(f"{what} cannot be read: {str(problem) or repr(problem)}") from None


def check_vocabulary(what: str, vocab: Any) -> dict[str, int]:
    """A vocabulary whose ids are whole numbers, each of one token. UserError for another."""
    if not isinstance(vocab, dict) or not vocab:
        raise UserError(f"{what} holds no vocabulary, {{token: id, …}}")
    owners: dict[int, str] = {}
    for name, i in vocab.items():
        if isinstance(i, bool) or not isinstance(i, int) or i < 0:
            raise UserError(f"{what}: the id of {name!r} is {i!r}, not a whole number from 0")
        if i in owners:
            raise UserError(f"{what}: {owners[i]!r} and {name!r} have the same id {i}")
        owners[i] = name
    return vocab


def check_unknown(tokenizer: FastTokenizer) -> None:
    """UserError for a model that names a token for the unknown which it does not have, and for
    whatever comes of encoding and decoding some texts."""
    model = json.loads(tokenizer.text)["model"]
    name, vocab = model.get("unk_token"), model["vocab"]
    if name is not None and isinstance(vocab, dict) and name not in vocab:
        raise UserError(f"the tokenizer's unk_token is {name!r}, which its vocabulary lacks")
    at = model.get("unk_id")
    if at is not None and not 0 <= at < len(vocab):
        raise UserError(f"the tokenizer's unk_id is {at}, and its vocabulary has {len(vocab)} ids")
    for text in PROBES:
        tokenizer.decode(tokenizer.encode(text))
