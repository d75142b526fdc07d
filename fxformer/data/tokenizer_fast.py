"""Byte-level BPE, WordPiece and words, on the `tokenizers` library and its tokenizer.json."""

import dataclasses
import functools
import json
from collections.abc import Iterable
from typing import Literal

import numpy as np

from fxformer.data.special_tokens import SpecialIds, Specials
from fxformer.data.token_offsets import TokenOffsets, token_offsets
from fxformer.data.tokenizer import Tokenizer, check_size, check_useful, knobs
from fxformer.spelling import Spelling
from fxformer.types import Count


class FastTokenizer(Tokenizer):
    """Any tokenizer.json. Its own post-processor is not used, the template takes its place."""

    def __init__(self, text: str, ids: SpecialIds, template: str):
        import tokenizers

        self.text, self.ids, self.template = text, ids, template
        self._fast = tokenizers.Tokenizer.from_str(text)
        self._fast.no_padding()
        self._fast.no_truncation()
        self._fast.encode_special_tokens = True  # "<s>" in a text is text
        size = max(self._fast.get_vocab_size(), max(ids.all()) + 1)
        tokens = [self._fast.id_to_token(i) or "" for i in range(size)]
        added = [i for i, t in self._fast.get_added_tokens_decoder().items() if t.special]
        self.vocabulary = ids.vocabulary(_spelt(json.loads(text), tokens), added)

    def encode(self, text: str) -> np.ndarray:
        return np.array(self._fast.encode(text, add_special_tokens=False).ids, np.int32)

    def encode_batch(self, texts: list[str]) -> list[np.ndarray]:
        many = self._fast.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(one.ids, np.int32) for one in many]

    def encode_offsets(self, text: str) -> TokenOffsets:
        made = self._fast.encode(text, add_special_tokens=False)
        return token_offsets(text, np.array(made.ids, np.int32), made.offsets, made.word_ids)

    def decode(self, ids: np.ndarray) -> str:
        return self._fast.decode(self.spoken(ids), skip_special_tokens=False)

    def name_of(self, i: int) -> str:
        return self._fast.id_to_token(i) or super().name_of(i)

    def id_of(self, name: str) -> int | None:
        return self._fast.token_to_id(name)

    def spelling(self) -> Spelling | None:
        """Of a byte-level vocabulary, which spells all bytes and puts nothing before a text."""
        card = json.loads(self.text)
        if not _is_byte_level(card):
            return None
        special = self.vocabulary.special
        names = ["" if s else self._fast.id_to_token(i) or "" for i, s in enumerate(special)]
        return Spelling([_of_letters(name) for name in names], self.encode_batch)

    def files(self) -> dict[str, bytes]:
        return {"tokenizer.json": self.text.encode()}

    @classmethod
    def from_files(cls, files, ids, template):
        return cls(files["tokenizer.json"].decode(), ids, template)


def _spelt(card: dict, tokens: list[str]) -> list[bytes | None]:
    """What each token spells in a text, by the marks the vocabulary itself uses: ##, </w>, ▁ and
    <0x0A>, or the letters of a byte alphabet. [V]; None: a token that is none of these."""
    model = card["model"]
    if prefix := model.get("continuing_subword_prefix"):
        parts = [(token, token.removeprefix(prefix)) for token in tokens]
        return [(rest if rest != token else f" {token}").encode() for token, rest in parts]
    if model["type"] == "WordLevel":
        return [f" {token}".encode() for token in tokens]
    if suffix := model.get("end_of_word_suffix"):
        return [token.replace(suffix, " ").encode() for token in tokens]
    if '"ByteLevel"' in json.dumps([card.get("pre_tokenizer"), card.get("decoder")]):
        return [_of_letters(token) for token in tokens]
    byte = {f"<0x{b:02X}>": bytes([b]) for b in range(256)}
    return [byte.get(token, token.replace("▁", " ").encode()) for token in tokens]


def _of_letters(token: str) -> bytes | None:
    """The bytes of a token of a byte-level vocabulary; None where it is no such token."""
    alphabet = _byte_of_letter()
    known = token and all(letter in alphabet for letter in token)
    return bytes(alphabet[letter] for letter in token) if known else None


@functools.cache
def _byte_of_letter() -> dict[str, int]:
    return {letter: byte for byte, letter in enumerate(byte_letters())}


def _is_byte_level(card: dict) -> bool:
    """Whether a tokenizer.json changes nothing and cuts bytes."""
    before = card.get("pre_tokenizer") or {}
    plain = before.get("type") == "ByteLevel" and not before.get("add_prefix_space")
    return plain and card["model"]["type"] == "BPE"


def byte_letters() -> list[str]:
    """The letter that stands for each byte in a byte-level vocabulary (Radford et al. 2019): its
    own where that can be seen, one from 256 on for the others. [256]."""
    shown = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(b if b in shown else 256 + hidden.index(b)) for b in range(256)]


