"""Checks of causal language modelling, with and without control codes."""

import numpy as np

from fxformer.batch import Batch, Rows
from fxformer.evaluate.audit.check import Check
from fxformer.evaluate.audit.checks.dispatch import objective_checks
from fxformer.objective.causal import CausalLM, scored
from fxformer.objective.ctrl import ControlledLM


@objective_checks.register
def causal_lm(objective: CausalLM) -> tuple[Check, ...]:
    """What is a target, and that it is the next token."""
    return (
        Check("targets other than the next token", 0.0, not_next, "exact"),
        Check("targets across pieces or in padding", 0.0, across, "exact"),
        Check("scored tokens that are nobody's target", 0.0, _missed, "exact"),
        Check("tokens changed", 0.0, lambda a, b: (a.tokens[:, :-1] != b.tokens).ravel(), "exact"),
    )


@objective_checks.register
def controlled_lm(objective: ControlledLM) -> tuple[Check, ...]:
    """A causal LM's; and codes are first, alone, and never a target."""
    codes = objective.vocabulary.codes

    def missing(rows: Rows, batch: Batch) -> np.ndarray:
        """Codes of pieces as they are read, but first, or first tokens that are none. The last
        token of a row is only a target and can begin no piece that is read."""
        segments = np.asarray(batch.segments)
        first = segments > 0
        first[:, 1:] &= segments[:, 1:] != segments[:, :-1]
        return (np.isin(batch.tokens, codes) != first)[segments > 0]

    def code_targets(rows: Rows, batch: Batch) -> np.ndarray:
        return np.isin(np.asarray(batch.targets)[np.asarray(batch.weights) > 0], codes)

    def behind(rows: Rows, batch: Batch) -> np.ndarray:
        """The weight of what follows each code; a piece of nothing else has none."""
        code = np.isin(batch.tokens, codes)
        inside = np.asarray(rows.segments)[:, 1:] == np.asarray(batch.segments)
        return np.asarray(batch.weights)[code] != inside[code]

    return (
        Check("pieces that do not begin with their one control code", 0.0, missing, "exact"),
        Check("control codes as targets", 0.0, code_targets, "exact"),
        Check("codes without the text's first token as target", 0.0, behind, "exact"),
        *causal_lm(objective),
    )


def not_next(rows: Rows, batch: Batch) -> np.ndarray:
    """Whether each target is another token than the next. [targets] bool."""
    row, column = np.nonzero(batch.weights)
    return batch.targets[row, column] != rows.tokens[row, column + 1]


def across(rows: Rows, batch: Batch) -> np.ndarray:
    """Whether each target is of another piece than what is read there. [targets] bool."""
    row, column = np.nonzero(batch.weights)
    here, there = rows.segments[row, column], rows.segments[row, column + 1]
    return (here != there) | (there == 0)


def _missed(rows: Rows, batch: Batch) -> np.ndarray:
    """Second and later tokens of a piece without a target."""
    row, column = np.nonzero((rows.segments > 0) & scored(rows))
    later = (column > 0) & (rows.segments[row, column] == rows.segments[row, column - 1])
    return batch.weights[row[later], column[later] - 1] != 1
