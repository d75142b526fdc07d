"""Hyperparameter importance by PED-ANOVA, with p-values of a permutation test.

PED-ANOVA (Watanabe, Bansal and Hutter 2023, arXiv 2304.10255) as implemented in Optuna: the
divergence between the parameter distributions of the better trials and of all trials.
"""

import dataclasses
import logging
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from fxformer.errors import UserError

MIN_TRIALS = 10  # with fewer, half of them would be the better ones
MIN_BEST = 5  # Optuna requires at least this many better trials
PERMUTATIONS = 199
ALPHA = 0.05  # significance level


@dataclasses.dataclass(frozen=True)
class Importance:
    """Importance of a key.

    share: of the sum of the importances of all keys, in [0, 1]
    p_value: frequency of an importance at least as large after permuting the values of the trials
    """

    key: str
    share: float
    p_value: float


def importances(
    distributions: Mapping[str, object],
    params: Sequence[Mapping[str, object]],
    values: Sequence[float] | np.ndarray,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> list[Importance]:
    """The importance of each key, the largest first.

    distributions: {key: Optuna's distribution}; params: [N] of {key: value}; values: [N], the
    smaller the better, finite. Raises UserError with fewer than MIN_TRIALS trials.
    """
    if len(values) < MIN_TRIALS:
        raise UserError(
            f"parameter importance requires {MIN_TRIALS} finished trials, got {len(values)}"
        )
    evaluate = _evaluator(distributions, params)
    observed = evaluate(np.asarray(values, np.float64))
    rng = np.random.default_rng(seed)
    # [permutations, keys]
    permuted = np.array([evaluate(rng.permutation(values)) for _ in range(permutations)])
    p_values = (1 + (permuted >= observed - 1e-12).sum(0)) / (1 + permutations)
    total = observed.sum() or 1.0
    found = [
        Importance(key, float(part / total), float(p))
        for key, part, p in zip(distributions, observed, p_values, strict=True)
    ]
    return sorted(found, key=lambda one: -one.share)


def _evaluator(distributions, params):
    """A function from values [N] to importances [keys]; the trials are created once."""
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator

    study = _study(optuna, distributions, params)
    quantile = min(0.5, max(0.1, MIN_BEST / len(params)))
    evaluator = PedAnovaImportanceEvaluator(target_quantile=quantile)

    def evaluate(values: np.ndarray) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about minimization, which is intended
            found = evaluator.evaluate(
                study, list(distributions), target=lambda trial: float(values[trial.number])
            )
        return np.array([found[key] for key in distributions])

    return evaluate


def _study(optuna, distributions, params):
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.WARNING)  # no message about the temporary study
    try:
        study = optuna.create_study()
        for one in params:
            given = {"params": dict(one), "distributions": dict(distributions), "value": 0.0}
            study.add_trial(optuna.trial.create_trial(**given))
    finally:
        logger.setLevel(level)
    return study
