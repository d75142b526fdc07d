"""SentencePiece models whose ids or texts a family changes: XLM-R, mBART, NLLB, M2M100, Pegasus,
ALBERT, DeBERTa-v2."""

import dataclasses
import json
import unicodedata
from pathlib import Path
from typing import cast

import numpy as np

from fxformer.data.language_codes import M2M100, MBART, MBART50
from fxformer.data.special_tokens import SpecialIds
from fxformer.data.token_offsets import MappedText, TokenOffsets, token_offsets
from fxformer.data.tokenizer_sentencepiece import SentencePieceTokenizer
from fxformer.data.tokenizer_settings import Settings, read_object
from fxformer.errors import UserError
from fxformer.spelling import Spelling

STEPS = ("squeeze", "quotes", "accents", "lower", "commas")


@dataclasses.dataclass(frozen=True)
class Variation:
    """How a family departs from its model file.

    family: its model_type where the files of its own class are written on export; None: it has a
        tokenizer.json
    ids: of each of the model's pieces; None: their own. A piece without one (-1) is unk.
    names: {token: id} beside the pieces
    steps: what is done to a text first, some of STEPS in this order; `commas` cuts the comma off a
        piece that ends with a digit and a comma, as ALBERT does
    """

    ids: tuple[int, ...] | None = None
    names: dict[str, int] = dataclasses.field(default_factory=dict)
    steps: tuple[str, ...] = ()
    family: str | None = None

    def to_json(self) -> bytes:
        return json.dumps(dataclasses.asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Variation":
        found = json.loads(text)
        ids = found["ids"]
        ids = None if ids is None else tuple(ids)
        return cls(ids, found["names"], tuple(found["steps"]), found["family"])


class VariedSentencePiece(SentencePieceTokenizer):
    """A SentencePiece model with the ids and the preparation of a family."""

    def __init__(self, model: bytes, ids: SpecialIds, template: str, variation: Variation):
        self.variation = variation
        super().__init__(model, ids, template)
        own = range(self._own) if variation.ids is None else variation.ids
        self._ids = np.array(own, np.int32)
        size = max(*own, *ids.all(), *variation.names.values(), 0) + 1
        names, back = [""] * size, np.full(size, -1, np.int32)
        for piece, i in enumerate(self._ids):
            if i >= 0:
                names[i], back[i] = self._sp.id_to_piece(piece), piece
        for name, i in variation.names.items():
            names[i], back[i] = name, -1
        self.pieces, self._back = names, back
        control = [i for i, one in enumerate(back) if one < 0 or self._sp.is_control(int(one))]
        spelt = [None if one < 0 else self._spelt(int(one)) for one in back]
        self.vocabulary = ids.vocabulary(spelt, control)

    def encode(self, text: str) -> np.ndarray:
        text = prepared(text, self.variation.steps)
        if "commas" not in self.variation.steps:
            return self._known(self._sp.encode(text))
        pieces = []
        for piece in self._sp.encode(text, out_type=str):
            pieces += self._cut(piece)
        return self._known([self._sp.piece_to_id(piece) for piece in pieces])

    def encode_batch(self, texts: list[str]) -> list[np.ndarray]:
        return [self.encode(text) for text in texts]

    def encode_offsets(self, text: str) -> TokenOffsets:
        mapped = mapped_text(text, self.variation.steps)
        made = self._sp.encode(mapped.text, return_type="offset_mapping")
        pieces, spans = [], []
        for i, piece, (low, end) in zip(
            *(made[k] for k in ("ids", "pieces", "offsets")), strict=True
        ):
            cut = self._cut(piece) if "commas" in self.variation.steps else [piece]
            for part in cut[:-1]:
                high = min(low + len(part.replace("▁", "")), end)
                spans.append((low, high))
                low = high
            spans.append((low, end))
            pieces += [i] if len(cut) == 1 else map(self._sp.piece_to_id, cut)
        return token_offsets(text, self._known(pieces), mapped.spans(spans))

    def decode(self, ids: np.ndarray) -> str:
        back = [int(self._back[i]) for i in self.spoken(ids)]
        unknown = self._sp.unk_id()
        return self._sp.decode([unknown if piece < 0 else piece for piece in back])

    def name_of(self, i: int) -> str:
        return self.pieces[i] or super().name_of(i)

    def id_of(self, name: str) -> int | None:
        return self.pieces.index(name) if name and name in self.pieces else None

    def spelling(self) -> Spelling | None:
        """None: the pieces do not spell the text as it was given."""
        return None

    def files(self) -> dict[str, bytes]:
        return super().files() | {"variation.json": self.variation.to_json()}

    @classmethod
    def from_files(cls, files, ids, template):
        variation = Variation.from_json(files["variation.json"])
        return cls(files["sentencepiece.model"], ids, template, variation)

    def _known(self, pieces: list[int]) -> np.ndarray:
        """The ids of pieces; unk for one that has none."""
        found = self._ids[np.array(pieces, np.int32)]
        lost = (found < 0) | (np.array(pieces, np.int32) == self._sp.unk_id())
        unk = cast(int, self.ids.unk)  # a SentencePiece model always has one
        return np.where(lost, unk, found).astype(np.int32)

    def _cut(self, piece: str) -> list[str]:
        """ALBERT's rule for "1,": the digits, cut anew, and the comma."""
        if len(piece) < 2 or piece[-1] != "," or not piece[-2].isdigit():
            return [piece]
        cut = self._sp.encode(piece[:-1].replace("▁", ""), out_type=str)
        if cut and piece[0] != "▁" and cut[0][0] == "▁":
            cut = cut[1:] if len(cut[0]) == 1 else [cut[0][1:], *cut[1:]]
        return [*cut, ","]


def prepared(text: str, steps: tuple[str, ...]) -> str:
    """A text after these steps."""
    if "squeeze" in steps:
        text = " ".join(text.strip().split())
    if "quotes" in steps:
        text = text.replace("``", '"').replace("''", '"')
    if "accents" in steps:
        text = unicodedata.normalize("NFKD", text)
        text = "".join(letter for letter in text if not unicodedata.combining(letter))
    return text.lower() if "lower" in steps else text


def mapped_text(text: str, steps: tuple[str, ...]) -> MappedText:
    """`prepared` with the characters of the text that each character is from."""
    mapped = MappedText.of(text)
    if "squeeze" in steps:
        mapped = mapped.squeezed()
    if "quotes" in steps:
        mapped = mapped.replaced("``", '"').replaced("''", '"')
    if "accents" in steps:
        mapped = mapped.without_accents()
    return mapped.lowered() if "lower" in steps else mapped


def variation_of(file: Path, pieces: list[str], settings: Settings) -> Variation | None:
    """What the family of `settings` changes of a model with these pieces; None: nothing.

    Raises UserError where what the family needs is not there.
    """
    family = settings.family
    own = file.name == "sentencepiece.bpe.model" and family is None
    if own or family in ("xlm-roberta", "mbart"):
        return _fairseq(pieces, *(MBART if family == "mbart" else ()), "<mask>")
    if family == "mbart50":
        return _fairseq(pieces, *MBART50, "<mask>")
    if family == "nllb":
        return _fairseq(pieces)  # the languages and the mask that follow are not read
    if family == "m2m_100":
        return _listed(file, pieces)
    if family == "pegasus":
        return _pegasus(pieces, settings)
    if family == "albert":
        return _albert(settings)
    if family == "deberta-v2":
        settings.refuse(split_by_punct=False)
        lower = settings.flag("do_lower_case", False)
        return Variation(steps=("lower",), family=family) if lower else None
    return None


def _fairseq(pieces: list[str], *after: str) -> Variation:
    """XLM-R's ids: four of their own, the pieces from the fourth one on, then `after`."""
    names = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    end = len(pieces) + 1
    names |= {name: end + i for i, name in enumerate(after)}
    return Variation((-1, -1, -1, *range(4, end)), names)


def _listed(file: Path, pieces: list[str]) -> Variation:
    """M2M100's: the ids of its vocab.json, and its languages behind them."""
    if not file.with_name("vocab.json").is_file():
        raise UserError(f"{file} needs the vocab.json of its M2M100 beside it")
    vocab = read_object(file.with_name("vocab.json"))
    if not all(isinstance(i, int) and i >= 0 for i in vocab.values()):
        raise UserError(f"{file.with_name('vocab.json')}: ids are not whole numbers from 0")
    named = {name: i for name, i in vocab.items() if name not in set(pieces[3:])}
    marks = [mark for mark in (f"__{code}__" for code in M2M100) if mark not in vocab]
    named |= {mark: max(vocab.values()) + 1 + i for i, mark in enumerate(marks)}
    ids = (-1, -1, -1, *(vocab.get(piece, -1) for piece in pieces[3:]))
    return Variation(ids, named, family="m2m_100")


def _pegasus(pieces: list[str], settings: Settings) -> Variation:
    """Pegasus': pad, eos, two masks and <unk_2>… come before the pieces, which begin at 103."""
    offset = settings.values.get("offset", 103)
    if not isinstance(offset, int) or offset < 4:
        raise UserError(f"{settings.folder}: Pegasus' offset={offset!r} is no number from 4 on")
    names = {"<pad>": 0, "</s>": 1, "<mask_1>": 2, "<mask_2>": 3}
    names |= {f"<unk_{i - 2}>": i for i in range(4, offset)}
    names["<unk>"] = offset + pieces.index("<unk>")
    return Variation(tuple(range(offset, offset + len(pieces))), names)


def _albert(settings: Settings) -> Variation:
    """ALBERT's, by the settings of its tokenizer."""
    wanted = {
        "squeeze": settings.flag("remove_space", True),
        "quotes": True,
        "accents": not settings.flag("keep_accents", False),
        "lower": settings.flag("do_lower_case", True),
        "commas": True,
    }
    return Variation(steps=tuple(step for step in STEPS if wanted[step]), family="albert")
