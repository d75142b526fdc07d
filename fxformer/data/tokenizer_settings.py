"""What the files beside a published vocabulary say: its family, its settings, its special tokens.

Read are tokenizer_config.json, special_tokens_map.json, added_tokens.json and the model's
config.json, as transformers reads them.
"""

import contextlib
import dataclasses
import json
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from fxformer.data.tokenizer_fast import FastTokenizer
from fxformer.errors import UserError

LONGEST = 200_000_000  # bytes of a file
FILES = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "config.json")
SLOTS = {  # of ours: theirs, the first that is stated
    "pad": ("pad_token",),
    "unk": ("unk_token",),
    "bos": ("cls_token", "bos_token"),
    "eos": ("sep_token", "eos_token"),
    "mask": ("mask_token",),
}
# tokenizer_class without "Tokenizer" and "Fast" -> the model_type that it was made for
CLASSES = {
    **{name: name.lower() for name in ("Bert", "Electra", "Albert", "Roberta", "Longformer")},
    **{name: name.lower() for name in ("Bart", "GPT2", "CTRL", "T5", "MBart", "Pegasus", "Llama")},
    **{name: name.lower() for name in ("DistilBert", "LED", "MT5", "Qwen2", "ProphetNet")},
    **{"OpenAIGPT": "openai-gpt", "XLMRoberta": "xlm-roberta", "MBart50": "mbart50"},
    **{"Deberta": "deberta", "DebertaV2": "deberta-v2", "M2M100": "m2m_100", "Nllb": "nllb"},
    **{"GPTNeoX": "gpt_neox", "Bloom": "bloom", "Marian": "marian", "TransfoXL": "transfo-xl"},
}
ANY = ("PreTrained", "PreTrainedTokenizerFast", "TokenizersBackend")  # say nothing of a family


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of one folder.

    values: tokenizer_config.json; named: special_tokens_map.json; model: config.json
    added: {token: (id, special)}, tokens beside the vocabulary, in the order of their ids
    """

    folder: Path
    values: dict[str, Any]
    named: dict[str, Any]
    model: dict[str, Any]
    added: dict[str, tuple[int, bool]]

    @cached_property
    def family(self) -> str | None:
        """The model_type whose tokenizer it is; None where nothing says. UserError for a class
        that is of no known family."""
        stated = self.values.get("tokenizer_class")
        kind = self.model.get("model_type")
        if not isinstance(stated, str) or stated in ANY:
            return kind if isinstance(kind, str) else None
        name = stated.removesuffix("Fast").removesuffix("Tokenizer")
        if name in ANY:
            return kind if isinstance(kind, str) else None
        if name not in CLASSES:
            known = ", ".join(f"{one}Tokenizer" for one in CLASSES)
            raise UserError(
                f"{self.folder / FILES[0]}: tokenizer_class {stated!r} is not read "
                f"here; there are {known}"
            )
        return CLASSES[name]

    def flag(self, name: str, usual: bool | None) -> bool | None:
        """A setting that is true, false or, where `usual` is None, null. UserError otherwise."""
        found = self.values.get(name, usual)
        if found is None:
            return usual
        if not isinstance(found, bool):
            raise UserError(f"{self.folder / FILES[0]}: {name}={found!r} is no true or false")
        return found

    def refuse(self, **usual: Any) -> None:
        """UserError for a setting that changes ids in a way that is not known here."""
        for name, value in usual.items():
            found = self.values.get(name, value)
            if found != value and (found or value):
                raise UserError(
                    f"{self.folder / FILES[0]}: {name}={found!r} is not read here, only {value!r}"
                )

    def names(self) -> dict[str, str | None]:
        """{slot: its token} of the slots that are stated; None: stated to be without one."""
        found: dict[str, str | None] = {}
        whole = self.values if "added_tokens_decoder" in self.values else self.values | self.named
        for slot, keys in SLOTS.items():
            stated = [_content(whole[key]) for key in keys if key in whole]
            if stated:
                found[slot] = next((name for name in stated if name is not None), None)
        return found

    def ids(self) -> dict[str, int]:
        """{slot: id} as config.json states them."""
        found = {}
        for slot in ("pad", "bos", "eos"):
            one = self.model.get(f"{slot}_token_id")
            one = one[0] if isinstance(one, list) and one else one
            if isinstance(one, int) and not isinstance(one, bool):
                found[slot] = one
        return found


def settings_of(folder: Path) -> Settings:
    """The settings in a folder. UserError for a file that is no JSON object."""
    values, named, added, model = (read_object(folder / name) for name in FILES)
    tokens = {name: (_id(folder / FILES[2], one), False) for name, one in added.items()}
    stated = values.get("added_tokens_decoder") or {}
    if not isinstance(stated, dict):
        raise UserError(f"{folder / FILES[0]}: added_tokens_decoder is no object")
    for one, token in stated.items():
        name = _content(token)
        if name is None:
            raise UserError(f"{folder / FILES[0]}: added_tokens_decoder[{one}] names no token")
        special = isinstance(token, dict) and bool(token.get("special"))
        tokens[name] = (_id(folder / FILES[0], one), special)
    special = {_content(named.get(k) or values.get(k)) for keys in SLOTS.values() for k in keys}
    for key in ("additional_special_tokens", "extra_special_tokens"):
        special |= set(map(_content, _listed(named.get(key) or values.get(key))))
    tokens = {name: (one, mark or name in special) for name, (one, mark) in tokens.items()}
    ordered = dict(sorted(tokens.items(), key=lambda item: item[1][0]))
    return Settings(folder, values, named, model, ordered)


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object of a file, {} where there is none. UserError for anything else."""
    if not file.is_file():
        return {}
    if file.stat().st_size > LONGEST:
        raise UserError(f"{file} is larger than any tokenizer")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{file} holds a {type(found).__name__} where an object should be")
    return found


def _content(token: Any) -> str | None:
    """The text of a token, which is a string or an object."""
    token = token.get("content") if isinstance(token, dict) else token
    return token if isinstance(token, str) else None


def _listed(tokens: Any) -> Iterable[Any]:
    if isinstance(tokens, dict):
        return tokens.values()
    return tokens if isinstance(tokens, list) else ()


def _id(file: Path, one: Any) -> int:
    try:
        return int(one)
    except (TypeError, ValueError):
        raise UserError(f"{file}: {one!r} is no id of a token") from None


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
