"""Search space: parses Hydra overrides into dimensions, and writes parameters as overrides.

a,b  choice(a,b)  range(1,9,2)  glob(*)         enumerated
interval(0,1)     tag(log,interval(1e-4,1e-2))  sampled, both ends included
int(interval(2,8))  tag(int,log,interval(1,64)) integers, sampled
"""

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, QuotedString
from hydra.errors import HydraException

from fxformer.errors import UserError
from fxformer.search.study import Dimension

TAGS = {"log", "int"}
ARM = "arm"  # key of the dimension whose choices are the names of search.arms
ONE_OF = frozenset({"trainer.epochs", "trainer.steps"})  # a command gives one of them at most


def parse(arguments: Sequence[str], loader: Any = None) -> tuple[list[str], list[Dimension]]:
    """Split overrides into those that are the same for all trials and the dimensions of the space.

    arguments: overrides of a command line; of several for one key the last one is used
    loader: Hydra's config loader, required by globs
    Raises UserError with a line for each invalid dimension.
    """
    fixed: dict[str, str] = {}
    space: dict[str, Dimension] = {}
    problems: list[str] = []
    for override in OverridesParser.create(loader).parse_overrides(list(arguments)):
        key = override.get_key_element()
        fixed.pop(key, None)
        space.pop(key, None)
        if not override.is_sweep_override():
            fixed[key] = override.input_line or key
            continue
        try:
            space[key] = _dimension(key, override)
        except UserError as error:
            problems.append(f"{override.input_line}: {error}")
    if problems:
        raise UserError("\n".join(problems))
    return list(fixed.values()), list(space.values())


