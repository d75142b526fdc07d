"""Token ids of the sentences of an example, and which of them differ between the sentences."""

import dataclasses
import difflib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from fxformer.errors import UserError
from fxformer.inference.model_core import ModelCore

Spans = tuple[tuple[int, int], ...]


@dataclasses.dataclass(frozen=True)
class Sentence:
    """A sentence as the model reads it.

    ids: [n] int32, with the template's special tokens; of seq2seq the target's
    spans: half-open ranges of the ids that the sentences of the example do not share; as many for
        each of them, some of which are empty where one sentence has more words
    source, source_spans: the same for the encoder of an encoder-decoder
    """

    ids: np.ndarray
    spans: Spans
    source: np.ndarray | None = None
    source_spans: Spans = ()

    @property
    def modified(self) -> np.ndarray:
        """Whether a token is in one of the spans. [n] bool."""
        return inside(self.spans, len(self.ids))


@dataclasses.dataclass
class TextLoss:
    """Texts that a tokenizer does not give back.

    texts: how many were read; lossy: of them, how many lost a character; unknown: how many contain
    the unknown token; alike: pairs of sentences with the same ids
    """

    texts: int = 0
    lossy: int = 0
    unknown: int = 0
    alike: int = 0

    def remark(self, name: str) -> str | None:
        """One sentence about what was lost; None where nothing was."""
        if not self.lossy + self.alike:
            return None
        said = f"the tokenizer of {name} loses characters of {self.lossy} of {self.texts} sentences"
        said += f" ({self.unknown} with unknown tokens)" if self.unknown else ""
        if self.alike:
            return f"{said}, and {self.alike} examples have sentences that it cannot tell apart"
        return said


class SentenceTokenizer:
    """Encodes the sentences of examples for one model; messages contain no text.

    Raises UserError where the model has no tokenizer.
    """

    def __init__(self, model: ModelCore):
        if model.tokenizer is None:
            raise UserError(f"{model.name} has no tokenizer that can be read")
        self.model, self.tokenizer, self.loss = model, model.tokenizer, TextLoss()

    def ids(self, text: str, target: bool = True) -> np.ndarray | None:
        """Ids of a text with the template; None where it has no tokens or more than fit."""
        target = target and self.model.architecture == "seq2seq"
        try:
            (found,) = self.model.encode(text, target=target)
        except UserError:  # its message may quote the text
            return None
        most = self.model.max_tokens
        return None if most is not None and len(found) + 1 > most else found

    def pair(self, texts: Sequence[str]) -> list[Sentence] | None:
        """Two sentences, with the tokens that differ between them; None where one cannot be read.

        What the sentences share are the equal blocks of difflib.SequenceMatcher over the ids, as
        in the code of CrowS-Pairs.
        """
        first, second = (self.ids(text) for text in texts)
        if first is None or second is None:
            return None
        spans = differing(first, second)
        found = [Sentence(*one) for one in zip((first, second), spans, strict=True)]
        if self.model.architecture == "seq2seq":
            one, two = (self.ids(text, target=False) for text in texts)
            if one is None or two is None:
                return None
            pairs = zip(found, (one, two), differing(one, two), strict=True)
            found = [Sentence(s.ids, s.spans, source, spans) for s, source, spans in pairs]
        self.count(texts, [first, second])
        return found

    def count(self, texts: Sequence[str], ids: Sequence[np.ndarray]) -> None:
        """Note what the tokenizer lost of the texts of an example."""
        unk = self.model.vocabulary.unk
        for text, row in zip(texts, ids, strict=True):
            back = self.tokenizer.decode(row)
            lost = Counter("".join(text.split())) - Counter(back)
            self.loss.texts += 1
            self.loss.lossy += bool(lost)
            self.loss.unknown += unk is not None and bool((row == unk).any())
        alike = [np.array_equal(a, b) for n, a in enumerate(ids) for b in ids[:n]]
        self.loss.alike += any(alike)


def differing(first: np.ndarray, second: np.ndarray) -> tuple[Spans, Spans]:
    """The ranges between the equal blocks of two rows of ids, as many for both."""
    matcher = difflib.SequenceMatcher(None, first.tolist(), second.tolist(), autojunk=False)
    codes = [code for code in matcher.get_opcodes() if code[0] != "equal"]
    return tuple((c[1], c[2]) for c in codes), tuple((c[3], c[4]) for c in codes)


def widened(pair: Sequence[Sentence], special: np.ndarray) -> list[Sentence]:
    """The sentences of a pair with a shared token added to each span that is empty in one of them:
    the one after it, or before it where that is special. `he` and `s` + `he` differ in `s` alone,
    but both need a token to score.

    special: [V] bool
    """
    first, second = ([list(span) for span in one.spans] for one in pair)
    for one, two in zip(first, second, strict=True):
        if (one[0] == one[1]) == (two[0] == two[1]):
            continue
        ids, after = pair[0].ids, one[1]
        right = after < len(ids) and not special[ids[after]]
        for span in (one, two):
            span[right] += 1 if right else -1
    spans = (tuple((low, high) for low, high in side) for side in (first, second))
    return [dataclasses.replace(s, spans=own) for s, own in zip(pair, spans, strict=True)]


def inside(spans: Spans, length: int) -> np.ndarray:
    """Whether each position is in one of the ranges. [length] bool."""
    found = np.zeros(length, bool)
    for low, high in spans:
        found[low:high] = True
    return found


def exchanged(sentence: Sentence, special: np.ndarray, seed: int) -> Sentence:
    """The sentence with two neighbouring tokens exchanged, both ordinary and unmodified and not the
    same; as it is where there are none. In the source the same ones.

    special: [V] bool
    """

    def mixed(ids: np.ndarray, spans: Spans, share: float) -> np.ndarray:
        free = ~inside(spans, len(ids)) & ~special[ids]
        places = np.flatnonzero(free[:-1] & free[1:] & (ids[:-1] != ids[1:]))
        found = ids.copy()
        if len(places):
            place = places[int(share * len(places))]
            found[[place, place + 1]] = ids[[place + 1, place]]
        return found

    share, source = np.random.default_rng(seed).random(), sentence.source
    return Sentence(
        mixed(sentence.ids, sentence.spans, share),
        sentence.spans,
        None if source is None else mixed(source, sentence.source_spans, share),
        sentence.source_spans,
    )
