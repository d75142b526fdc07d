"""Units of carbon intensity, read out of a column's name."""

import re

from fxformer.errors import UserError

_GRAMS = {"g": 1.0, "kg": 1e3, "t": 1e6, "lb": 453.59237, "lbs": 453.59237}
_PER_KWH = {"kwh": 1.0, "mwh": 1e3}
_UNIT = re.compile(
    r"(?<![a-z])(kg|g|lbs|lb|t)[\s_]*(?:co2[\s_.-]*(?:eq?)?)?[\s_.]*(?:/|per)[\s_]*(kwh|mwh)"
)


def factor(name: str, *, strict: bool = True) -> float:
    """What a figure under `name` is multiplied with to be in g/kWh.

    "gCO₂eq/kWh" 1, "kg/MWh" 1, "lbs_co2_per_mwh" 0.4536 … UserError where the name holds no unit;
    not strict: 0.
    """
    found = _UNIT.search(name.casefold().replace("₂", "2"))
    if found is None:
        if not strict:
            return 0.0
        raise UserError(f"the name of column {name!r} holds no unit such as gCO2e/kWh or lbs/MWh")
    return _GRAMS[found[1]] / _PER_KWH[found[2]]
