"""Marian (OPUS-MT): a SentencePiece model for sources and one for targets, ids of a vocab.json."""

import json
from pathlib import Path

import numpy as np

from fxformer.data.special_tokens import SpecialIds
from fxformer.data.token_offsets import TokenOffsets, token_offsets
from fxformer.data.tokenizer import Tokenizer
from fxformer.data.tokenizer_sentencepiece import SentencePieceTokenizer
from fxformer.data.tokenizer_settings import Settings, check_vocabulary, read_object
from fxformer.errors import UserError
from fxformer.spelling import Spelling

SOURCE_MODEL, TARGET_MODEL = "source.spm", "target.spm"
VOCAB, TARGET_VOCAB = "vocab.json", "target_vocab.json"
OPEN, CLOSE = ">>", "<<"  # around the target language at the beginning of a text


class MarianTokenizer(SentencePieceTokenizer):
    """Pieces of a SentencePiece model with the ids of a vocab.json; a text may begin with its
    target language, such as >>fr<<, which is one token.

    Pieces are looked up by their spelling, as transformers does: what the SentencePiece model does
    not know may still be in a vocabulary that serves two languages.

    vocab: {piece or special token: id}
    """

    def __init__(self, model: bytes, vocab: dict[str, int], ids: SpecialIds, template: str):
        super().__init__(model, ids, template)
        self.vocab = vocab
        size = max(*vocab.values(), *ids.all()) + 1
        self._names: list[str] = [""] * size
        for name, i in vocab.items():
            self._names[i] = name
        control = [i for i, name in enumerate(self._names) if not name or _is_language(name)]
        spelt = [name.replace("▁", " ").encode() if name else None for name in self._names]
        self.vocabulary = ids.vocabulary(spelt, control)

    def encode(self, text: str) -> np.ndarray:
        code, rest = _language(text)
        return self._known([*code, *self._sp.encode(rest, out_type=str)])

    def encode_batch(self, texts: list[str]) -> list[np.ndarray]:
        return [self.encode(text) for text in texts]

    def encode_offsets(self, text: str) -> TokenOffsets:
        code, rest = _language(text)
        made, shift = self._sp.encode(rest, return_type="offset_mapping"), len(text) - len(rest)
        spans = [(low + shift, high + shift) for low, high in made["offsets"]]
        pieces = self._known([*code, *made["pieces"]])
        return token_offsets(text, pieces, [*[(0, shift)] * len(code), *spans])

    def decode(self, ids: np.ndarray) -> str:
        """Languages are left out, as other special tokens are."""
        pieces = [self._names[i] for i in self.spoken(ids)]
        return self._sp.decode_pieces(pieces).replace("▁", " ").strip()

    def name_of(self, i: int) -> str:
        return (self._names[i] if i < len(self._names) else "") or Tokenizer.name_of(self, i)

    def id_of(self, name: str) -> int | None:
        return self.vocab.get(name)

    def spelling(self) -> Spelling | None:
        """None: pieces of the other language do not spell a text as this model cuts it."""
        return None

    @property
    def shares_ids(self) -> bool:
        return isinstance(self.source, MarianTokenizer) and self.source.vocab == self.vocab

    def files(self) -> dict[str, bytes]:
        return super().files() | {VOCAB: json.dumps(self.vocab, ensure_ascii=False).encode()}

    @classmethod
    def from_files(cls, files, ids, template):
        return cls(files["sentencepiece.model"], json.loads(files[VOCAB]), ids, template)

    def _known(self, pieces: list[str]) -> np.ndarray:
        unk = self.ids.unk
        return np.array([self.vocab.get(piece, unk) for piece in pieces], np.int32)


def _language(text: str) -> tuple[list[str], str]:
    """(the target language that a text begins with, if any, the rest)."""
    end = text.find(CLOSE) if text.startswith(OPEN) else -1
    return ([text[: end + len(CLOSE)]], text[end + len(CLOSE) :]) if end >= 0 else ([], text)


def _is_language(name: str) -> bool:
    return name.startswith(OPEN) and name.endswith(CLOSE)


def marian_files(folder: Path) -> bool:
    """Whether a folder holds what a Marian tokenizer is made of."""
    return all((folder / name).is_file() for name in (SOURCE_MODEL, TARGET_MODEL, VOCAB))


def target_vocabulary(folder: Path, settings: Settings) -> Path:
    """The file with the ids of targets: that of sources unless their vocabularies are separate."""
    separate = settings.flag("separate_vocabs", False)
    return folder / (TARGET_VOCAB if separate else VOCAB)


def marian_vocabularies(folder: Path, settings: Settings) -> tuple[dict[str, int], dict[str, int]]:
    """(vocabulary of sources, vocabulary of targets), equal where one serves both.

    Raises UserError for a file that is missing or has no unk, and for tokens added to it.
    """
    settings.refuse(sp_model_kwargs=None)
    found = []
    for file in (folder / VOCAB, target_vocabulary(folder, settings)):
        vocab = check_vocabulary(str(file), read_object(file))
        unknown = settings.names().get("unk") or "<unk>"
        if unknown not in vocab:
            raise UserError(f"{file} has no {unknown} for pieces that it does not have")
        for name, (at, _) in settings.added.items():
            if vocab.get(name) != at:
                raise UserError(
                    f"{settings.folder}: the token {name!r} was added to a Marian vocabulary, "
                    "which is not read here"
                )
        found.append(vocab)
    return found[0], found[1]
