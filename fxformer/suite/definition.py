"""Suite of labelled tasks: conf/suite/NAME.yaml or a file of the user's, as checked values."""

import dataclasses
import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from fxformer.config import folders
from fxformer.config.checked_fields import checked_fields
from fxformer.config.options import composed
from fxformer.config.type_check import nearest
from fxformer.errors import UserError
from fxformer.search.space import ONE_OF
from fxformer.types import Count, Positive

ROOT = "{root}"  # in words: the folder that data.root names
FILES = ("data.files", "data.valid_files", "data.test_files")
TEST = "test/"  # begins the name of a number of the test split
Scores = Mapping[str, Mapping[str, float]]  # {task: {metric: number}}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SuiteTask:
    """A task of a suite.

    words: overrides of `fxformer train`; by_architecture: further ones for models of that kind
    metrics: numbers whose mean, times `scale`, is the score of the task: names of the evaluation
        of the validation rows, or with test/ before them of the test rows
    also: numbers that are shown and not scored
    """

    words: list[str]
    metrics: list[str]
    also: list[str] = dataclasses.field(default_factory=list)
    about: str = ""
    scale: Positive = 100.0
    by_architecture: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    def score(self, numbers: Mapping[str, float]) -> float | None:
        """The score, of numbers by name; None where one is missing."""
        found = [numbers.get(name) for name in self.metrics]
        if any(one is None for one in found):
            return None
        return self.scale * sum(cast(list[float], found)) / len(found)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedScores:
    """Scores of a published model, percent where the task's `scale` is 100. source: where they are
    printed"""

    source: str
    scores: dict[str, dict[str, float]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suite:
    """Tasks that a model is fine-tuned on, and how their scores are averaged.

    seeds: runs of each task
    words: overrides of all tasks; those of a task go first
    averages: {name: tasks that are left out}
    published: {model: scores}
    """

    name: str
    tasks: dict[str, SuiteTask]
    seeds: Count = 5
    words: list[str] = dataclasses.field(default_factory=list)
    averages: dict[str, list[str]] = dataclasses.field(default_factory=lambda: {"average": []})
    published: dict[str, PublishedScores] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_plain(cls, name: str, given: Any) -> "Suite":
        """A suite of the values of a yaml. UserError, with the key, for what does not fit."""
        where = f"suite={name}"
        fields = checked_fields(where, given, cls, {"name", "tasks", "published"})
        for key, kind in (("tasks", SuiteTask), ("published", PublishedScores)):
            some = (given or {}).get(key) or {}
            if not isinstance(some, dict) or (key == "tasks" and not some):
                raise UserError(f"{where}: {key}: expected a mapping with a key for each")
            fields[key] = {
                str(one): kind(**checked_fields(f"{where}: {key}.{one}", values, kind))
                for one, values in some.items()
            }
        suite = cls(name=name, **fields)
        named = [one for left in suite.averages.values() for one in left]
        named += [task for row in suite.published.values() for task in row.scores]
        for one in named:
            if one not in suite.tasks:
                raise UserError(f"{where}: there is no task {one!r}{nearest(one, suite.tasks)}")
        for task, own in suite.tasks.items():
            for one in (*own.metrics, *own.also):
                if "/" in one and not one.startswith(TEST):
                    raise UserError(
                        f"{where}: tasks.{task}: {one}: numbers are of the validation rows, or "
                        f"{TEST}NAME of the test rows"
                    )
            if not own.metrics:
                raise UserError(f"{where}: tasks.{task}.metrics: expected one metric at least")
        return suite

    def to_json(self) -> dict[str, Any]:
        """Plain values, which `from_plain` reads."""
        return {key: value for key, value in dataclasses.asdict(self).items() if key != "name"}

    def only(self, tasks: Sequence[str]) -> "Suite":
        """The suite with these tasks alone. UserError for unknown ones."""
        for one in tasks:
            if one not in self.tasks:
                raise UserError(
                    f"suite.tasks: {self.name} has no task {one!r}{nearest(one, self.tasks)}; "
                    f"there are {', '.join(self.tasks)}"
                )
        return dataclasses.replace(self, tasks={one: self.tasks[one] for one in tasks})

    def arms(
        self, architecture: str | None, root: str | None, further: Sequence[str] = ()
    ) -> dict[str, list[str]]:
        """{task: overrides of `fxformer train`}. UserError where files are wanted and not there.

        architecture: of the model; root: the folder with the files of the suite
        further: overrides of all tasks that go before those of the suite
        """
        if several := [one for one in _parsed(further) if one.is_sweep_override()]:
            raise UserError(
                f"{several[0].input_line}: a suite gives a key one value; fxformer train -m "
                "searches, and suite.seeds=N repeats"
            )
        found = {}
        for name, task in self.tasks.items():
            words = [*self.words, *task.words, *task.by_architecture.get(architecture or "", [])]
            if root is None and any(ROOT in word for word in words):
                raise UserError(
                    f"suite={self.name} reads files; write data.root=FOLDER, the folder that has "
                    "them"
                )
            quoted = str(Path(root or "").expanduser().resolve())
            quoted = quoted.replace("\\", "\\\\").replace("'", "\\'")
            try:
                own = [word.replace(ROOT, quoted) for word in words]
                found[name] = _last_of_each_key([*own, *further])
            except UserError as error:
                raise UserError(f"suite={self.name}: tasks.{name}: {error}") from None
        self._check_files(found)
        return found

    def _check_files(self, arms: Mapping[str, Sequence[str]]) -> None:
        missing: dict[str, list[str]] = {}
        for task, words in arms.items():
            for override in _parsed(words):
                if override.get_key_element() in FILES:
                    value = override.value()
                    patterns = value if isinstance(value, list) else [value]
                    lost = [str(p) for p in patterns if not glob.glob(str(p), recursive=True)]
                    if lost:
                        missing.setdefault(task, []).extend(lost)
        if missing:
            first = next(iter(missing))
            count = sum(map(len, missing.values()))
            more = f" (and {count - 1} other files)" if count > 1 else ""
            have = [task for task in arms if task not in missing]
            advice = f"; suite.tasks=[{','.join(have)}] have their files" if have else ""
            raise UserError(
                f"suite={self.name}: the task {first} needs the file {missing[first][0]}, which is "
                f"not there{more}{advice}"
            )


def _parsed(words: Sequence[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(list(words))
    except HydraException as error:
        raise UserError(str(error).splitlines()[0]) from None


def _last_of_each_key(words: Sequence[str]) -> list[str]:
    """Overrides of which a later one replaces an earlier one of its key, or one that excludes it
    (trainer.steps and trainer.epochs)."""
    found: dict[str, str] = {}
    for one in _parsed(words):
        key = one.get_key_element()
        for other in ONE_OF if key in ONE_OF else ():
            found.pop(other, None)
        found[key] = cast(str, one.input_line)
    return list(found.values())


def load(which: str) -> Suite:
    """The suite of a yaml file, or of conf/suite/NAME.yaml here or in a declared package."""
    path = Path(which).expanduser()
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise UserError(f"suite={which}: there is no such file")
        try:
            given = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
        except (OmegaConfBaseException, YAMLError, OSError) as error:
            raise UserError(f"suite={which}: {' '.join(str(error).split())}") from None
        return Suite.from_plain(path.stem, given)
    known = [file.stem for file in folders.option_files("suite")]
    if which not in known:
        raise UserError(
            f"there is no suite {which!r}{nearest(which, known)}; there are {', '.join(known)}, "
            "and suite=FILE.yaml reads one of yours"
        )
    cfg = composed(f"suite/{which}", ())
    return Suite.from_plain(which, OmegaConf.to_container(cfg.suite, resolve=True))
