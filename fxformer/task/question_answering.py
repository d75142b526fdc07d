"""Extractive question answering: the span of a context that answers a question."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from fxformer.batch import Labels
from fxformer.data.labelled.rows import Row
from fxformer.data.token_offsets import TokenOffsets
from fxformer.errors import UserError
from fxformer.metrics.squad import Squad
from fxformer.ops.cross_entropy import Sums
from fxformer.task.answer_spans import ReadContext, ranked_answers
from fxformer.task.base import Encoded, Task, TextEncoder, begins, filled, numbers, token_outputs
from fxformer.task.class_labels import freeze
from fxformer.task.features import Feature, Placed
from fxformer.task.losses import sums_of
from fxformer.task.windows import windows
from fxformer.types import Count, Natural

HIDDEN = -1e9  # logit of a token of another input of the row


@dataclasses.dataclass(frozen=True)
class SpanLabel:
    """Label of a window: where the answer is.

    start, end: first and last token of the answer in the input; 0, 0: it is not in this window
    context, number: the context that the window is of, and which of its windows
    """

    start: int
    end: int
    context: ReadContext
    number: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuestionAnswering(Task):
    """Start and end of the answer: two softmaxes over the tokens of an input, by the `span` head.

    Devlin et al. 2019, sec. 4.2 and 4.3. A long context is read in windows; in one without the
    answer, and for a question without one, start and end are the first token. The loss is the mean
    of both negative log-likelihoods. The first answer of a row is learned; all are references.

    stride: tokens of the context that two windows share; at most half of their room
    max_question: tokens of a question; rows with a longer one are left out and counted
    max_answer: tokens of a predicted answer at most
    frozen: as in Classification
    """

    head: ClassVar[str] = "span"
    roles: ClassVar[tuple[str, ...]] = ("question", "context")
    optional: ClassVar[tuple[str, ...]] = ("id", "answers")
    architectures: ClassVar[frozenset[str]] = frozenset({"encoder", "decoder"})

    metrics: Mapping[str, Any] | Sequence[Any] = ()
    stride: Natural = 128
    max_question: Count = 64
    max_answer: Count = 30
    frozen: bool = False

    def __post_init__(self) -> None:
        freeze(self, "metrics")

    @property
    def outputs(self) -> int:
        return 2

    def check_rows(self, rows: Mapping[str, Sequence[Row]]) -> None:
        held_out = [row for split, some in rows.items() if split != "train" for row in some]
        missing = [row for row in held_out if not row.get("answers")]
        squads = [one for one in self.metrics if isinstance(one, Squad)]
        if missing and any(one.squad_version == "1.1" for one in squads):
            raise UserError(
                f"{len(missing)} of {len(held_out)} questions that are evaluated have no answer "
                f"(the first: {missing[0].where}), which SQuAD 1.1 does not allow; write "
                "metric@task.metrics.squad=squad_v2"
            )

    def encode(self, row: Row, number: int, encoder: TextEncoder) -> Encoded:
        question = encoder.tokenizer.encode(row.value("question"))
        text = row.value("context")
        found = encoder.tokenizer.encode_offsets(text)
        total = len(question) + len(found.ids)
        if not len(question) or not len(found.ids):
            return Encoded([], total, skipped="a text without tokens")
        if len(question) > self.max_question:
            why = f"a question of more than {self.max_question} tokens"
            return Encoded([], total, skipped=why)
        template = encoder.template
        if not len(template.before):
            raise UserError(
                "question answering needs a first token that stands for no answer, and this "
                "tokenizer's template has none: take a tokenizer with {bos} before the text"
            )
        room = template.room(encoder.length, pair=True) - len(question)
        if room < 2:
            return Encoded([], total, skipped="a question that leaves no room for a context")
        spans = windows(len(found.ids), room, min(self.stride, room // 2))
        first = template.second_begins(len(question))
        context = ReadContext(text, found, spans, first, len(template.after), null=True)
        answer = self._tokens(row, found)
        features = []
        for n, (low, high) in enumerate(spans):
            tokens, types = template.join(question, found.ids[low:high])
            start = end = 0
            if answer is not None and low <= answer[0] and answer[1] < high:
                start, end = (one - low + first for one in answer)
            label = SpanLabel(start, end, context, n)
            features.append(Feature(tokens, types, (len(tokens),), number, label))
        return Encoded(features, total)

    def _tokens(self, row: Row, offsets: TokenOffsets) -> tuple[int, int] | None:
        """First and last token of the first answer of a row; None without one."""
        answers = row.get("answers")
        if not answers:
            return None
        low = answers[0]["start"]
        high = low + len(answers[0]["text"])
        touched = np.flatnonzero((offsets.start < high) & (low < offsets.end))
        return (int(touched[0]), int(touched[-1])) if len(touched) else None

    def label_arrays(self, placed: Placed) -> Labels:
        at, weights = begins(placed), filled(placed)
        classes = np.zeros((*weights.shape, 2), np.int32)
        if placed.features:
            spans = np.array([[one.label.start, one.label.end] for one in placed.features])
            classes[placed.row, placed.slot] = spans + np.asarray(placed.begin)[:, None]
        return Labels(at, classes, weights, numbers(placed))

    def loss(
        self, head: Any, hidden: Array, segments: Array, labels: Labels, key: Array | None
    ) -> tuple[Sums, Array]:
        logits = head(hidden, segments, key=key).astype(jnp.float32)
        each = self._of_features(logits, segments, labels)
        logs = jax.nn.log_softmax(each, axis=2)
        nll = -jnp.take_along_axis(logs, labels.classes[:, :, None, :], axis=2)[:, :, 0]
        hits = jnp.all(each.argmax(2) == labels.classes, axis=-1).astype(jnp.float32)
        losses = nll.mean(-1)
        return sums_of(losses, labels.weights, labels.weights, nll=losses, accuracy=hits), logits

    def _of_features(self, logits: Array, segments: Array, labels: Labels) -> Array:
        """Logits of the positions of each feature, of all others HIDDEN. [B, N, T, 2]"""
        own = jnp.take_along_axis(segments, labels.at, axis=1)
        inside = segments[:, None, :] == own[:, :, None]  # [B, N, T]
        return jnp.where(inside[..., None], logits[:, None], HIDDEN)

    def logits_of(self, outputs: Array, segments: Array, labels: Labels) -> tuple[Array, Array]:
        """A softmax over positions for the first and one for the last token of an answer."""
        logits = self._of_features(outputs, segments, labels).swapaxes(2, 3)
        return logits, jnp.broadcast_to(labels.weights[..., None], logits.shape[:-1]) / 2

    def outputs_of(self, outputs: np.ndarray, labels: Labels) -> dict[int, np.ndarray]:
        return token_outputs(outputs, labels)

    def predictions(
        self, outputs: Sequence[np.ndarray], features: Sequence[Feature], rows: Sequence[Row]
    ) -> tuple[list[str], list[list[str]]]:
        """(answers, true answers) of the rows; "" says that there is none.

        A row of whose windows none could be made counts with the answer "".
        """
        possible = any(not row.get("answers") for row in rows)
        logits: dict[int, list[np.ndarray]] = {}
        contexts: dict[int, ReadContext] = {}
        for one, values in zip(features, outputs, strict=True):
            logits.setdefault(one.example, []).append(values[: len(one.tokens)])
            contexts[one.example] = one.label.context
        given = [""] * len(rows)
        for number, context in contexts.items():
            best = ranked_answers(
                context,
                logits[number],
                longest=self.max_answer,
                max_context=False,
                impossible=possible,
            )
            (low, high), _ = best[0] if best else ((0, 0), 0.0)
            given[number] = context.text[low:high]
        wanted = [[one["text"] for one in row.get("answers") or []] for row in rows]
        return given, wanted

    def shown_input(self, row: Row) -> str:
        return f"{row.get('question')} | {row.get('context')}"

    def shown(self, answer: Any, row: Row) -> str:
        """A predicted answer, or the first of the true ones."""
        if isinstance(answer, str):
            return answer or "no answer"
        return answer[0] if answer else "no answer"
