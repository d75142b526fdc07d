"""Direction of metrics by name: whether a higher number is a better one."""

import re
from collections.abc import Iterable
from typing import Literal

from fxformer.errors import UserError
from fxformer.metrics.base import Metric

Direction = Literal["minimize", "maximize"]

LOWER = ("loss", "nll", "perplexity", "bits_per_byte", "ece")
HIGHER = (
    *("accuracy", "balanced_accuracy", "f1", "f1_micro", "f1_macro", "precision", "recall"),
    *("matthews", "pearson", "spearman", "entity_f1", "entity_precision", "entity_recall"),
    *("squad_f1", "squad_exact_match", "rouge1", "rouge2", "rougeL", "rougeLsum", "bleu", "chrf"),
)


def direction_of(name: str, metrics: Iterable[Metric] = ()) -> Direction | None:
    """Direction of a number by its name; None where it is unknown.

    metrics: of the task; they are asked first
    "ema_loss" has the direction of "loss", and so have names that are qualified in front or, with
    a number, behind: sentence_accuracy, nll_ahead_2, no_answer_squad_f1.
    """
    own = {key: up for metric in metrics for key, up in metric.directions.items()}
    plain = name.removeprefix("ema_")
    if plain in own:
        return "maximize" if own[plain] else "minimize"
    for known in sorted((*LOWER, *HIGHER), key=len, reverse=True):
        if re.fullmatch(rf"(.+_)?{known}|{known}_(.+_)?[0-9]+", plain):
            return "minimize" if known in LOWER else "maximize"
    return None


def require_direction(
    name: str, key: str, metrics: Iterable[Metric] = (), given: Direction | None = None
) -> Direction:
    """The direction of a number: what was given, or what its name says.

    key: the setting that names the number, for the message
    Raises UserError where both are unknown.
    """
    if found := given or direction_of(name, metrics):
        return found
    raise UserError(
        f"{key}={name}: it is not known whether a higher {name} is better; write "
        "trainer.direction=minimize or trainer.direction=maximize"
    )


def is_better(value: float, best: float | None, direction: Direction) -> bool:
    """Whether a finite value beats the best one so far; NaN and infinities never do."""
    if value != value or value in (float("inf"), float("-inf")):
        return False
    if best is None:
        return True
    return value > best if direction == "maximize" else value < best
