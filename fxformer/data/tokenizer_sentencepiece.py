"""SentencePiece: Unigram (Kudo 2018) and BPE (Sennrich et al. 2016) over raw text."""

import dataclasses
import io
from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np

from fxformer.data.special_tokens import SpecialIds, Specials
from fxformer.data.token_offsets import TokenOffsets, token_offsets
from fxformer.data.tokenizer import Tokenizer, knobs
from fxformer.errors import UserError
from fxformer.spelling import Spelling
from fxformer.types import Count, Share

_SPACE = "▁"

# A model file's normalizer_spec, to be read after the one it has, which it overrides: name
# "identity", no charsmap, add_dummy_prefix and remove_extra_whitespaces off (fields 1 to 4 of 3).
_SPEC = b"\x0a\x08identity" + b"\x12\x00" + b"\x18\x00" + b"\x20\x00"
_UNCHANGED = b"\x1a" + bytes([len(_SPEC)]) + _SPEC


class SentencePieceTokenizer(Tokenizer):
    """A SentencePiece model; ids at or above its own size are special tokens added after it."""

    def __init__(self, model: bytes, ids: SpecialIds, template: str):
        import sentencepiece

        self.model, self.ids, self.template = model, ids, template
        self._sp = sentencepiece.SentencePieceProcessor(model_proto=model)
        self._own = len(self._sp)
        size = max(self._own, max(ids.all()) + 1)
        control = [i for i in range(self._own) if self._sp.is_control(i) or self._sp.is_unknown(i)]
        spelt = [self._spelt(i) for i in range(self._own)] + [None] * (size - self._own)
        self.vocabulary = ids.vocabulary(spelt, control)

    def encode(self, text: str) -> np.ndarray:
        return np.array(self._sp.encode(text), np.int32)

    def encode_batch(self, texts: list[str]) -> list[np.ndarray]:
        return [np.array(ids, np.int32) for ids in self._sp.encode(texts)]

    def encode_offsets(self, text: str) -> TokenOffsets:
        made = self._sp.encode(text, return_type="offset_mapping")
        return token_offsets(text, np.array(made["ids"], np.int32), made["offsets"])

    def decode(self, ids: np.ndarray) -> str:
        return self._sp.decode(self.spoken(ids))

    def name_of(self, i: int) -> str:
        return self._sp.id_to_piece(i) if i < self._own else super().name_of(i)

    def spelling(self) -> Spelling:
        """Of the normalised text: ids come from a copy of the model that adds and removes nothing,
        so that the parts of a text are cut as they stand, without a space before each."""
        import sentencepiece

        bare = sentencepiece.SentencePieceProcessor(model_proto=self.model + _UNCHANGED)

        def encode(texts: list[str]) -> list[np.ndarray]:
            return [np.array(ids, np.int32) for ids in bare.encode(texts)]

        special = self.vocabulary.special
        return Spelling([None if s else self._spelt(i) for i, s in enumerate(special)], encode)

    def _spelt(self, i: int) -> bytes:
        piece = self._sp.id_to_piece(i)
        if self._sp.is_byte(i):
            return bytes([int(piece[1:-1], 16)])
        return piece.replace(_SPACE, " ").encode()

    def files(self) -> dict[str, bytes]:
        return {"sentencepiece.model": self.model}

    @classmethod
    def from_files(cls, files, ids, template):
        return cls(files["sentencepiece.model"], ids, template)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SentencePiece:
    """Recipe of a trained SentencePieceTokenizer.

    vocab_size: specials and bytes included; fewer where the text does not yield as many
    normalization: what is done to the text first; "identity" with `remove_extra_whitespaces`
        off, the default, gives back every text exactly (but for ▁ itself, which becomes a space)
    remove_extra_whitespaces: trim the text and write one space for several; without it runs of
        spaces, as of indented code, may be pieces of their own
    byte_fallback: spell unknown characters as bytes instead of unk
    max_sentences: train on this many lines, evenly spread, at most
    """

    algorithm: Literal["unigram", "bpe"]
    specials: Specials
    template: str = "{bos} {text} {eos}"
    vocab_size: Count = 8192
    normalization: Literal["nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf", "identity"] = "identity"
    remove_extra_whitespaces: bool = False
    add_dummy_prefix: bool = True
    split_digits: bool = False
    byte_fallback: bool = True
    character_coverage: Share = 0.9995
    shrinking_factor: Share = 0.75
    max_sentences: Count = 1_000_000
    max_piece_length: Count = 16

    def key(self) -> str:
        return knobs(self)

    def make(self, documents: Iterable[str]) -> SentencePieceTokenizer:
        import sentencepiece

        model, specials = io.BytesIO(), self.specials
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=_sentences(documents),
                model_writer=model,
                model_type=self.algorithm,
                vocab_size=self.vocab_size,
                hard_vocab_limit=False,  # a small corpus gets a small vocabulary, not an error
                normalization_rule_name=self.normalization,
                remove_extra_whitespaces=self.remove_extra_whitespaces,
                allow_whitespace_only_pieces=not self.remove_extra_whitespaces,
                add_dummy_prefix=self.add_dummy_prefix,
                split_digits=self.split_digits,
                byte_fallback=self.byte_fallback,
                character_coverage=self.character_coverage,
                shrinking_factor=self.shrinking_factor,
                max_sentencepiece_length=self.max_piece_length,
                input_sentence_size=self.max_sentences,
                shuffle_input_sentence=False,
                num_threads=4,  # fixed: the order of sums, hence the result, depends on it
                minloglevel=2,
                **_reserved(specials),
            )
        except RuntimeError as problem:
            said = str(problem).rpartition("] ")[2]  # without the place in its C++ source
            said = said or "the training text has no characters but white space"
            raise UserError(
                f"SentencePiece cannot train tokenizer.vocab_size={self.vocab_size}: {said}"
            ) from problem
        return SentencePieceTokenizer(model.getvalue(), specials.ids(), self.template)


def _reserved(specials: Specials) -> dict:
    """The trainer's settings that put the special tokens at the first ids."""
    slots = dict(zip(("pad", "unk", "bos", "eos"), specials.names()[:4], strict=True))
    places = {f"{slot}_id": i for i, slot in enumerate(slots)}
    pieces = {f"{slot}_piece": name for slot, name in slots.items()}
    return {"control_symbols": specials.names()[4:]} | places | pieces


def _sentences(documents: Iterable[str], longest: int = 1000) -> Iterator[str]:
    """Lines, the long ones in parts: the trainer silently skips sentences above 4192 bytes."""
    for document in documents:
        for line in document.split("\n"):
            for start in range(0, len(line), longest):
                if part := line[start : start + longest].replace("\0", " "):
                    yield part
