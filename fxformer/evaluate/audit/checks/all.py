"""All checks of an objective; importing this module registers those of fxformer's own classes."""

from fxformer.evaluate.audit.check import Check
from fxformer.evaluate.audit.checks import (  # noqa: F401  (imported to register)
    causal,
    denoise,
    fim,
    infilling,
    masked,
    mass,
    mixture,
    noises,
    overlapping,
    prefix,
    sentence_pairs,
    span_corruption,
    span_maskings,
    supervised_seq2seq,
    token_maskings,
    word_maskings,
)
from fxformer.evaluate.audit.checks.coverage import whole
from fxformer.evaluate.audit.checks.dispatch import (
    masking_checks,
    noise_checks,
    objective_checks,
)
from fxformer.objective.base import Objective

__all__ = ["checks_of", "masking_checks", "noise_checks", "objective_checks"]


def checks_of(objective: Objective) -> tuple[Check, ...]:
    """That all text is in the batch, then the checks registered for the class of the objective."""
    return (whole(objective), *objective_checks(objective))
