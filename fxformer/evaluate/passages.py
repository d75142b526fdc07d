"""Held-out text with words taken out: the same for every run, whatever its tokenizer."""

import dataclasses
import re
from collections.abc import Iterable

import numpy as np

from fxformer.data.tokenizer import Tokenizer
from fxformer.errors import UserError
from fxformer.objective.infilling import InfillExample

LENGTHS = (48, 32, 24, 16, 12)  # words of a passage: the longest that fits all models
FITTING = 0.8  # share of the passages that must fit


@dataclasses.dataclass(frozen=True)
class Passage:
    """left + middle + right is a piece of a text; middle and right begin with their white space."""

    left: str
    middle: str
    right: str

    @property
    def size(self) -> int:
        """UTF-8 bytes of the middle."""
        return len(self.middle.encode())


def passages(texts: Iterable[str], words: int, number: int, seed: int = 0) -> list[Passage]:
    """At most `number` stretches of `words` words that do not overlap, drawn from all there are.

    An eighth of the words, 2 at least, is taken out; the place is uniform, with a quarter of the
    words or more on either side.
    """
    example = max(words // 8, 2)
    spans = []
    for text in texts:
        ends = [(word.start(), word.end()) for word in re.finditer(r"\S+", text)]
        starts = range(0, len(ends) - words + 1, words)
        spans += [(text, ends[first : first + words]) for first in starts]
    rng = np.random.default_rng(seed)
    chosen = sorted(rng.permutation(len(spans))[:number])
    found = []
    for index in chosen:
        text, ends = spans[index]
        first = int(rng.integers(words // 4, words - words // 4 - example + 1))
        a, b = ends[first - 1][1], ends[first + example - 1][1]
        found.append(Passage(text[ends[0][0] : a], text[a:b], text[b : ends[-1][1]]))
    return found


def example(passage: Passage, tokenizer: Tokenizer, room: int) -> InfillExample | None:
    """The passage in ids, in the tokenizer's template; None where it has more than `room` of them
    or where the tokenizer joins words across the edges of the example."""
    one = tokenizer.encode(passage.left)
    two = tokenizer.encode(passage.left + passage.middle)
    whole = tokenizer.encode(passage.left + passage.middle + passage.right)
    a, b = len(one), len(two)
    left = np.concatenate([tokenizer.prefix, whole[:a]]).astype(np.int32)
    right = np.concatenate([whole[b:], tokenizer.suffix]).astype(np.int32)
    if not np.array_equal(whole[:b], two) or not np.array_equal(two[:a], one) or not a < b:
        return None
    return (
        InfillExample(left, whole[a:b], right) if len(left) + b - a + len(right) <= room else None
    )


def continued(whole: InfillExample, tokenizer: Tokenizer) -> InfillExample:
    """The same example with nothing after it but what closes a text."""
    return InfillExample(whole.left, whole.middle, np.asarray(tokenizer.suffix, np.int32))


def fitting(
    texts: list[str], readers: list[tuple[Tokenizer, int]], number: int, seed: int = 0
) -> tuple[list[Passage], list[list[InfillExample]], int]:
    """(passages, their examples for every reader, how many were drawn and left out).

    readers: tokenizer and room of each run. UserError where even the shortest do not fit all, or
    there are not two of them.
    """
    for words in LENGTHS:
        drawn = passages(texts, words, number, seed)
        examples = [[example(p, tokenizer, room) for p in drawn] for tokenizer, room in readers]
        good = [i for i in range(len(drawn)) if all(one[i] is not None for one in examples)]
        if len(good) >= max(2, FITTING * len(drawn)):
            kept = [[found for i in good if (found := one[i]) is not None] for one in examples]
            return [drawn[i] for i in good], kept, len(drawn) - len(good)
    if len(passages(texts, LENGTHS[-1], 2)) < 2:
        raise UserError(
            f"the held-out text is too small to compare by: {sum(map(len, texts))} characters, and "
            f"not two stretches of {LENGTHS[-1]} words in one document; hold out more "
            "(data.valid_share, data.valid_files)"
        )
    rooms = ", ".join(str(room) for _, room in readers)
    raise UserError(
        f"no passages of {LENGTHS[-1]} words of held-out text fit all the runs, which read {rooms} "
        "tokens at once: compare runs of a greater data.length, or over the same kind of text"
    )
