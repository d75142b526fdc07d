"""What a tokenizer is: text to ids and back, a vocabulary, and files it can be stored in."""

import dataclasses
import hashlib
import importlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from fxformer import jsonl
from fxformer.batch import Vocabulary
from fxformer.data.special_tokens import SpecialIds, Specials, parse_template
from fxformer.data.token_offsets import TokenOffsets
from fxformer.errors import UserError
from fxformer.files import read_bytes
from fxformer.spelling import Spelling

_CARD = "tokenizer_card.json"
SOURCE = "source"  # the folder of the tokenizer of sources
_T = TypeVar("_T", bound="Tokenizer")


class Tokenizer(ABC):
    """Ready to use. Text that spells a special token's name is encoded as ordinary text.

    prefix, suffix: int32 ids the template puts around a piece of text; `encode` leaves them out,
        the packer adds them.
    source: the tokenizer of the sources of pairs, where it is another one; None: this one
    """

    ids: SpecialIds
    template: str
    vocabulary: Vocabulary
    source: "Tokenizer | None" = None

    @abstractmethod
    def encode(self, text: str) -> np.ndarray:
        """[n] int32 ids of a text, without template."""

    @abstractmethod
    def decode(self, ids: np.ndarray) -> str:
        """The text of ids; special tokens are left out, but for unk."""

    @abstractmethod
    def encode_offsets(self, text: str) -> TokenOffsets:
        """The ids of `encode` with the characters of the text that each stands for."""

    def name_of(self, i: int) -> str:
        """The name of a token in the vocabulary's own spelling; <mask> and its like for special
        tokens of a tokenizer that has no names."""
        slots = ("pad", "unk", "bos", "eos", "mask")
        names = dict(zip(slots, Specials().names(), strict=False))
        found = next((name for slot, name in names.items() if getattr(self.ids, slot) == i), None)
        if found is None and i in self.ids.sentinels:
            found = f"<extra_id_{self.ids.sentinels.index(i)}>"
        return found or self.decode(np.array([i], np.int32)) or f"#{i}"

    def id_of(self, name: str) -> int | None:
        """The inverse of `name_of` for special tokens and entries of the vocabulary; None: there
        is no such token, or the tokenizer has no names."""
        return next((i for i in self.ids.all() if self.name_of(i) == name), None)

    @abstractmethod
    def files(self) -> dict[str, bytes]:
        """The files that make up the tokenizer, by name."""

    @classmethod
    @abstractmethod
    def from_files(cls, files: dict[str, bytes], ids: SpecialIds, template: str) -> Self:
        """The inverse of `files`."""

    def encode_batch(self, texts: list[str]) -> list[np.ndarray]:
        """`encode` of each text; a backend overrides it where that is faster."""
        return [self.encode(text) for text in texts]

    def spelling(self) -> Spelling | None:
        """How tokens are spelt; None where texts do not come back exactly, whatever is cut."""
        return None

    @property
    def spelt(self) -> Vocabulary:
        """The vocabulary with its spelling, and with that of sources, as an objective wants it."""
        source = None if self.source is None else self.source.spelt
        return dataclasses.replace(
            self.vocabulary, spelling=self.spelling(), source=source, shares_ids=self.shares_ids
        )

    @property
    def shares_ids(self) -> bool:
        """Whether the tokenizer of sources, if there is one, has the same ids for the same tokens,
        so that one embedding table serves both."""
        return False

    @property
    def of_source(self) -> "Tokenizer":
        """The tokenizer of what the encoder of a seq2seq model reads."""
        return self if self.source is None else self.source

    def spoken(self, ids: np.ndarray) -> list[int]:
        """ids without the special ones; unk stays, so that one sees where something was lost."""
        special = self.vocabulary.special
        return [int(i) for i in ids if not special[i] or i == self.ids.unk]

    @property
    def prefix(self) -> np.ndarray:
        return parse_template(self.template, self.ids)[0]

    @property
    def suffix(self) -> np.ndarray:
        return parse_template(self.template, self.ids)[1]

    def _card(self) -> dict:
        kind, ids = type(self), dataclasses.asdict(self.ids)
        if not ids["codes"]:  # as it was written before there were codes
            del ids["codes"]
        return {
            "class": f"{kind.__module__}.{kind.__name__}",
            "ids": ids,
            "template": self.template,
        }

    @property
    def hash(self) -> str:
        """Hex digest of everything that decides an encoding."""
        digest = hashlib.blake2b(json.dumps(self._card()).encode(), digest_size=16)
        for name, content in sorted(self.files().items()):
            digest.update(f"{name}:{len(content)}:".encode() + content)
        if self.source is not None:
            digest.update(f"source:{self.source.hash}".encode())
        return digest.hexdigest()

    def save(self, folder: str | Path) -> None:
        """Write the files and a card that says how to read them."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files().items():
            (folder / name).write_bytes(content)
        card = self._card() | {"files": sorted(self.files()), "hash": self.hash}
        (folder / _CARD).write_text(json.dumps(card, indent=1))
        if self.source is not None:
            self.source.save(folder / SOURCE)


class Recipe(Protocol):
    """What `tokenizer=` in the configuration is: a way to come to a Tokenizer."""

    def key(self) -> str:
        """Names the knobs (and files) that decide the outcome, given the text."""
        ...

    def make(self, documents: Iterable[str]) -> Tokenizer:
        """Train on `documents`, or ignore them and load. The same text gives the same tokenizer.

        documents: read more than once by some; an iterator, which can be read once, is kept whole
        """
        ...


def is_saved(folder: str | Path) -> bool:
    """Whether `save` has written to this folder."""
    return (Path(folder) / _CARD).is_file()


def is_sound(folder: str | Path) -> bool:
    """Whether `load` would succeed."""
    try:
        load(folder)
    except ValueError:
        return False
    return True


def load(folder: str | Path) -> Tokenizer:
    """Read what `save` has written. UserError if it is not there or damaged."""
    folder = Path(folder)
    try:
        card = jsonl.load(folder / _CARD)
        files = {name: read_bytes(folder / Path(name).name) for name in card["files"]}
        ids = SpecialIds(**card["ids"] | {"sentinels": tuple(card["ids"]["sentinels"])})
        (module, _, name), template = card["class"].rpartition("."), card["template"]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise UserError(f"{folder} holds no readable tokenizer: {problem}") from problem
    if not module.startswith("fxformer.data."):  # a card never makes us import foreign code
        raise UserError(f"{folder / _CARD} names {card['class']}, which is not of fxformer.data")
    kind = getattr(importlib.import_module(module), name, None)
    if not (isinstance(kind, type) and issubclass(kind, Tokenizer)):
        raise UserError(f"{folder / _CARD} names {card['class']}, which is no tokenizer")
    tokenizer = kind.from_files(files, ids, template)
    if is_saved(folder / SOURCE):
        tokenizer.source = load(folder / SOURCE)
    if tokenizer.hash != card.get("hash"):
        raise UserError(f"{folder}: the tokenizer's files are not those that were saved")
    return tokenizer


def check_size(asked: int, needed: int, what: str) -> None:
    """UserError where a vocabulary cannot be as small as `asked`. what: fills it"""
    if asked < needed:
        raise UserError(
            f"tokenizer.vocab_size={asked} is too small: {what} take {needed:,} ids; "
            f"write tokenizer.vocab_size={needed} or more"
        )


def check_useful(tokenizer: _T, what: str) -> _T:
    """The tokenizer. UserError for one that has nothing but special tokens."""
    if tokenizer.vocabulary.special.all():
        raise UserError(f"the tokenizer has no token beside the special ones: {what}")
    return tokenizer


def shortfall(recipe: object, tokenizer: Tokenizer) -> str | None:
    """One sentence where a text gave fewer tokens than its recipe asked for, None otherwise."""
    asked, size = getattr(recipe, "vocab_size", None), tokenizer.vocabulary.size
    if not isinstance(asked, int) or size >= asked or getattr(recipe, "at_most", False):
        return None
    return (
        f"tokenizer.vocab_size={asked}: the training text gives {size} tokens, and the "
        "vocabulary has as many"
    )


def knobs(recipe: Any) -> str:
    """The key of a recipe that is a dataclass: its class and every knob."""
    return json.dumps([type(recipe).__name__, dataclasses.asdict(recipe)], sort_keys=True)
