"""Measure of the lengths of texts that a run of a seq2seq task generates."""

import dataclasses
import functools

import numpy as np

from fxformer.claims.measures import Measure
from fxformer.errors import UserError
from fxformer.evaluate.task_models import open_task_model
from fxformer.task.seq2seq import ConditionalGeneration
from fxformer.track.run_reader import StoredRun
from fxformer.train.generated_texts import SourceTexts, decoding_settings
from fxformer.train.state import bind
from fxformer.types import Count


@dataclasses.dataclass(frozen=True)
class BeamLengthRatio(Measure):
    """Mean length in tokens of the texts that beam search writes for held-out sources, divided by
    that of greedy search.

    beams: width of the beam
    length_penalty: α of the score: the log-probability of a text divided by its length ** α; 0: the
        text of the highest probability
    rows: of the validation split, the first
    """

    beams: Count = 16
    length_penalty: float = 0.0
    rows: Count = 100

    def of_run(self, run: StoredRun) -> float:
        return self._length(run, self.beams) / self._length(run, 1)

    def _length(self, run: StoredRun, beams: int) -> float:
        opened = open_task_model(run.folder, data={})
        task = opened.task
        if not isinstance(task, ConditionalGeneration):
            raise UserError(
                f"BeamLengthRatio: {run.id} has no task that writes texts: task=seq2seq"
            )
        rows = opened.corpus.open_rows()["valid"][: self.rows]
        objective = opened.objective
        length = objective.row_length(opened.corpus.length)
        encoder = opened.corpus.encoder(opened.tokenizer, length, objective.model.architecture)
        split = opened.corpus.split_of("valid", rows, encoder)
        settings = decoding_settings(task, objective).replace(
            do_sample=False, num_beams=beams, length_penalty=self.length_penalty
        )
        bound = functools.partial(bind, opened.graphdef)
        source = SourceTexts(task, split, opened.tokenizer, settings, bound, opened.corpus.batch)
        texts = source.texts(opened.params, range(len(split.features)))
        return float(np.mean([len(opened.tokenizer.encode(text)) + 1 for text in texts]))
