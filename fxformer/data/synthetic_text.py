"""English of a very small grammar, for machines on which there is no text at all."""

from collections.abc import Iterator

import numpy as np

_NAMES = "The teacher|A child|The old captain|My sister|The gardener|Every student|A tired clerk"
_VERBS = "found|carried|described|painted|forgot|repaired|admired|measured|sold|hid"
_THINGS = "letter|lantern|map|clock|bridge|violin|garden gate|basket|window|boat|drawing|coat"
_KINDS = "small|broken|green|very old|heavy|beautiful|strange|wooden|forgotten|bright"
_PLACES = "by the river|in the attic|before noon|without a word|in the city|after the storm"
_ENDS = "and went home|but nobody noticed|because it was late|and began to sing|as always"


def documents(split: str, documents: int = 400, sentences: int = 30) -> Iterator[str]:
    """Documents of the train or the valid split (a tenth as many), the same on every machine."""
    lists = [text.split("|") for text in (_NAMES, _VERBS, _KINDS, _THINGS, _PLACES, _ENDS)]
    rng = np.random.default_rng([7, split == "valid"])
    for _ in range(documents // 10 if split == "valid" else documents):
        picks = [rng.integers(0, len(words), sentences) for words in lists]
        said = [[words[i] for i in pick] for words, pick in zip(lists, picks, strict=True)]
        yield " ".join(
            f"{who} {did} the {kind} {thing} {where} {end}."
            for who, did, kind, thing, where, end in zip(*said, strict=True)
        )
