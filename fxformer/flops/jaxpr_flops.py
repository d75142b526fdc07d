"""FLOPs of the matrix products that a traced program executes, padding and masked pairs included.

XLA's cost analysis of a program adds a few per cent for elementwise operations, but it counts the
body of a loop once; here it counts as often as it runs.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from fxformer.ops.attention.tiles import REPEATS


def executed_flops(function: Callable, *args: Any) -> int:
    """FLOPs of the matrix products in `function(*args)`; arrays may be abstract, nothing runs."""
    return matrix_product_flops(jax.make_jaxpr(function)(*args).jaxpr)


def matrix_product_flops(jaxpr: Any) -> int:
    """FLOPs of a jaxpr. A scan counts as often as it runs, a cond as its most expensive branch, a
    loop over tiles of attention as often as it runs in rows of one segment."""
    total = 0
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "dot_general":
            (left, _), _ = eqn.params["dimension_numbers"]
            inner = int(np.prod([eqn.invars[0].aval.shape[axis] for axis in left]))
            total += 2 * inner * int(np.prod(eqn.outvars[0].aval.shape))
            continue
        inside = [matrix_product_flops(inner) for inner in _inner_jaxprs(eqn.params)]
        if eqn.primitive.name == "cond":
            total += max(inside, default=0)
        else:
            total += round(_repeats(eqn) * sum(inside))
    return total


def _repeats(eqn: Any) -> float:
    """How often what is inside an equation runs: once, if nothing says more."""
    if eqn.primitive.name == "scan":
        return eqn.params["length"]
    body = eqn.params["body_jaxpr"].jaxpr.eqns if eqn.primitive.name == "while" else ()
    names = (one.params["name"] for one in body if one.primitive.name == "name")
    return next((float(n.removeprefix(REPEATS)) for n in names if n.startswith(REPEATS)), 1)


def _inner_jaxprs(params: dict[str, Any]) -> Iterator[Any]:
    """The jaxprs among an equation's parameters."""
    for value in params.values():
        for one in value if isinstance(value, (tuple, list)) else (value,):
            inner = getattr(one, "jaxpr", one)
            if hasattr(inner, "eqns"):
                yield inner
