"""zero-shot-classification: labels as hypotheses that a text entails or not (Yin et al. 2019)."""

import dataclasses
from typing import Any

import numpy as np

from fxformer.errors import UserError
from fxformer.inference.forward import Compute
from fxformer.inference.pipelines.base import ForwardPipeline, PreparedRow, check_text
from fxformer.inference.pipelines.heads import HeadLogits, check_head, class_count
from fxformer.inference.pipelines.inputs import readable, templates, token_ids, tokenizer_of
from fxformer.ops.probabilities import softmax


@dataclasses.dataclass(frozen=True)
class ZeroShotOptions:
    """candidate_labels: a list, or one text with commas between the labels; required
    hypothesis_template: sentence with {} in place of a label
    multi_label: each label by itself, entailment against contradiction; False: one is right
    """

    candidate_labels: list[str] | str | None = None
    hypothesis_template: str = "This example is {}."
    multi_label: bool = False


class ZeroShotClassification(ForwardPipeline):
    """{"sequence": text, "labels": the best first, "scores": their probabilities}.

    The model classifies pairs (natural language inference); one of its labels begins with
    "entail". A row is a text; one that is too long is refused.
    """

    task = "zero-shot-classification"
    Options = ZeroShotOptions

    def check(self) -> None:
        """Raise UserError without a head for pairs that has a label entailment."""
        check_head(self.model, "classification", self.task)
        names = self.card.names(class_count(self.model, "classification"))
        found = [i for i, name in enumerate(names) if name.lower().startswith("entail")]
        if not found or len(names) < 2:
            raise UserError(
                f"{self.task} needs a model with a label 'entailment' (natural language "
                f"inference); {self.model.name} has {', '.join(names)}"
            )
        self._entailment = found[0]
        self._contradiction = -1 if found[0] == 0 else 0  # as transformers has it
        self._templates = templates(self.model)

    def prepare(self, row: Any, options: Any) -> PreparedRow:
        text = check_text(row)
        tokenizer, rows = tokenizer_of(self.model), []
        labels = candidate_labels(options)
        first = token_ids(tokenizer, text)
        for label in labels:
            second = token_ids(tokenizer, options.hypothesis_template.replace("{}", label))
            rows.append(readable(self.model, self._templates.pair(first, second)))
        return PreparedRow(rows, (text, labels))

    def compute(self, options: Any) -> tuple[Compute, int]:
        return HeadLogits("classification"), 1

    def finish(self, state: Any, outputs: list[np.ndarray], options: Any) -> Any:
        text, labels = state
        logits = np.stack(outputs)  # [labels, classes]
        if options.multi_label or len(labels) == 1:
            pair = logits[:, [self._contradiction, self._entailment]]
            scores = softmax(pair)[:, 1]
        else:
            scores = softmax(logits[:, self._entailment])
        order = np.argsort(-scores, kind="stable")
        found = {"labels": [labels[i] for i in order], "scores": [float(scores[i]) for i in order]}
        return {"sequence": text, **found}


def candidate_labels(options: ZeroShotOptions) -> list[str]:
    """The labels of the options. UserError where there are none, or a template without {}."""
    given = options.candidate_labels
    if isinstance(given, str):
        given = [label.strip() for label in given.split(",")]
    labels = [label for label in given or [] if label]
    if not labels:
        raise UserError(
            "zero-shot-classification needs labels: candidate_labels=['ships', 'weather']"
        )
    template = options.hypothesis_template
    if template.count("{}") != 1:
        raise UserError(f"hypothesis_template={template!r} must hold {{}} once")
    return labels
