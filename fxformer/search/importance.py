"""How much each hyperparameter mattered, and whether that could be chance.

PED-ANOVA (Watanabe, Bansal and Hutter 2023, arXiv 2304.10255) as Optuna has it: how far the values
of the better trials are distributed otherwise than those of all trials.
"""

import dataclasses
import logging
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from fxformer.errors import UserError

FEWEST = 10  # trials; with fewer, half of them would be the better ones
BETTER = 5  # at least this many trials must be the better ones, says Optuna
SHUFFLES = 199
CHANCE = 0.05  # what is not rarer than this is not told from chance


@dataclasses.dataclass(frozen=True)
class Importance:
    """key; share: of all keys' importances, they add up to 1
    chance: how often values dealt out anew to the same trials give this key as much or more;
        below 0.05 it mattered, above the trials cannot tell
    """

    key: str
    share: float
    chance: float


def importances(
    distributions: Mapping[str, object],
    params: Sequence[Mapping[str, object]],
    values: Sequence[float],
    *,
    shuffles: int = SHUFFLES,
    seed: int = 0,
) -> list[Importance]:
    """The importance of each key, the largest first.

    distributions: {key: Optuna's distribution}; params: [N] of {key: value}; values: [N], the
    smaller the better, finite. Raises UserError, a sentence, with fewer than FEWEST trials.
    """
    if len(values) < FEWEST:
        raise UserError(f"{len(values)} trials that ended are too few to tell; it takes {FEWEST}")
    told = _evaluator(distributions, params)
    real = told(np.asarray(values, np.float64))
    rng = np.random.default_rng(seed)
    dealt = np.array([told(rng.permutation(values)) for _ in range(shuffles)])  # [shuffles, keys]
    chance = (1 + (dealt >= real - 1e-12).sum(0)) / (1 + shuffles)
    whole = real.sum() or 1.0
    found = [
        Importance(key, float(part / whole), float(p))
        for key, part, p in zip(distributions, real, chance, strict=True)
    ]
    return sorted(found, key=lambda one: -one.share)


def _evaluator(distributions, params):
    """values [N] -> importances [keys], of trials that are made once."""
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator

    study = _study(optuna, distributions, params)
    quantile = min(0.5, max(0.1, BETTER / len(params)))
    evaluator = PedAnovaImportanceEvaluator(target_quantile=quantile)

    def told(values: np.ndarray) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that smaller is taken as better, which it is
            found = evaluator.evaluate(
                study, list(distributions), target=lambda trial: float(values[trial.number])
            )
        return np.array([found[key] for key in distributions])

    return told


def _study(optuna, distributions, params):
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.WARNING)  # no line about a study that lives for a second
    try:
        study = optuna.create_study()
        for one in params:
            given = {"params": dict(one), "distributions": dict(distributions), "value": 0.0}
            study.add_trial(optuna.trial.create_trial(**given))
    finally:
        logger.setLevel(level)
    return study
