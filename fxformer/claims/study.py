"""Study of a claim: experiments/NAME/study.yaml as checked values."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from fxformer.claims.analysis import Analysis
from fxformer.claims.measures import Measure
from fxformer.claims.sources import check_sources, run_name, with_run_names
from fxformer.config import folders
from fxformer.config.build import build, cause
from fxformer.config.check import values
from fxformer.config.checked_fields import checked_fields
from fxformer.config.type_check import nearest
from fxformer.errors import UserError
from fxformer.search.space import keys, parse
from fxformer.types import Count

FILE = "study.yaml"
LITERAL = Override._get_value_element_as_str
# Overrides that change which runs a search has, and in which order
DESIGN = ("experiment", "search", "search/pruner", "search/sampler", "search.arms", "search.seed",
          "search.space", "search.trials", "seed")  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuickStudy:
    """What the quick variant of a study changes; None: as in the whole study.

    seeds, levels: fewer of them; words: overrides of all runs, after those of the study
    """

    seeds: Count | None = None
    levels: dict[str, list[float | int]] | None = None
    words: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClaimStudy:
    """A published claim and the study that reproduces it.

    claim: one sentence; source: authors, year, section or table; published: its effect in words
    arms: {name: overrides of `fxformer train`}, controls among them
    seeds: runs of each arm, seeds 0, 1, …
    levels: {key: numbers}, one key that every arm has at each of these numbers; {}: no such key
    sources: {name: overrides} of runs that arms start from, one for each seed; see sources.py
    words: overrides of all runs, sources among them
    measures: {name: part}, see claims/measures.py and claims/untrained.py
    analyses: {name: part} that must hold, see claims/means.py, exponent.py and counts.py
    controls: {name: part} that must fail
    quick: the quick variant
    """

    name: str
    claim: str
    source: str
    published: str
    arms: dict[str, list[str]]
    measures: dict[str, Any]
    analyses: dict[str, Any]
    controls: dict[str, Any]
    seeds: Count = 3
    levels: dict[str, list[float | int]] = dataclasses.field(default_factory=dict)
    sources: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    words: list[str] = dataclasses.field(default_factory=list)
    quick: QuickStudy = dataclasses.field(default_factory=QuickStudy)

    @classmethod
    def from_plain(cls, name: str, given: Any) -> "ClaimStudy":
        """A study of the values of a yaml. UserError, with the key, for what does not fit."""
        where = f"experiments/{name}/{FILE}"
        fields = checked_fields(where, given, cls, {"name", "quick", "measures"})
        own = checked_fields(f"{where}: quick", given.get("quick") or {}, QuickStudy)
        fields["measures"] = _parts(f"{where}: measures", given.get("measures"), Measure)
        for key in ("analyses", "controls"):
            fields[key] = _parts(f"{where}: {key}", given[key], Analysis)
        study = cls(name=name, quick=QuickStudy(**own), **fields)
        study._check(where)
        return study

    def _check(self, where: str) -> None:
        if len(self.levels) > 1 or any(len(set(v)) < 2 for v in self.levels.values()):
            raise UserError(f"{where}: levels: expected one key with two numbers or more")
        if self.quick.levels is not None and set(self.quick.levels) != set(self.levels):
            raise UserError(f"{where}: quick.levels: expected the key of levels")
        check_sources(where, self.sources, self.arms)
        for key, parts in (("analyses", self.analyses), ("controls", self.controls)):
            if not parts:
                raise UserError(f"{where}: {key}: expected one at least")
            for name, one in parts.items():
                self._check_analysis(f"{where}: {key}.{name}", one)
        judged = [*self.analyses.values(), *self.controls.values()]
        used = {arm for one in judged for arm in one.arms}
        if unused := [arm for arm in self.arms if arm not in used]:
            raise UserError(f"{where}: arms.{unused[0]}: no analysis and no control reads it")

    def _check_analysis(self, where: str, one: Analysis) -> None:
        for kind, names, known in (
            ("arm", one.arms, self.arms),
            ("measure", one.measures, self.measures),
        ):
            for name in names:
                if name not in known:
                    raise UserError(
                        f"{where}: there is no {kind} {name!r}{nearest(name, known)}; there are "
                        f"{', '.join(known)}"
                    )
        levels = next(iter(self.levels.values()), [])
        if one.reads_levels and not levels:
            raise UserError(f"{where}: needs levels= of the study")
        if not one.reads_levels and levels and one.at not in levels:
            raise UserError(f"{where}: at={one.at}: expected one of the levels {levels}")
        if (one.reads_levels or not levels) and one.at is not None:
            raise UserError(f"{where}: at={one.at}: is for one level of several; leave it out")

    @property
    def trains(self) -> bool:
        """Whether a measure needs trained runs."""
        return any(one.trains for one in self.measures.values())

    @property
    def key(self) -> str | None:
        """The key of the levels."""
        return next(iter(self.levels), None)

    def quickened(self) -> "ClaimStudy":
        """The quick variant."""
        return dataclasses.replace(
            self,
            seeds=self.quick.seeds or self.seeds,
            levels=self.quick.levels or self.levels,
            words=[*self.words, *self.quick.words],
        )

    def search_words(self, further: list[str], runs: str) -> tuple[list[str], str]:
        """(words of `fxformer train -m`, name of the search) of all arms, levels and seeds.

        further: overrides that go before those of the study; runs: the folder of the runs
        Raises UserError for one that would change which cells there are.
        """
        name = self._search_name(further)
        arms = {arm: with_run_names(words, name) for arm, words in self.arms.items()}
        return self._words(arms, self.levels, further, runs, name), name

    def source_words(self, further: list[str], runs: str) -> tuple[list[str], str]:
        """The same of all sources and seeds."""
        name = self._search_name(further)
        arms = {one: [*words, f"name={run_name(name, one)}"] for one, words in self.sources.items()}
        sources = f"{name}-sources"
        return self._words(arms, {}, further, runs, sources), sources

    def _search_name(self, further: list[str]) -> str:
        """Name of the search of the arms: the claim and a digest of what is run."""
        self._check_further(further)
        shared = [w for w in further if not w.startswith(("search", "energy", "tracker"))]
        recipe = folders.recipe_files()[self.name].read_text(encoding="utf-8")
        words = self._shared_words(self.levels, further)
        identity: list[Any] = [recipe, self.arms, words, sorted(shared)]
        identity += [self.sources] if self.sources else []
        digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:8]
        return f"{self.name}-{digest}"

    def _shared_words(
        self, levels: Mapping[str, list[float | int]], further: list[str]
    ) -> list[str]:
        """The overrides and dimensions that all arms have."""
        seeds = ",".join(map(str, range(self.seeds)))
        given = keys(further)
        ours = [*self.words, "search.objectives=[loss]", "search.value=last"]
        words = [f"experiment={self.name}", *(word for word in ours if not keys([word]) & given)]
        for key, numbers in levels.items():
            words.append(f"{key}=choice({','.join(map(LITERAL, numbers))})")
        return [*words, f"seed=choice({seeds})" if self.seeds > 1 else "seed=0"]

    def _words(
        self,
        arms: dict[str, list[str]],
        levels: Mapping[str, list[float | int]],
        further: list[str],
        runs: str,
        name: str,
    ) -> list[str]:
        quiet = [] if self.trains else ["hydra/hydra_logging=none"]  # no line for each cell
        places = [f"search.name={name}", f"runs={LITERAL(runs)}"]
        shared = self._shared_words(levels, further)
        return ["-m", f"search.arms={LITERAL(arms)}", *shared, *further, *places, *quiet]

    def _check_further(self, further: list[str]) -> None:
        """Raise UserError for overrides that change the arms, levels or seeds of the study."""
        _, several = parse(further)
        wrong = [one.key for one in several] + sorted(keys(further) & {*DESIGN, *self.levels})
        if wrong:
            raise UserError(
                f"{wrong[0]}: the study {self.name} has its own arms, levels, seeds and order of "
                f"runs; leave {wrong[0]} out, or write --quick for fewer of them"
            )


def _parts(where: str, given: Any, kind: type) -> dict[str, Any]:
    """Built parts of a mapping {name: node with _target_}."""
    if not isinstance(given, Mapping) or not all(isinstance(v, Mapping) for v in given.values()):
        raise UserError(f"{where}: expected a mapping of names to parts with _target_")
    found = {}
    for name, plain in given.items():
        node = OmegaConf.create(dict(plain))
        if wrong := values(node):
            raise UserError(f"{where}.{name}: {'; '.join(wrong)}")
        try:
            found[str(name)] = build(node)
        except Exception as error:
            if isinstance(inner := cause(error), UserError):
                raise UserError(f"{where}.{name}: {inner}") from None
            raise
        if not isinstance(found[str(name)], kind):
            raise UserError(f"{where}.{name}: {plain['_target_']} is no {kind.__name__}")
    return found


def study_files() -> dict[str, Path]:
    """study.yaml of each experiment that has one, by name: ours and those of declared packages."""
    files = {name: recipe.with_name(FILE) for name, recipe in folders.recipe_files().items()}
    return {name: file for name, file in sorted(files.items()) if file.is_file()}


def load_study(name: str) -> ClaimStudy:
    """The study of an experiment. UserError where there is none, or it does not fit."""
    known = study_files()
    if name not in known:
        recipe = name in folders.recipe_files()
        what = f"experiment {name} has no {FILE}" if recipe else f"there is no claim {name!r}"
        raise UserError(f"{what}{nearest(name, known)}; there are {', '.join(known)}")
    try:
        given = yaml.safe_load(known[name].read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{known[name]}: {' '.join(str(error).split())}") from None
    return cast(ClaimStudy, ClaimStudy.from_plain(name, given))
