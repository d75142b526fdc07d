"""What a traced program multiplies: its matrix products, needed or not (padding, hidden pairs).

XLA's own analysis of a program says the same and a few per cent more for what is done number by
number; but it counts the body of a loop once, and this as often as it runs.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def executed(function: Callable, *args: Any) -> int:
    """FLOPs of the matrix products in `function(*args)`; arrays may be abstract, nothing runs."""
    return _products(jax.make_jaxpr(function)(*args).jaxpr)


def _products(jaxpr: Any) -> int:
    """Loops of a known length count as often as they run, of branches the dearest."""
    total = 0
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "dot_general":
            (left, _), _ = eqn.params["dimension_numbers"]
            inner = int(np.prod([eqn.invars[0].aval.shape[axis] for axis in left]))
            total += 2 * inner * int(np.prod(eqn.outvars[0].aval.shape))
            continue
        inside = [_products(one) for one in _programs(eqn.params)]
        if eqn.primitive.name == "cond":
            total += max(inside, default=0)
        else:
            times = eqn.params["length"] if eqn.primitive.name == "scan" else 1
            total += times * sum(inside)
    return total


def _programs(params: dict[str, Any]):
    """The jaxprs among an equation's parameters."""
    for value in params.values():
        for one in value if isinstance(value, (tuple, list)) else (value,):
            inner = getattr(one, "jaxpr", one)
            if hasattr(inner, "eqns"):
                yield inner
