"""Texts that a model generates for the rows of a split, and their metrics."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from jaxtyping import Bool, Int

from fxformer.data.corpus import Corpus, Prepared
from fxformer.data.tokenizer import Tokenizer
from fxformer.errors import UserError
from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.decoding.generate import generate
from fxformer.inference.decoding.prompts import position_limit
from fxformer.metrics.results import MetricResults
from fxformer.objective.base import Objective
from fxformer.task.seq2seq import ConditionalGeneration
from fxformer.task.task_split import TaskSplit
from fxformer.track.summary import Sample
from fxformer.train.config import TrainerConfig
from fxformer.train.evaluation import EvaluationAborted
from fxformer.train.loop_state import LoopState


@dataclasses.dataclass
class SourceTexts:
    """Texts that a model writes for the sources of a split, and their metrics.

    Sources are read in batches of similar length. What a source becomes does not depend on the
    others of its batch.

    task, split: what is read, and what judges
    settings: how texts are generated, with the special ids of the vocabulary
    objective_with: parameters of a state -> the objective
    batch: sources that are read at once
    """

    task: ConditionalGeneration
    split: TaskSplit
    tokenizer: Tokenizer
    settings: GenerationConfig
    objective_with: Callable[[Any], Objective]
    batch: int

    def __post_init__(self) -> None:
        for one in self.task.judges:
            one.signature()  # raises UserError where its library is not installed

    @property
    def signatures(self) -> dict[str, str]:
        """{name: signature} of each metric."""
        return {name: s for one in self.task.judges for name, s in one.signatures().items()}

    def judged(self, params: Any, stop: Callable[[], bool] = lambda: False) -> MetricResults:
        """Metrics of the texts of all sources. stop: as in `texts`"""
        texts = self.texts(params, range(len(self.split.features)), stop)
        rows = [self.split.read[one.example] for one in self.split.features]
        return self.task.judged(texts, [row.value("target") for row in rows])

    def samples(self, params: Any, count: int) -> list[Sample]:
        """(source, generated text, first reference) of the first `count` rows."""
        numbers = range(min(count, len(self.split.features)))
        rows = [self.split.read[self.split.features[n].example] for n in numbers]
        return [
            Sample(row.value("source"), text, row.value("target")[0])
            for row, text in zip(rows, self.texts(params, numbers), strict=True)
        ]

    def texts(
        self, params: Any, numbers: Sequence[int], stop: Callable[[], bool] = lambda: False
    ) -> list[str]:
        """The generated texts of these features, the best one of each.

        Raises EvaluationAborted once `stop` returns true.
        """
        model, found = self.objective_with(params).model, dict[int, str]()
        # the longest first: what does not fit the memory fails at once
        order = sorted(numbers, key=lambda n: (-len(self.split.features[n].source), n))
        for low in range(0, len(order), self.batch):
            if stop():
                raise EvaluationAborted
            some = order[low : low + self.batch]
            filled = [*some, *some[-1:] * (self.batch - len(some))]  # one program for all
            sources, mask = padded([self.split.features[n].source for n in filled])
            made = generate(model, self.settings, row_numbers=np.array(filled),
                            vocab_size=self.tokenizer.vocabulary.size,
                            **inputs(model, sources, mask)).rows()  # fmt: skip
            best = made[:: self.settings.num_return_sequences]
            found |= {
                n: self.tokenizer.decode(ids).strip()
                for n, ids in zip(some, best[: len(some)], strict=True)
            }
        return [found[n] for n in numbers]


@dataclasses.dataclass
class GeneratedTexts(SourceTexts):
    """SourceTexts of the validation rows during training: when they are due."""

    trainer: TrainerConfig
    _made: int = -1  # last step with metrics

    def __post_init__(self) -> None:
        super().__post_init__()
        metric = self.trainer.metric.removeprefix("ema_")
        if metric in self.task.metric_names and self.task.generate_every != 1:
            raise UserError(
                f"trainer.metric={metric} decides which checkpoint is the best, and texts are not "
                "generated at every evaluation: write task.generate_every=1"
            )

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of the metrics that every evaluation has."""
        return self.task.metric_names if self.task.generate_every == 1 else ()

    def results(self, loop: LoopState, params: Any) -> MetricResults | None:
        """Metrics of the texts of all sources; None where none are due at this step.

        Raises EvaluationAborted when the process is asked to stop.
        """
        if not self._due(loop):
            return None
        with loop.meter.phase("generate"):
            found = self.judged(params, loop.stop_requested)
        loop.agreement.meet()
        self._made = loop.step
        return found

    def last_results(self, loop: LoopState) -> MetricResults | None:
        """Those of the run's last parameters, where its last evaluation had none."""
        return None if self._made == loop.step else self.results(loop, loop.state.params)

    def _due(self, loop: LoopState) -> bool:
        """Whether texts are generated at this evaluation."""
        every = self.task.generate_every * self.trainer.eval_every
        last = loop.status == "done" or loop.step >= self.trainer.steps
        return last or (every > 0 and loop.step % every == 0)


def padded(
    rows: Sequence[Int[np.ndarray, "n"]],
) -> tuple[Int[np.ndarray, "B T"], Bool[np.ndarray, "B T"]]:
    """(ids, which of them are tokens) of rows of different lengths, with 0 behind each."""
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.zeros(mask.shape, np.int32)
    ids[mask] = np.concatenate(rows)
    return ids, mask


def inputs(
    model: Any, sources: Int[np.ndarray, "B T"], mask: Bool[np.ndarray, "B T"]
) -> dict[str, Any]:
    """Arguments of `generate`: what an encoder reads, or what a decoder continues."""
    if model.architecture == "decoder":
        return {"prompt": sources, "prompt_mask": mask}
    return {"source": sources, "source_segments": mask.astype(np.int32)}


def decoding_settings(task: ConditionalGeneration, objective: Objective) -> GenerationConfig:
    """Settings of the task with what they leave open: special ids, and how long a text may be.

    Without a limit a text is as long as a target may be. Raises UserError for stop strings.
    """
    settings = cast(GenerationConfig, task.generation)  # task stands below inference
    vocabulary = objective.vocabulary
    if settings.stop_strings:
        raise UserError("task.generation.stop_strings: texts of this task end at their eos token")
    given = {
        "eos_token_id": vocabulary.eos,
        "pad_token_id": vocabulary.pad,
        "decoder_start_token_id": getattr(vocabulary, getattr(objective, "start", "bos")),
    }
    if settings.max_new_tokens is None and settings.max_length is None:
        limit = position_limit(objective.model)
        most = task.target_length
        if objective.model.architecture == "seq2seq" and limit is not None:
            most = min(most, limit - 1)  # the start token has a position too
        given["max_new_tokens"] = most
    unset = {name: value for name, value in given.items() if getattr(settings, name) is None}
    return settings.replace(**unset)


def generated_texts(
    corpus: Corpus,
    data: Prepared,
    objective: Objective,
    objective_with: Callable[[Any], Objective],
    trainer: TrainerConfig,
) -> GeneratedTexts | None:
    """Those of the validation rows; None for a corpus without a task that writes texts.

    objective: may be abstract; objective_with: parameters of a state -> the objective
    """
    task = getattr(corpus, "task", None)
    if not isinstance(task, ConditionalGeneration):
        return None
    split, settings = data.packed["valid"], decoding_settings(task, objective)
    assert isinstance(split, TaskSplit)
    return GeneratedTexts(
        task, split, data.tokenizer, settings, objective_with, corpus.batch, trainer
    )
