"""Runs that the arms of a study start from: trained first, once for each seed.

In `study.yaml`

    sources: {masked: [objective=mlm]}
    arms: {tuned: ['warm_start.from=run(masked)']}

`run(masked)` is the run of that source with the seed of the arm's run. Sources are a search of
their own with the same recipe; each run is named after the study, the source and the seed, so that
the configs of the arms name it before it exists.
"""

import re
from collections.abc import Mapping, Sequence

from fxformer.config.type_check import nearest
from fxformer.errors import UserError

REFERENCE = re.compile(r"\brun\(\s*([^()]*?)\s*\)")


def references(words: Sequence[str]) -> list[str]:
    """Names of the sources that overrides refer to."""
    return [name for word in words for name in REFERENCE.findall(word)]


def run_name(search: str, source: str) -> str:
    """Name of the run of a source, as a value of a config, which has the seed: the search itself
    must not resolve it, so that it is escaped once.

    search: name of the search of the arms
    """
    return f"{search}-{source}-\\${{seed}}"


def with_run_names(words: Sequence[str], search: str) -> list[str]:
    """Overrides with the names of runs in the place of `run(SOURCE)`."""
    return [REFERENCE.sub(lambda found: run_name(search, found[1]), word) for word in words]


def check_sources(
    where: str, sources: Mapping[str, Sequence[str]], arms: Mapping[str, Sequence[str]]
) -> None:
    """Raises UserError for a source that no arm starts from, or that does not exist, and for one
    that itself refers to a source."""
    for name in sources:
        if not re.fullmatch(r"[A-Za-z0-9_]+", name):
            raise UserError(f"{where}: sources.{name}: expected letters, digits and _ only")
        if of := references(sources[name]):
            raise UserError(f"{where}: sources.{name}: a source starts from no other ({of[0]})")
    used = set()
    for arm, words in arms.items():
        for name in references(words):
            if name not in sources:
                known = ", ".join(sources) or "none"
                raise UserError(
                    f"{where}: arms.{arm}: there is no source {name!r}{nearest(name, sources)}; "
                    f"there are {known}"
                )
            used.add(name)
    if unused := [name for name in sources if name not in used]:
        raise UserError(
            f"{where}: sources.{unused[0]}: no arm starts from it; an arm names it as "
            f"run({unused[0]}), as in warm_start.from=run({unused[0]})"
        )
