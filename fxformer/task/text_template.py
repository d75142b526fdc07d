"""Special tokens around one text, or around two, as the encoders of the literature write them."""

import dataclasses

import numpy as np
from jaxtyping import Int

from fxformer.data.tokenizer import Tokenizer

NO_IDS = np.zeros(0, np.int32)


@dataclasses.dataclass(frozen=True)
class TextTemplate:
    """before A after, or before A between B after; B and what follows have token type 1.

    Devlin et al. 2019, sec. 3: [CLS] A [SEP] B [SEP]; RoBERTa writes two separators between.
    """

    before: Int[np.ndarray, "b"]
    between: Int[np.ndarray, "m"]
    after: Int[np.ndarray, "a"]

    def room(self, length: int, pair: bool) -> int:
        """Tokens of text that fit `length` tokens."""
        between = len(self.between) if pair else 0
        return length - len(self.before) - between - len(self.after)

    def join(
        self, first: Int[np.ndarray, "n"], second: Int[np.ndarray, "m"] | None = None
    ) -> tuple[Int[np.ndarray, "t"], Int[np.ndarray, "t"]]:
        """(tokens, types) of a text or a pair. int32"""
        head = [self.before, first, NO_IDS if second is None else self.between]
        rest = self.after if second is None else np.append(second, self.after)
        tokens = np.concatenate([*head, rest]).astype(np.int32)
        types = np.zeros(len(tokens), np.int32)
        if second is not None:
            types[len(tokens) - len(rest) :] = 1
        return tokens, types

    def second_begins(self, first: int) -> int:
        """Index of the first token of B behind a text of so many tokens."""
        return len(self.before) + first + len(self.between)


def template_of(tokenizer: Tokenizer, separators: int, *, closed: bool = True) -> TextTemplate:
    """The TextTemplate of a tokenizer.

    separators: how many times what ends a text stands between two (RoBERTa, BART: 2)
    closed: whether it stands behind the last; not for a decoder
    """
    after = tokenizer.suffix if closed else NO_IDS
    return TextTemplate(tokenizer.prefix, np.tile(tokenizer.suffix, separators), after)


def fit_pair(first: int, second: int, room: int) -> tuple[int, int]:
    """Tokens of two texts that are kept so that both fit: the longer one is shortened first."""
    over = first + second - room
    if over <= 0:
        return first, second
    longer, shorter = max(first, second), min(first, second)
    cut = min(over, longer - shorter)
    longer, over = longer - cut, over - cut
    longer, shorter = longer - (over - over // 2), shorter - over // 2
    longer, shorter = max(longer, 0), max(shorter, 0)
    return (longer, shorter) if first >= second else (shorter, longer)
