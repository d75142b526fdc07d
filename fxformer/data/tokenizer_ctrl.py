"""CTRL's byte-pair encoding (Keskar et al. 2019): characters, words split at white space."""

import functools
import json
import re
from pathlib import Path

import numpy as np

from fxformer.data.specials import SpecialIds
from fxformer.data.tokenizer import Tokenizer
from fxformer.errors import UserError

WORD, END, MORE = re.compile(r"\S+\n?"), "</w>", "@@"


class CtrlTokenizer(Tokenizer):
    """vocab.json with merges.txt as CTRL reads them: a piece that goes on is written piece@@.

    Merges may pass through pieces that the vocabulary lacks; what they end with is unk then.
    """

    def __init__(self, vocab: dict[str, int], merges: str, ids: SpecialIds, template: str):
        self.vocab, self.merges, self.ids, self.template = vocab, merges, ids, template
        lines = merges.split("\n")
        pairs = [tuple(line.split()) for line in lines if line and not line.startswith("#version")]
        self._ranks = {pair: rank for rank, pair in enumerate(pairs)}
        size = max(*vocab.values(), *ids.all()) + 1
        self._names = [""] * size
        for name, i in vocab.items():
            self._names[i] = name
        self._pieces = functools.lru_cache(100_000)(self._cut)
        # a piece looks the same at the beginning of a word; one that ends a word has a space behind
        spelt = [n.removesuffix(MORE) if n.endswith(MORE) else f"{n} " for n in self._names]
        self.vocabulary = ids.vocabulary([one.encode() for one in spelt])

    def encode(self, text: str) -> np.ndarray:
        found = [i for word in WORD.findall(text) for i in self._pieces(word)]
        return np.array(found, np.int32)

    def decode(self, ids: np.ndarray) -> str:
        return " ".join(self._names[i] for i in self.spoken(ids)).replace(f"{MORE} ", "").strip()

    def files(self) -> dict[str, bytes]:
        vocab = json.dumps(self.vocab, ensure_ascii=False)
        return {"vocab.json": vocab.encode(), "merges.txt": self.merges.encode()}

    @classmethod
    def from_files(cls, files, ids, template):
        return cls(json.loads(files["vocab.json"]), files["merges.txt"].decode(), ids, template)

    def _cut(self, word: str) -> tuple[int, ...]:
        """The ids of one word."""
        parts = [*word[:-1], word[-1] + END] if len(word) > 1 else [word]
        while len(parts) > 1:
            pairs = list(zip(parts, parts[1:], strict=False))
            best = min(pairs, key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if best not in self._ranks:
                break
            parts = _merged(parts, best)
        if len(word) > 1:
            parts[-1] = parts[-1].removesuffix(END)
        # the reference cuts at spaces once more, so a piece that holds one would be two
        named = [*(part + MORE for part in parts[:-1]), parts[-1]]
        return tuple(self.vocab.get(name, self.ids.unk or 0) for name in named)


def _merged(parts: list[str], pair: tuple[str, ...]) -> list[str]:
    """`parts` with each occurrence of `pair`, from the left, made one."""
    made, at = [], 0
    while at < len(parts):
        both = tuple(parts[at : at + 2]) == pair
        made.append("".join(pair) if both else parts[at])
        at += 2 if both else 1
    return made


def read_ctrl(file: Path, vocab: dict[str, int], merges: Path, ids: SpecialIds, template: str):
    """A CtrlTokenizer of these files. UserError for a vocabulary without unk."""
    if ids.unk is None:
        raise UserError(f"{file} has no <unk> for what it does not have")
    return CtrlTokenizer(vocab, merges.read_text(encoding="utf-8"), ids, template)
