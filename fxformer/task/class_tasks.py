"""Base classes of tasks with named classes: one of many, or several, for a text or each word."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from jaxtyping import Array, Float

from fxformer.batch import Labels
from fxformer.ops.cross_entropy import Sums
from fxformer.task.base import Task
from fxformer.task.class_labels import check_class_weights, freeze, label_names, weight_array
from fxformer.task.losses import softmax_loss
from fxformer.types import Positive, Rate


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassTask(Task):
    """A task with named classes.

    labels: names of the classes in the order of the outputs; None: from the training rows, sorted
    """

    metrics: Mapping[str, Any] | Sequence[Any] = ()
    labels: Sequence[str] | None = None

    def __post_init__(self) -> None:
        freeze(self, "metrics", "labels")

    @property
    def outputs(self) -> int:
        return len(label_names(self))


@dataclasses.dataclass(frozen=True, kw_only=True)
class OneClassTask(ClassTask):
    """A task with one class of many for each label: -log softmax(logits)[class].

    smoothing: label smoothing
    class_weights: factors on the loss of each class, in the order of `labels`; "balanced": labels /
        (classes * labels of the class); None: 1
    """

    smoothing: Rate = 0.0
    class_weights: Sequence[Positive] | Literal["balanced"] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze(self, "class_weights")
        check_class_weights(self.labels, self.class_weights)

    def class_loss(self, logits: Float[Array, "B N C"], labels: Labels) -> Sums:
        """{"loss", "nll", "accuracy"}: (sum, weight) over labels."""
        return softmax_loss(
            logits,
            labels.classes,
            labels.weights,
            smoothing=self.smoothing,
            class_weights=weight_array(self.class_weights),
        )
