"""Packing for questions with answers: as a pair for two stacks, or one after the other for one."""

import dataclasses
from typing import ClassVar

import numpy as np

from fxformer.batch import Rows
from fxformer.data.documents import Documents, join
from fxformer.data.packing import PackedPieces, Padded, Segments, Template, cut
from fxformer.data.packing_index import fitted
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

    def __call__(self, documents: Documents, length: int, template: Template) -> PairRows:
        sides = zip(_sides(documents), _templates(template), strict=True)
        return PairRows(*(Padded()(_whole(side), length, one) for side, one in sides))


@dataclasses.dataclass(frozen=True)
class PairedSegments:
    """Several pairs a row, kept apart by segment numbers: for seq2seq models. A pair takes as much
    of a row as the longer of its sides.

    window: pairs fitted together at a time
    """

    reads_pairs: ClassVar[bool] = True
    window: Count = 65536

    def __call__(self, documents: Documents, length: int, template: Template) -> PairRows:
        sides = [_whole(side) for side in _sides(documents)]
        templates = _templates(template)
        cuts = [cut(side, length, one) for side, one in zip(sides, templates, strict=True)]
        widths = np.maximum(
            *(size + len(one.prefix) + len(one.suffix)
              for (_, size), one in zip(cuts, templates, strict=True))
        )  # fmt: skip
        order, bounds = fitted(widths, length, self.window)
        made = zip(sides, templates, cuts, strict=True)
        return PairRows(
            *(PackedPieces(side, length, one, *ends, order, bounds) for side, one, ends in made)
        )


@dataclasses.dataclass(frozen=True)
class Prompted:
    """question, bos, answer, eos in one stream, of which answer and eos are scored: for decoders.
    Several to a row, kept apart by segment numbers."""

    reads_pairs: ClassVar[bool] = True

    def __call__(self, documents: Documents, length: int, template: Template) -> PackedPieces:
        if template.bos is None or template.eos is None:
            raise UserError("data/packing=prompted needs a vocabulary with bos and eos")
        if template.source is not None:
            raise UserError(
                "data/packing=prompted makes one stream of source and target, and they have two "
                "tokenizers; write data/packing=paired objective=seq2seq, or one tokenizer"
            )
        answers, questions = _sides(documents)
        parts, scored = [], []
        for i in range(len(documents)):
            ask = questions.tokens[questions.bounds[i] : questions.bounds[i + 1]]
            answer = answers.tokens[answers.bounds[i] : answers.bounds[i + 1]]
            parts.append(np.concatenate([ask, [template.bos], answer, [template.eos]]))
            scored.append(np.arange(len(parts[-1])) > len(ask))
        tokens, bounds = join(parts)
        bare = dataclasses.replace(template, prefix=np.empty(0, int), suffix=np.empty(0, int))
        return Segments()(Documents(tokens, bounds, np.concatenate(scored)), length, bare)


def _sides(documents: Documents) -> tuple[Documents, Documents]:
    """Answers and questions, each as documents."""
    if documents.source is None or documents.source_bounds is None:
        raise UserError(
            "this packing needs pairs, the data has none: data/packing=segments, padded or blocks"
        )
    answers = Documents(documents.tokens, documents.bounds)
    return answers, Documents(documents.source, documents.source_bounds)


def _templates(template: Template) -> tuple[Template, Template]:
    """Of answers and of questions."""
    return template, template if template.source is None else template.source


def _whole(documents: Documents) -> Documents:
    """The same, marked as not to be cut."""
    return dataclasses.replace(
        documents, scored=np.broadcast_to(np.bool_(True), len(documents.tokens))
    )
