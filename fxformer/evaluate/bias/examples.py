"""Examples of a bias audit. Their texts are offensive: outputs and messages contain ids alone."""

import dataclasses
import re
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

_E = TypeVar("_E")

ID = re.compile(r"[\w-]{1,64}", re.ASCII)  # of an example; anything else may be a text


@dataclasses.dataclass(frozen=True)
class BiasExample:
    """Sentences of which a language model prefers one.

    id: of the row in the published file
    categories: names that the audit knows in advance, never taken from a file unchecked
    texts: the more stereotypical sentence, the less stereotypical one, and, of StereoSet, the
        unrelated one
    """

    id: str
    categories: tuple[str, ...]
    texts: tuple[str, ...] = dataclasses.field(repr=False)


def subset(examples: Sequence[_E], count: int | None, seed: int) -> list[_E]:
    """A random subset of `count` examples in their order; all where there are no more, or None."""
    if count is None or count >= len(examples):
        return list(examples)
    chosen = np.random.default_rng(seed).choice(len(examples), count, replace=False)
    return [examples[index] for index in np.sort(chosen)]
