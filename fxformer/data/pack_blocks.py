"""Packing as GPT does it: one stream of text, cut every so many tokens."""

import dataclasses

import numpy as np

from fxformer.batch import Rows
from fxformer.data.documents import Documents
from fxformer.data.pack import Frame, account
from fxformer.errors import UserError


@dataclasses.dataclass(frozen=True)
class Stream:
    """A `Packed` whose row r is places [r * length, (r + 1) * length) of the stream
    document, eos, document, eos, …; a row is one segment, and one example."""

    documents: Documents
    length: int
    frame: Frame

    @property
    def joint(self) -> int:
        """Tokens after each document: 1, or 0 where the vocabulary has no eos."""
        return int(self.frame.eos is not None)

    def __len__(self) -> int:
        total = len(self.documents.tokens) + self.joint * len(self.documents)
        return -(-total // self.length)

    def rows(self, which: np.ndarray, seed: int = 0, epoch: int = 0) -> Rows:
        which = np.asarray(which, np.int64)[:, None]
        place = which * self.length + np.arange(self.length)
        ends = self.documents.bounds[1:] + self.joint * np.arange(1, len(self.documents) + 1)
        inside = (which >= 0) & (place < ends[-1])
        document = np.searchsorted(ends, np.where(inside, place, 0), side="right")
        at = np.where(inside, place - self.joint * document, 0)
        is_text = inside & (at < self.documents.bounds[document + 1])
        text = self.documents.tokens[np.where(is_text, at, 0)]
        between = self.frame.pad if self.frame.eos is None else self.frame.eos
        tokens = np.where(is_text, text, np.where(inside, between, self.frame.pad))
        tokens, examples = tokens.astype(np.int32), np.where(inside, which, -1)
        return Rows(tokens, inside.astype(np.int32), examples, seed, epoch)

    def facts(self) -> dict:
        tokens = len(self.documents.tokens)
        return account(self, len(self), tokens, tokens, self.joint * len(self.documents))


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Every row full but the last; text of different documents may meet in a row (Radford et al.
    2019). The tokenizer's template is not used."""

    def __call__(self, documents: Documents, length: int, frame: Frame) -> Stream:
        if documents.scored is not None or documents.source is not None:
            raise UserError("data/packing=blocks would cut examples: take segments or padded")
        if documents.codes is not None:
            raise UserError(
                "data/packing=blocks joins texts of different control codes: take segments or "
                "padded, or data.code=null"
            )
        return Stream(documents, length, frame)
