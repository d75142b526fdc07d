"""Registries of checks by class of objective, masking or noise.

A subclass has the checks of its base class unless its own are registered:

    @objective_checks.register
    def my_objective(objective: MyObjective) -> tuple[Check, ...]: ...
"""

import functools
from typing import Any

from fxformer.batch import Vocabulary
from fxformer.evaluate.audit.check import Check


@functools.singledispatch
def objective_checks(objective: Any) -> tuple[Check, ...]:
    """Checks between packed rows and the batch that the objective makes; none by default."""
    return ()


@functools.singledispatch
def masking_checks(masking: Any) -> tuple[Check, ...]:
    """Checks between texts and the tokens that the masking selects of them; none by default."""
    return ()


@functools.singledispatch
def noise_checks(noise: Any, vocabulary: Vocabulary) -> tuple[Check, ...]:
    """Checks between the texts given to the noise and those it returns; none by default."""
    return ()
