"""question-answering: the span of a context that answers a question (extractive)."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from fxformer.errors import UserError
from fxformer.inference.forward import Compute
from fxformer.inference.pipelines.base import ForwardPipeline, PreparedRow, check_text
from fxformer.inference.pipelines.heads import HeadLogits, check_head
from fxformer.inference.pipelines.inputs import (
    readable,
    templates,
    token_ids,
    tokenizer_of,
    with_offsets,
)
from fxformer.task.answer_spans import ReadContext, ranked_answers
from fxformer.task.windows import windows
from fxformer.types import Count, Natural


@dataclasses.dataclass(frozen=True)
class QuestionAnsweringOptions:
    """top_k: answers; a list of them where it is not 1
    max_answer_len: tokens of an answer at most
    max_seq_len: tokens of question and window together; None: what the model reads, at most 384
    doc_stride: tokens of the context that two windows share; None: a quarter of max_seq_len, at
        most 128
    max_question_len: a longer question is refused
    handle_impossible_answer: "" may be an answer, scored by the least null score of all windows
    align_to_words: widen an answer to the words that it touches
    max_context: an answer begins only in the window where that token has most context
    """

    top_k: Count = 1
    max_answer_len: Count = 30
    max_seq_len: Count | None = None
    doc_stride: Natural | None = None
    max_question_len: Count = 64
    handle_impossible_answer: bool = False
    align_to_words: bool = True
    max_context: bool = True


class QuestionAnsweringPipeline(ForwardPipeline):
    """{"score", "start", "end", "answer"}: the answer is context[start:end]; no span twice.

    A row is {"question": …, "context": …}. A context that is too long is read in windows.
    """

    task = "question-answering"
    Options = QuestionAnsweringOptions
    fields = ("question", "context")
    required_fields = 2

    def check(self) -> None:
        """Raise UserError without a head for spans."""
        check_head(self.model, "span", self.task)
        self._templates = templates(self.model)

    def __call__(self, inputs: Any = None, *, question: Any = None, context: Any = None, **options):
        """As `Pipeline.__call__`; or question= and context=, texts or lists of as many texts."""
        if inputs is None and question is not None and context is not None:
            if isinstance(question, (list, tuple)):
                contexts = [context] * len(question) if isinstance(context, str) else list(context)
                if len(contexts) != len(question):
                    raise UserError(f"{len(question)} questions and {len(contexts)} contexts")
                pairs = zip(question, contexts, strict=True)
                inputs = [{"question": one, "context": other} for one, other in pairs]
            else:
                inputs = {"question": question, "context": context}
        return super().__call__(inputs, **options)

    def prepare(self, row: Any, options: Any) -> PreparedRow:
        if options.handle_impossible_answer and not self._has_null:
            raise UserError(
                f"{self.model.name} puts no token in front of a text, which would stand for no "
                "answer: leave out handle_impossible_answer"
            )
        if not isinstance(row, Mapping) or not {"question", "context"} <= set(row):
            raise UserError('a row is {"question": …, "context": …}')
        tokenizer = tokenizer_of(self.model)
        asked = token_ids(tokenizer, check_text(row["question"], "question"), "question")
        context = check_text(row["context"], "context")
        found = with_offsets(tokenizer, context, "context")
        if len(asked) > options.max_question_len:
            raise UserError(
                f"the question has {len(asked)} tokens, max_question_len={options.max_question_len}"
            )
        longest = min(options.max_seq_len or 384, self.model.max_tokens or 1 << 30)
        first = self._templates.second_begins(len(asked))
        room = longest - first - len(self._templates.after)
        if room < 2:
            raise UserError(f"a question of {len(asked)} tokens leaves no room among {longest}")
        stride = options.doc_stride
        if stride is None:
            stride = min(longest // 4, 128, room // 2)
        spans = windows(len(found.ids), room, stride)
        rows = [self._templates.pair(asked, found.ids[low:high]) for low, high in spans]
        made = [readable(self.model, one) for one in rows]
        after = len(self._templates.after)
        return PreparedRow(made, ReadContext(context, found, spans, first, after, self._has_null))

    def compute(self, options: Any) -> tuple[Compute, int]:
        return HeadLogits("span"), 2

    def finish(self, state: ReadContext, outputs: list[np.ndarray], options: Any) -> Any:
        ranked = ranked_answers(
            state,
            outputs,
            count=options.top_k,
            longest=options.max_answer_len,
            align_to_words=options.align_to_words,
            max_context=options.max_context,
            impossible=options.handle_impossible_answer,
        )
        answers = [
            {"score": score, "start": low, "end": high, "answer": state.text[low:high]}
            for (low, high), score in ranked
        ]
        return answers[0] if options.top_k == 1 else answers

    @property
    def _has_null(self) -> bool:
        """Whether the first token (bos, [CLS]) stands for no answer."""
        return len(self._templates.before) > 0
