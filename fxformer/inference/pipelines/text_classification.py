"""text-classification: a class for a whole text, or for a pair of texts."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from fxformer.errors import UserError
from fxformer.inference.forward import Compute
from fxformer.inference.pipelines.base import ForwardPipeline, PreparedRow, check_text
from fxformer.inference.pipelines.heads import HeadLogits, check_head, class_count
from fxformer.inference.pipelines.inputs import readable, templates, token_ids, tokenizer_of
from fxformer.ops.probabilities import sigmoid, softmax
from fxformer.types import Count

FUNCTIONS = {"softmax": softmax, "sigmoid": sigmoid, "none": lambda logits: np.float64(logits)}


@dataclasses.dataclass(frozen=True)
class TextClassificationOptions:
    """top_k: classes in the answer; None: all
    function_to_apply: on the logits; None: by the model's problem type
    """

    top_k: Count | None = 1
    function_to_apply: Literal["softmax", "sigmoid", "none"] | None = None


class TextClassification(ForwardPipeline):
    """[{"label", "score"}, …], the best first; {"label", "score"} where top_k is not given.

    Of a run of task=regression the answer is its number alone, {"score"}. A row is a text, or
    {"text": …, "text_pair": …}. A text that is too long is refused.
    """

    task = "text-classification"
    Options = TextClassificationOptions
    fields = ("text", "text_pair")

    def check(self) -> None:
        """Raise UserError without a head for whole texts."""
        check_head(self.model, "classification", self.task)
        self._templates = templates(self.model)
        self.labels = self.card.names(class_count(self.model, "classification"))

    def prepare(self, row: Any, options: Any) -> PreparedRow:
        if isinstance(row, Mapping):
            if set(row) not in ({"text"}, {"text", "text_pair"}):
                raise UserError(
                    'a row is a text, or {"text": …, "text_pair": …}; it has '
                    f"{', '.join(map(str, row)) or 'no keys'}"
                )
            texts = [row["text"], *([row["text_pair"]] if "text_pair" in row else [])]
        else:
            texts = [row]
        tokenizer = tokenizer_of(self.model)
        names = ("text", "text_pair")
        ids = [
            token_ids(tokenizer, check_text(text, name), name)
            for text, name in zip(texts, names, strict=False)
        ]
        made = self._templates.single(*ids) if len(ids) == 1 else self._templates.pair(*ids)
        return PreparedRow([readable(self.model, made)])

    def compute(self, options: Any) -> tuple[Compute, int]:
        return HeadLogits("classification"), 1

    def finish(self, state: Any, outputs: Sequence[np.ndarray], options: Any) -> Any:
        scores = FUNCTIONS[options.function_to_apply or self.function](outputs[0])
        if self.card.problem_type == "regression" and not self.card.family:  # a run's number
            return [{"score": float(scores[0])}]
        order = np.argsort(-scores, kind="stable")[: options.top_k]
        return [{"label": self.labels[i], "score": float(scores[i])} for i in order]

    @property
    def function(self) -> str:
        """The function on the logits by the problem type: identity for a regression, sigmoid for
        several labels or a single class, else softmax."""
        if self.card.problem_type == "regression":
            return "none"
        several = self.card.problem_type == "multi_label_classification"
        return "sigmoid" if several or len(self.labels) == 1 else "softmax"

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """As `Pipeline.__call__`. Without top_k, each row of a list has one {"label", "score"}."""
        made = super().__call__(inputs, **options)
        if self.is_row(inputs) or "top_k" in options or self.options.top_k != 1:
            return made
        return [one if isinstance(one, dict) else one[0] for one in made]
