"""Checks of objectives on pairs of texts: the batch holds the given pairs."""

import numpy as np

from fxformer.batch import Batch, Rows
from fxformer.evaluate.audit.check import Check
from fxformer.evaluate.audit.checks.dispatch import objective_checks
from fxformer.evaluate.audit.checks.shift_right import answer_checks
from fxformer.objective.supervised_seq2seq import Seq2SeqLM, TokenLabel


@objective_checks.register
def seq2seq_lm(objective: Seq2SeqLM) -> tuple[Check, ...]:
    """The source is the given one; the answer is the target."""

    def changed(rows: Rows, batch: Batch) -> np.ndarray:
        same = (batch.source == rows.source) & (batch.source_segments == rows.source_segments)
        return ~same.ravel()

    given = Check("source tokens or segments changed", 0.0, changed, "exact")
    return (given, *answer_checks(getattr(objective.vocabulary, objective.start)))


@objective_checks.register
def token_label(objective: TokenLabel) -> tuple[Check, ...]:
    """Input and targets are the given ones, and every labelled token counts."""

    def changed(rows: Rows, batch: Batch) -> np.ndarray:
        return (batch.tokens != rows.source).ravel()

    def wrong(rows: Rows, batch: Batch) -> np.ndarray:
        counts = objective.labelled(rows)
        right = np.where(counts, batch.targets == rows.tokens, True)
        return (~right | ((batch.weights == 1) != counts)).ravel()

    return (
        Check("source tokens changed", 0.0, changed, "exact"),
        Check("labels wrong, missing or in padding", 0.0, wrong, "exact"),
    )
