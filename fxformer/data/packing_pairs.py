"""Packing for questions with answers: as a pair for two stacks, or one after the other for one."""

import dataclasses
from typing import ClassVar

import numpy as np

from fxformer.batch import Rows
from fxformer.data.documents import Documents, join
from fxformer.data.packing import Frame, PackedPieces, Padded, Segments, cut, fitted
from fxformer.errors import UserError
from fxformer.types import Count


@dataclasses.dataclass(frozen=True)
class PairRows:
    """A `Packed` of pairs: the answer in `tokens`, the question in `source`, both under the same
    segment number in the same row. All of an answer counts, with what the template closes it by."""

    answers: PackedPieces
    questions: PackedPieces

    @property
    def length(self) -> int:
        return self.answers.length

    def __len__(self) -> int:
        return len(self.answers)

    def rows(self, which: np.ndarray, seed: int = 0, epoch: int = 0) -> Rows:
        answers, questions = self.answers.rows(which, seed, epoch), self.questions.rows(which)
        return dataclasses.replace(
            answers, source=questions.tokens, source_segments=questions.segments, scored=None
        )

    def facts(self) -> dict:
        of_source = self.questions.facts()
        return self.answers.facts() | {
            "source_tokens": of_source["tokens_used"],
            "source_padding_share": of_source["padding_share"],
        }


@dataclasses.dataclass(frozen=True)
class Paired:
    """One pair a row, both sides with the template: for seq2seq models, and, where question and
    answer align place by place, for encoders."""

    reads_pairs: ClassVar[bool] = True

    def __call__(self, documents: Documents, length: int, frame: Frame) -> PairRows:
        sides = zip(_sides(documents), _frames(frame), strict=True)
        return PairRows(*(Padded()(_whole(side), length, one) for side, one in sides))


@dataclasses.dataclass(frozen=True)
class PairedSegments:
    """Several pairs a row, kept apart by segment numbers: for seq2seq models. A pair takes as much
    of a row as the longer of its sides.

    window: pairs fitted together at a time
    """

    reads_pairs: ClassVar[bool] = True
    window: Count = 65536

    def __call__(self, documents: Documents, length: int, frame: Frame) -> PairRows:
        sides = [_whole(side) for side in _sides(documents)]
        frames = _frames(frame)
        cuts = [cut(side, length, one) for side, one in zip(sides, frames, strict=True)]
        widths = np.maximum(
            *(size + len(one.prefix) + len(one.suffix)
              for (_, size), one in zip(cuts, frames, strict=True))
        )  # fmt: skip
        order, bounds = fitted(widths, length, self.window)
        made = zip(sides, frames, cuts, strict=True)
        return PairRows(
            *(PackedPieces(side, length, one, *ends, order, bounds) for side, one, ends in made)
        )


@dataclasses.dataclass(frozen=True)
class Prompted:
    """question, bos, answer, eos in one stream, of which answer and eos are scored: for decoders.
    Several to a row, kept apart by segment numbers."""

    reads_pairs: ClassVar[bool] = True

    def __call__(self, documents: Documents, length: int, frame: Frame) -> PackedPieces:
        if frame.bos is None or frame.eos is None:
            raise UserError("data/packing=prompted needs a vocabulary with bos and eos")
        if frame.source is not None:
            raise UserError(
                "data/packing=prompted makes one stream of source and target, and they have two "
                "tokenizers; write data/packing=paired objective=seq2seq, or one tokenizer"
            )
        answers, questions = _sides(documents)
        parts, scored = [], []
        for i in range(len(documents)):
            ask = questions.tokens[questions.bounds[i] : questions.bounds[i + 1]]
            answer = answers.tokens[answers.bounds[i] : answers.bounds[i + 1]]
            parts.append(np.concatenate([ask, [frame.bos], answer, [frame.eos]]))
            scored.append(np.arange(len(parts[-1])) > len(ask))
        tokens, bounds = join(parts)
        bare = dataclasses.replace(frame, prefix=np.empty(0, int), suffix=np.empty(0, int))
        return Segments()(Documents(tokens, bounds, np.concatenate(scored)), length, bare)


def _sides(documents: Documents) -> tuple[Documents, Documents]:
    """Answers and questions, each as documents."""
    if documents.source is None or documents.source_bounds is None:
        raise UserError(
            "this packing needs pairs, the data has none: data/packing=segments, padded or blocks"
        )
    answers = Documents(documents.tokens, documents.bounds)
    return answers, Documents(documents.source, documents.source_bounds)


def _frames(frame: Frame) -> tuple[Frame, Frame]:
    """Of answers and of questions."""
    return frame, frame if frame.source is None else frame.source


def _whole(documents: Documents) -> Documents:
    """The same, marked as not to be cut."""
    return dataclasses.replace(documents, scored=np.ones(len(documents.tokens), bool))
