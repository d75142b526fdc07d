"""The space: from Hydra's override grammar to dimensions, and from dimensions to overrides.

a,b  choice(a,b)  range(1,9,2)  glob(*)         enumerated
interval(0,1)     tag(log,interval(1e-4,1e-2))  drawn, both ends included
int(interval(2,8))  tag(int,log,interval(1,64)) whole numbers, drawn
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, QuotedString

from fxformer.errors import UserError
from fxformer.search.study import Dimension

TAGS = {"log", "int"}


def read(words: Sequence[str], loader: Any = None) -> tuple[list[str], list[Dimension]]:
    """The words that are the same for all trials, and the dimensions that the others span.

    words: overrides of a command line; of two for one key the later counts
    loader: Hydra's config loader, which globs need
    Raises UserError with a line for each word that spans nothing.
    """
    fixed: dict[str, str] = {}
    space: dict[str, Dimension] = {}
    wrong: list[str] = []
    for override in OverridesParser.create(loader).parse_overrides(list(words)):
        key = override.get_key_element()
        fixed.pop(key, None)
        space.pop(key, None)
        if not override.is_sweep_override():
            fixed[key] = override.input_line or key
            continue
        try:
            space[key] = _dimension(key, override)
        except UserError as error:
            wrong.append(f"{override.input_line}: {error}")
    if wrong:
        raise UserError("\n".join(wrong))
    return list(fixed.values()), list(space.values())


def words_of(space: Mapping[str, Any], path: str = "") -> list[str]:
    """`search.space` as overrides. A value is what would come after the `=`, or a list of choices;
    mappings are nested keys."""
    found = []
    for key, value in space.items():
        where = f"{path}{key}"
        if isinstance(value, Mapping):
            found += words_of(value, f"{where}.")
        elif isinstance(value, (list, tuple)):
            inside = ",".join(Override._get_value_element_as_str(one) for one in value)
            found.append(f"{where}=choice({inside})")
        elif isinstance(value, str):
            found.append(f"{where}={value}")  # in the grammar already
        else:
            found.append(f"{where}={Override._get_value_element_as_str(value)}")
    return found


def _dimension(key: str, override: Override) -> Dimension:
    value = override._value
    tags = set(getattr(value, "tags", ()))
    if unknown := tags - TAGS:
        raise UserError(f"there is no tag {', '.join(sorted(unknown))}; there are log and int")
    if isinstance(value, IntervalSweep):
        return _interval(key, value, tags)
    if tags:
        raise UserError(f"{', '.join(sorted(tags))} goes with an interval, as in interval(1,8)")
    if getattr(value, "shuffle", False):
        raise UserError(
            "the order of trials is the sampler's; write choice(…), and search=random for a random "
            "order"
        )
    elements = list(override.sweep_iterator())
    words = tuple(Override._get_value_element_as_str(one) for one in elements)
    if not words:
        raise UserError("holds no value")
    choices = tuple(map(_plain, elements, words))
    return Dimension(key, "choice", choices=choices, words=words)


def _interval(key: str, value: IntervalSweep, tags: set[str]) -> Dimension:
    low, high = value.start, value.end
    whole = "int" in tags or isinstance(low, int)
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        raise UserError("an interval wants two finite ends")
    if not low < high:
        raise UserError(f"an interval wants its lower end first, got {low:g} and {high:g}")
    if "log" in tags and low <= 0:
        raise UserError(f"a logarithmic interval begins above 0, not at {low:g}")
    if whole and (low != int(low) or high != int(high)):
        raise UserError(f"whole numbers want whole ends, got {low:g} and {high:g}")
    if whole:
        return Dimension(key, "integer", int(low), int(high), "log" in tags)
    return Dimension(key, "interval", float(low), float(high), "log" in tags)


def _plain(element: Any, word: str) -> Any:
    if isinstance(element, QuotedString):
        return element.text
    scalar = element is None or isinstance(element, (bool, int, float, str))
    return element if scalar else word


def at(dimension: Dimension, place: float) -> Any:
    """The value at `place` in [0, 1): uniform places give what the dimension says.

    Intervals are rounded to five digits, so that a command line that repeats them is short.
    """
    if dimension.kind == "choice":
        return dimension.choices[int(place * len(dimension.choices))]
    low, high = float(dimension.low), float(dimension.high)
    if dimension.kind == "integer":
        low, high = low - 0.5, high + 0.5
    if dimension.log:
        value = math.exp(math.log(low) + place * (math.log(high) - math.log(low)))
    else:
        value = low + place * (high - low)
    value = round(value) if dimension.kind == "integer" else float(f"{value:.5g}")
    return min(max(value, dimension.low), dimension.high)


def overrides(space: Sequence[Dimension], params: Mapping[str, Any]) -> tuple[str, ...]:
    """The words that give a trial its parameters."""
    return tuple(f"{one.key}={word(one, params[one.key])}" for one in space)


def word(dimension: Dimension, value: Any) -> str:
    """A value as the command line writes it."""
    if dimension.kind != "choice":
        return repr(value)
    for choice, written in zip(dimension.choices, dimension.words, strict=True):
        if type(choice) is type(value) and choice == value:
            return written
    raise UserError(f"{dimension.key}: {value!r} is none of {', '.join(dimension.words)}")


def size(space: Sequence[Dimension]) -> int | None:
    """How many points an exhaustive grid has; None where there is an interval of floats."""
    counts = [len(one.choices) if one.kind == "choice" else None for one in space]
    return None if None in counts else math.prod(counts)


def corners(space: Sequence[Dimension], most: int = 256) -> Iterator[dict[str, Any]]:
    """Points at which a config is to be judged before anything runs.

    Every combination of choices, with all intervals at their low and then at their high ends. Where
    that is more than `most` points: every choice of every dimension at least once.
    """
    enumerated = [one for one in space if one.kind == "choice"]
    drawn = [one for one in space if one.kind != "choice"]
    ends = [{one.key: end(one) for one in drawn} for end in (_low, _high)] if drawn else [{}]
    product = itertools.product(*(one.choices for one in enumerated))
    if len(ends) * math.prod(len(one.choices) for one in enumerated) > most:
        lists = [one.choices for one in enumerated]
        rows = range(max(map(len, lists)))
        product = (tuple(some[row % len(some)] for some in lists) for row in rows)
    for picked in product:
        chosen = dict(zip((one.key for one in enumerated), picked, strict=True))
        for end in ends:
            yield {one.key: (chosen | end)[one.key] for one in space}


def _low(dimension: Dimension) -> Any:
    return dimension.low


def _high(dimension: Dimension) -> Any:
    return dimension.high