def seal(fast, specials: list[str]) -> str:
    """tokenizer.json of `fast` with these special tokens; those it lacks are appended."""
    import tokenizers

    fast.add_special_tokens([tokenizers.AddedToken(s, special=True) for s in specials])
    return fast.to_str()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ByteLevelBPE:
    """Recipe of GPT-2's byte-level BPE (Radford et al. 2019): every text comes back exactly.

    add_prefix_space: treat the first word like the others
    min_frequency: a pair seen less often is not merged
    """

    specials: Specials
    template: str = "{bos} {text} {eos}"
    vocab_size: Count = 8192
    min_frequency: Count = 2
    add_prefix_space: bool = False
    normalization: Literal["none", "nfc", "nfkc"] = "none"

    def key(self) -> str:
        return knobs(self)

    def make(self, documents: Iterable[str]) -> FastTokenizer:
        from tokenizers import Tokenizer as Fast
        from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

        count = len(self.specials.names())
        check_size(self.vocab_size, 256 + count, f"256 bytes and {count} special tokens")
        fast = Fast(models.BPE())
        if self.normalization != "none":
            fast.normalizer = getattr(normalizers, self.normalization.upper())()
        fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=self.add_prefix_space)
        fast.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size,
            min_frequency=self.min_frequency,
            special_tokens=self.specials.names(),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        fast.train_from_iterator(documents, trainer)
        text = seal(fast, self.specials.names())
        return FastTokenizer(text, self.specials.ids(), self.template)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordPiece:
    """Recipe of BERT's WordPiece (Schuster & Nakajima 2012; Devlin et al. 2019)."""

    specials: Specials
    template: str = "{bos} {text} {eos}"
    vocab_size: Count = 8192
    min_frequency: Count = 2
    lowercase: bool = True

    def key(self) -> str:
        return knobs(self)

    def make(self, documents: Iterable[str]) -> FastTokenizer:
        from tokenizers import Tokenizer as Fast
        from tokenizers import models, trainers

        names = self.specials.names()
        texts = list(documents) if iter(documents) is documents else documents  # read twice
        draft = bert_style(Fast(models.WordPiece(unk_token=self.specials.unk)), self.lowercase)
        found: set[str] = set()
        for text in texts:
            found.update(draft.normalizer.normalize_str(text))
        letters = sorted(c for c in found if not c.isspace())
        # The library gives ids to ##letters in the order of a hash map, another in every process,
        # and ties follow the ids: listing them in order first makes the outcome the same always.
        reserved = list(dict.fromkeys(names + letters + ["##" + c for c in letters]))
        taken = f"{len(letters):,} characters, each also as ##, and {len(names)} special tokens"
        check_size(self.vocab_size, len(reserved), taken)
        trainer = trainers.WordPieceTrainer(
            vocab_size=self.vocab_size,
            min_frequency=self.min_frequency,
            special_tokens=reserved,
            show_progress=False,
        )
        draft.train_from_iterator(texts, trainer)
        made = wordpiece(draft.get_vocab(), self.specials, self.lowercase, self.template)
        return check_useful(made, "the training text has no characters but white space")


def wordpiece(vocab: dict[str, int], specials: Specials, lowercase: bool, template: str):
    """A FastTokenizer over a finished WordPiece vocabulary that begins with the specials."""
    from tokenizers import Tokenizer as Fast
    from tokenizers import models

    fast = bert_style(Fast(models.WordPiece(vocab, unk_token=specials.unk)), lowercase)
    return FastTokenizer(seal(fast, specials.names()), specials.ids(), template)


def bert_style(fast, lowercase: bool):
    """BERT's cleaning, splitting and joining."""
    from tokenizers import decoders, normalizers, pre_tokenizers

    fast.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    fast.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    fast.decoder = decoders.WordPiece()
    return fast


@dataclasses.dataclass(frozen=True, kw_only=True)
class Word:
    """Recipe of a vocabulary of whole words and punctuation marks, all others unk."""

    specials: Specials
    template: str = "{bos} {text} {eos}"
    vocab_size: Count = 32768
    min_frequency: Count = 2
    lowercase: bool = True

    def key(self) -> str:
        return knobs(self)

    def make(self, documents: Iterable[str]) -> FastTokenizer:
        from tokenizers import Tokenizer as Fast
        from tokenizers import models, trainers

        count = len(self.specials.names())
        check_size(self.vocab_size, count + 1, f"{count} special tokens and a word")
        fast = bert_style(Fast(models.WordLevel(unk_token=self.specials.unk)), self.lowercase)
        trainer = trainers.WordLevelTrainer(
            vocab_size=self.vocab_size,
            min_frequency=self.min_frequency,
            special_tokens=self.specials.names(),
            show_progress=False,
        )
        fast.train_from_iterator(documents, trainer)
        text = seal(fast, self.specials.names())
        made = FastTokenizer(text, self.specials.ids(), self.template)
        rare = f"no word of the training text occurs {self.min_frequency} times"
        return check_useful(made, f"{rare}; write tokenizer.min_frequency=1")
