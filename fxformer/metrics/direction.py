"""Direction of metrics by name: whether a higher number is a better one."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from fxformer.errors import UserError

Direction = Literal["minimize", "maximize"]

NONE: Mapping[str, bool] = MappingProxyType({})
LOWER = ("loss", "nll", "perplexity", "bits_per_byte", "ece")
HIGHER = (
    *("accuracy", "balanced_accuracy", "f1", "f1_micro", "f1_macro", "precision", "recall"),
    *("matthews", "pearson", "spearman", "entity_f1", "entity_precision", "entity_recall"),
    *("squad_f1", "squad_exact_match", "rouge1", "rouge2", "rougeL", "rougeLsum", "bleu", "chrf"),
)


def direction_of(name: str, known: Mapping[str, bool] = NONE) -> Direction | None:
    """Direction of a number by its name; None where it is unknown.

    known: {name: whether higher is better}, which is asked first: `Metric.directions` of a task
    "ema_loss" has the direction of "loss", and so have names that are qualified in front or, with
    a number, behind: sentence_accuracy, nll_ahead_2, no_answer_squad_f1.
    """
    plain = name.removeprefix("ema_")
    if plain in known:
        return "maximize" if known[plain] else "minimize"
    for part in sorted((*LOWER, *HIGHER), key=len, reverse=True):
        if re.fullmatch(rf"(.+_)?{part}|{part}_(.+_)?[0-9]+", plain):
            return "minimize" if part in LOWER else "maximize"
    return None


def require_direction(
    name: str, key: str, known: Mapping[str, bool] = NONE, given: Direction | None = None
) -> Direction:
    """The direction of a number: what was given, or what its name says.

    key: the setting that names the number, for the message
    known: as in `direction_of`
    Raises UserError where both are unknown.
    """
    if found := given or direction_of(name, known):
        return found
    raise UserError(
        f"{key}={name}: it is not known whether a higher {name} is better; write "
        "trainer.direction=minimize or trainer.direction=maximize"
    )


def require_named_direction(name: str, known: Mapping[str, bool] = NONE) -> None:
    """Raise UserError unless the name of an objective says its direction, which is what a search
    knows of it, and says the same as `known`."""
    by_name = direction_of(name)
    if by_name is None or by_name != direction_of(name, known):
        raise UserError(
            f"search.objectives={name}: its name does not say whether a higher {name} is better; "
            f"write search.maximize=[{name}], or search.maximize=[] to minimize it"
        )


def is_better(value: float, best: float | None, direction: Direction) -> bool:
    """Whether a finite value beats the best one so far; NaN and infinities never do."""
    if value != value or value in (float("inf"), float("-inf")):
        return False
    if best is None:
        return True
    return value > best if direction == "maximize" else value < best
