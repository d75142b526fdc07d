"""Parts of the tests, for runs that cannot afford all of them."""

import hashlib

PART = 10


def _digest(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())


def one_in(share: int, names: list[str]) -> set[str]:
    """One of every `share` cases of a parametrised test, at least one; always the same ones.

    names: pytest's node ids of its cases, in any order
    """
    return set(sorted(names, key=_digest)[::share])


def tenth(names: list[str], seed: str) -> set[str]:
    """One of ten tests, drawn with `seed`, spread evenly over the files.

    names: pytest's node ids. The order in which they come does not matter.
    """

    def draw(name: str) -> int:
        return _digest(f"{seed}:{name}")

    # one of every ten in a row that goes through file after file: the cost varies little
    row = sorted(names, key=lambda name: (name.partition("::")[0], draw(name)))
    return set(row[draw("") % PART :: PART])
