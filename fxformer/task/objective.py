"""Training objective of a labelled task: the task's loss on the task head of a model."""

from typing import Any, Literal, cast

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from fxformer.batch import Batch, Labels, Rows, Vocabulary
from fxformer.errors import UserError
from fxformer.metrics.results import MetricResults
from fxformer.nn.flops import kernel_size
from fxformer.objective.base import Objective
from fxformer.objective.shift import answer
from fxformer.ops.cross_entropy import CrossEntropy, Sums
from fxformer.ops.dropout import split_key
from fxformer.task.base import Task
from fxformer.task.classification import TextTask
from fxformer.task.frozen import FromVectors, PoolOnly
from fxformer.types import Part


class TaskObjective(Objective):
    """Loss of a task: the model reads the rows of data=labelled, its task head answers.

    An encoder-decoder reads a text with its encoder and, shifted right, with its decoder (Lewis et
    al. 2020, sec. 3.1).

    task: the labelled task
    start: first token that the decoder of an encoder-decoder reads
    """

    legal = frozenset({"encoder", "decoder", "seq2seq"})
    needs_lm_head = False

    def __init__(
        self,
        model: Part,
        *,
        task: Task,
        start: Literal["eos", "bos", "pad"] = "eos",
        loss: CrossEntropy = CrossEntropy(),
        vocabulary: Vocabulary,
        rngs: nnx.Rngs,
    ):
        super().__init__(model, loss=loss, vocabulary=vocabulary, rngs=rngs)
        if self.model.architecture not in task.architectures:
            raise UserError(
                f"task={type(task).__name__} needs one of {', '.join(sorted(task.architectures))}, "
                f"and this model is a {self.model.architecture}"
            )
        if task.head not in self.model.task_heads:
            raise UserError(
                f"the task needs the head {task.head!r}, and the model has "
                f"{', '.join(self.model.task_heads) or 'none'}; write model/task_head={task.head}"
            )
        self.task, self.start = task, start

    @property
    def head(self) -> Any:
        """The head that answers."""
        return self.model.task_heads[self.task.head]

    def source_length(self, length: int) -> int | None:
        """As long as the rows."""
        return length if self.model.architecture == "seq2seq" else None

    def passes(self, batch: Batch) -> tuple[tuple, ...]:
        """The model, with the task head at the labels only."""
        return ((self.model, batch, kernel_size(self.head)),)

    def frozen_vectors(self, batch: Batch) -> Array:
        """What the head reads of a frozen body: vectors pooled for each label [B, N, D], or of each
        token [B, T, D], without dropout."""
        hidden, labels = self.model(batch), cast(Labels, batch.labels)
        if not self.head.pooling:
            return hidden
        task = cast(TextTask, self.task)
        return task.logits(PoolOnly(self.head), hidden, batch.segments, labels, None)

    def corrupt(self, rows: Rows) -> Batch:
        """rows [B, T] with labels -> a batch; nothing is corrupted."""
        rows = self.accept(rows)
        if rows.labels is None:
            raise UserError(
                "objective=task learns from labelled rows, and this data has none: write task=, "
                "which chooses data=labelled"
            )
        tokens, segments = rows.tokens.astype(np.int32), rows.segments
        labels = rows.labels
        picked = self.task.picked(labels)
        known = {"labels": labels, "weights": np.asarray(labels.weights), "picked": picked}
        if rows.hidden is not None:
            return Batch(tokens, segments, hidden=rows.hidden, **known)
        if self.model.architecture == "seq2seq":
            read = answer(rows, cast(int, getattr(self.vocabulary, self.start)))[0]
            return Batch(read, segments, source=tokens, source_segments=segments, **known)
        types = rows.types if self.model.num_types > 1 else None
        return Batch(tokens, segments, types=types, **known)

    @property
    def metric_names(self) -> tuple[str, ...]:
        return tuple(name for one in self.task.judges for name in one.names)

    @property
    def signatures(self) -> dict[str, str]:
        return {name: s for one in self.task.judges for name, s in one.signatures().items()}

    @property
    def directions(self) -> dict[str, bool]:
        return self.task.directions

    def results(self, outputs: list, packed: Any) -> MetricResults:
        """Results of the metrics on a whole split; see Task.results. packed: a TaskSplit"""
        return self.task.results(self.outputs_by_feature(outputs), packed.features, packed.read)

    def samples(self, outputs: list, packed: Any, count: int) -> list[tuple[str, str, str]]:
        """(input, answer, label) of the first rows of a split, of the same outputs."""
        found = self.outputs_by_feature(outputs)
        return self.task.samples(found, packed.features, packed.read, count)

    def outputs_by_feature(self, outputs: list) -> dict[int, np.ndarray]:
        """The outputs of each feature by its number. outputs: (labels, outputs) of each batch"""
        found: dict[int, np.ndarray] = {}
        for labels, values in outputs:
            found |= self.task.outputs_of(values, labels)
        return found

    def __call__(self, batch: Batch, *, key: Array | None = None) -> Sums:
        """The sums of the task's loss."""
        first, second = split_key(key, 2)
        return self.answered(self._hidden(batch, first), batch, second)[0]

    def evaluate(self, batch: Batch) -> tuple[Sums, Array]:
        """(sums, outputs of the head for each slot), without dropout."""
        return self.answered(self._hidden(batch, None), batch, None)

    def _hidden(self, batch: Batch, key: Array | None) -> Array:
        """The hidden states of the model, or those that a frozen body gave before."""
        if batch.hidden is None:
            return self.model(batch, key=key)
        return batch.hidden.astype(jax.tree.leaves(nnx.state(self.head))[0].dtype)

    def answered(
        self, hidden: Float[Array, "B T D"], batch: Batch, key: Array | None
    ) -> tuple[Sums, Array]:
        """(sums of the task's loss, outputs of the head) of the model's hidden states.

        key: PRNG key of the head's dropout; None: no dropout
        """
        labels = cast(Labels, batch.labels)  # as `corrupt` gives them
        pooled_before = batch.hidden is not None and self.head.pooling
        head = FromVectors(self.head) if pooled_before else self.head
        return self.task.loss(head, hidden, batch.segments, labels, key)
