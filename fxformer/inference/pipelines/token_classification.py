"""token-classification: entities in a text, with the characters that they span."""

import dataclasses
from typing import Any, Literal

import numpy as np

from fxformer.data.token_offsets import TokenOffsets
from fxformer.inference.forward import Compute
from fxformer.inference.pipelines.base import ForwardPipeline, PreparedRow, check_text
from fxformer.inference.pipelines.entities import group_entities, label_words
from fxformer.inference.pipelines.heads import HeadLogits, check_head, class_count
from fxformer.inference.pipelines.inputs import readable, templates, tokenizer_of, with_offsets
from fxformer.ops.probabilities import softmax
from fxformer.task.windows import max_context_window, windows
from fxformer.types import Natural


@dataclasses.dataclass(frozen=True)
class TokenClassificationOptions:
    """aggregation_strategy: none: each token; simple: neighbours of one type joined; first,
        average, max: the same after one label for each word of the tokenizer (of its first token,
        of the mean of its tokens, of its most certain token)
    ignore_labels: labels, or types, that are left out
    stride: tokens that two windows of a long text share; None: a quarter of the window
    """

    aggregation_strategy: Literal["none", "simple", "first", "average", "max"] = "none"
    ignore_labels: list[str] = dataclasses.field(default_factory=lambda: ["O"])
    stride: Natural | None = None


class TokenClassificationPipeline(ForwardPipeline):
    """[{"entity_group", "score", "word", "start", "end"}, …] in the order of the text.

    start, end: half-open range of characters of the text; word: those characters. Without
    aggregation "entity" stands for "entity_group", and "index" is the number of the token. A text
    that is too long is read in windows; a token's label is that of the window where it has most
    context. A row is a text.
    """

    task = "token-classification"
    Options = TokenClassificationOptions

    def check(self) -> None:
        """Raise UserError without a head for tokens."""
        check_head(self.model, "token_classification", self.task)
        self._templates = templates(self.model)
        self.labels = self.card.names(class_count(self.model, "token_classification"))

    def prepare(self, row: Any, options: Any) -> PreparedRow:
        text = check_text(row)
        found = with_offsets(tokenizer_of(self.model), text)
        spans = [(0, len(found.ids))]
        if self.model.max_tokens is not None:
            around = self._templates.single(found.ids[:0]).tokens.shape[1]
            room = self.model.max_tokens - around
            stride = room // 4 if options.stride is None else options.stride
            spans = windows(len(found.ids), room, stride)
        rows = [self._templates.single(found.ids[low:high]) for low, high in spans]
        return PreparedRow([readable(self.model, one) for one in rows], (text, found, spans))

    def compute(self, options: Any) -> tuple[Compute, int]:
        return HeadLogits("token_classification"), len(self.labels)

    def finish(self, state: Any, outputs: list[np.ndarray], options: Any) -> Any:
        text, found, spans = state
        before = len(self._templates.before)
        owner = max_context_window(spans, len(found.ids))
        logits = np.stack([
            outputs[number][before + place - spans[number][0]]
            for place, number in enumerate(owner)
        ])  # fmt: skip
        begins = np.diff(found.word, prepend=-2) != 0
        how = options.aggregation_strategy
        labelled = label_words(softmax(logits), begins, how)
        if how == "none":
            names = [self.labels[i] for i in labelled.label]
            parts = zip(names, labelled.score, labelled.start, labelled.end, strict=True)
        else:
            groups = group_entities(labelled, self.labels)
            parts = ((one.tag, one.score, one.start, one.end) for one in groups)
        return [
            self._entity(text, found, part, how)
            for part in parts
            if part[0] not in options.ignore_labels
        ]

    def _entity(self, text: str, found: TokenOffsets, part: tuple, how: str) -> dict[str, Any]:
        """part: (label, score, first token, last token)"""
        label, score, first, last = part
        start, end = int(found.start[first]), int(found.end[last])
        named = {"entity_group" if how != "none" else "entity": label, "score": float(score)}
        index = {"index": len(self._templates.before) + int(first)} if how == "none" else {}
        return {**named, **index, "word": text[start:end], "start": start, "end": end}