def keys(overrides: Sequence[str]) -> set[str]:
    """The keys of overrides."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return {one.get_key_element() for one in parsed}


def space_overrides(space: Mapping[str, Any], path: str = "") -> list[str]:
    """`search.space` as overrides. A value is what would follow the `=`, or a list of choices;
    mappings are nested keys."""
    found = []
    for key, value in space.items():
        where = f"{path}{key}"
        if isinstance(value, Mapping):
            found += space_overrides(value, f"{where}.")
        elif isinstance(value, (list, tuple)):
            inside = ",".join(Override._get_value_element_as_str(one) for one in value)
            found.append(f"{where}=choice({inside})")
        elif isinstance(value, str):
            found.append(f"{where}={value}")  # already in Hydra's grammar
        else:
            found.append(f"{where}={Override._get_value_element_as_str(value)}")
    return found


def arms(given: Mapping[str, Sequence[str]], taken: Collection[str]) -> Dimension:
    """`search.arms` as a dimension: each choice stands for several overrides.

    taken: keys that the command line gives, which has priority
    Raises UserError for words that are no override, or several values.
    """
    if ONE_OF & {*taken}:
        taken = {*taken} | ONE_OF
    words = []
    for name, own in given.items():
        try:
            parsed = OverridesParser.create().parse_overrides(list(own))
        except HydraException as error:
            raise UserError(f"search.arms.{name}: {str(error).splitlines()[0]}") from None
        if several := [one.input_line for one in parsed if one.is_sweep_override()]:
            raise UserError(f"search.arms.{name}: {several[0]}: an arm gives a key one value")
        kept = [one.input_line for one in parsed if one.get_key_element() not in taken]
        words.append(tuple(word for word in kept if word is not None))
    literals = tuple(Override._get_value_element_as_str(name) for name in given)
    return Dimension(ARM, "choice", choices=tuple(given), literals=literals, words=tuple(words))


def _dimension(key: str, override: Override) -> Dimension:
    value = override._value
    tags: set[str] = set(getattr(value, "tags", ()))
    if unknown := tags - TAGS:
        raise UserError(f"unknown tag {', '.join(sorted(unknown))}; known: log, int")
    if isinstance(value, IntervalSweep):
        return _interval(key, value, tags)
    if tags:
        raise UserError(f"{', '.join(sorted(tags))} requires an interval, as in interval(1,8)")
    if getattr(value, "shuffle", False):
        raise UserError(
            "the sampler determines the order of trials; write choice(…), and search=random for a "
            "random order"
        )
    elements = list(override.sweep_iterator())
    literals = tuple(Override._get_value_element_as_str(one) for one in elements)
    if not literals:
        raise UserError("has no value")
    choices = tuple(map(_plain, elements, literals))
    return Dimension(key, "choice", choices=choices, literals=literals)


def _interval(key: str, value: IntervalSweep, tags: set[str]) -> Dimension:
    low, high = value.start, value.end
    integer = "int" in tags or isinstance(low, int)
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        raise UserError("an interval requires two finite ends")
    if not low < high:
        raise UserError(f"an interval requires its lower end first, got {low:g} and {high:g}")
    if "log" in tags and low <= 0:
        raise UserError(f"a logarithmic interval must begin above 0, got {low:g}")
    if integer and (low != int(low) or high != int(high)):
        raise UserError(f"an integer interval requires integer ends, got {low:g} and {high:g}")
    if integer:
        return Dimension(key, "integer", int(low), int(high), "log" in tags)
    return Dimension(key, "interval", float(low), float(high), "log" in tags)


def _plain(element: Any, literal: str) -> Any:
    if isinstance(element, QuotedString):
        return element.text
    scalar = element is None or isinstance(element, (bool, int, float, str))
    return element if scalar else literal


def value_at(dimension: Dimension, quantile: float) -> Any:
    """The value of a dimension at a quantile in [0, 1).

    Floats are rounded to five digits, to keep command lines short.
    """
    if dimension.kind == "choice":
        return dimension.choices[int(quantile * len(dimension.choices))]
    low, high = map(float, dimension.ends)
    if dimension.kind == "integer":
        low, high = low - 0.5, high + 0.5
    if dimension.log:
        value = math.exp(math.log(low) + quantile * (math.log(high) - math.log(low)))
    else:
        value = low + quantile * (high - low)
    value = round(value) if dimension.kind == "integer" else float(f"{value:.5g}")
    return dimension.clipped(value)


def overrides(space: Sequence[Dimension], params: Mapping[str, Any]) -> tuple[str, ...]:
    """Parameters of a trial as overrides."""
    words: list[str] = []
    for one in space:
        value = params[one.key]
        if one.words:
            words += one.words[one.choices.index(value)]
        else:
            words.append(f"{one.key}={literal(one, value)}")
    return tuple(words)


def shown(params: Mapping[str, Any], words: Sequence[str]) -> str:
    """The parameters of a trial in a message: its overrides, or the name of its arm and the rest.

    words: the parameters as overrides
    """
    if ARM not in params:
        return " ".join(words)
    return " ".join(f"{key}={value}" for key, value in params.items())


def literal(dimension: Dimension, value: Any) -> str:
    """A value in Hydra's override grammar."""
    if dimension.kind != "choice":
        return repr(value)
    for choice, written in zip(dimension.choices, dimension.literals, strict=True):
        if type(choice) is type(value) and choice == value:
            return written
    raise UserError(f"{dimension.key}: {value!r} is not in {', '.join(dimension.literals)}")


def size(space: Sequence[Dimension]) -> int | None:
    """Number of points of the exhaustive grid; None with an interval."""
    if any(one.kind != "choice" for one in space):
        return None
    return math.prod(len(one.choices) for one in space)


def corners(space: Sequence[Dimension], most: int = 256) -> Iterator[dict[str, Any]]:
    """Points of the space whose configs are validated before a search starts.

    Every combination of choices, with all intervals at their low and at their high ends. If these
    are more than `most` points: every choice of every dimension at least once.
    """
    enumerated = [one for one in space if one.kind == "choice"]
    intervals = [one for one in space if one.kind != "choice"]
    ends = (
        [{one.key: end(one) for one in intervals} for end in (_low, _high)] if intervals else [{}]
    )
    product = itertools.product(*(one.choices for one in enumerated))
    if len(ends) * math.prod(len(one.choices) for one in enumerated) > most:
        lists = [one.choices for one in enumerated]
        rows = range(max(map(len, lists)))
        product = (tuple(some[row % len(some)] for some in lists) for row in rows)
    for combination in product:
        chosen = dict(zip((one.key for one in enumerated), combination, strict=True))
        for end in ends:
            yield {one.key: (chosen | end)[one.key] for one in space}


def _low(dimension: Dimension) -> Any:
    return dimension.low


def _high(dimension: Dimension) -> Any:
    return dimension.high
