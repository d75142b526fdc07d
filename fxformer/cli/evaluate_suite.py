"""`fxformer evaluate MODEL suite=NAME`: a search over tasks and seeds, then its table and page."""

import dataclasses
import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from fxformer import jsonl
from fxformer.cli import app
from fxformer.cli.argv import is_of
from fxformer.config import compatibility
from fxformer.config.options import composed
from fxformer.config.type_check import nearest, type_problem
from fxformer.errors import UserError
from fxformer.search import space, study_io
from fxformer.search.study import Study, Trial
from fxformer.suite import page, table
from fxformer.suite.definition import TEST, Suite, load
from fxformer.suite.results import SuiteResult, suite_result
from fxformer.suite.stored import DEFINITION, write_definition
from fxformer.track.run_reader import StoredRun, name_of

OF_THE_SEARCH = ("search", "energy", "tracker", "seed", "packages", "hydra")  # not of a task
OPTIONS = {"suite.seeds": int, "suite.tasks": list[str], "suite.strict": bool}


@dataclasses.dataclass(frozen=True)
class SuiteCommand:
    """A command, parsed.

    model: run, folder or hub id whose weights are taken; None: training begins from scratch
    strict: refuse tasks that the model cannot do, instead of leaving them out
    words: overrides of `fxformer train`, of all tasks
    """

    suite: Suite
    model: str | None
    root: str | None
    strict: bool
    words: tuple[str, ...]
    runs: str

    @classmethod
    def parse(cls, model: str | None, overrides: Sequence[str], runs: str) -> "SuiteCommand":
        """UserError for an unknown suite, or options of it that do not fit."""
        own: dict[str, Any] = {}
        words: list[str] = []
        for word in overrides:
            key = word.partition("=")[0]
            if key == "suite" or key == "data.root" or key.startswith("suite."):
                own[key] = value_of(word)
            else:
                words.append(word)
        for key, value in own.items():
            if key.startswith("suite.") and key not in OPTIONS:
                raise UserError(f"{key}: there is no such key{nearest(key, OPTIONS)}")
            if why := type_problem(value, OPTIONS.get(key, str)):
                raise UserError(f"{key}: {why}")
        suite = load(own["suite"])
        if "suite.tasks" in own:
            suite = suite.only(own["suite.tasks"])
        if "suite.seeds" in own:
            if own["suite.seeds"] < 1:
                raise UserError(f"suite.seeds={own['suite.seeds']}: must be at least 1")
            suite = dataclasses.replace(suite, seeds=own["suite.seeds"])
        if model is None and "model" not in space.keys(words):
            raise UserError(
                "evaluate: give the model to fine-tune, as in fxformer evaluate RUN "
                f"suite={own['suite']}, or model=bert to train from scratch"
            )
        strict = own.get("suite.strict", False)
        return cls(suite, model, own.get("data.root"), strict, tuple(words), runs)

    def train_words(self) -> tuple[list[str], str]:
        """(words of `fxformer train`, name of the study)."""
        source, architecture, title = self._model()
        shared = [word for word in self.words if is_of(word, *OF_THE_SEARCH)]
        further = [word for word in self.words if word not in shared]
        arms = self.suite.arms(architecture, self.root, further)
        literal = Override._get_value_element_as_str
        seeds = range(self.suite.seeds)
        ours = {
            "search.objectives": "[loss]",
            "search.value": "last",
            "search.skip_illegal": str(not self.strict).lower(),
            "seed": f"choice({','.join(map(str, seeds))})" if len(seeds) > 1 else "0",
        }
        taken = space.keys(shared)
        words = [f"{key}={value}" for key, value in ours.items() if key not in taken]
        words += [*source, *shared]
        identity = [w for w in words if not w.startswith(("search.", "energy", "tracker"))]
        digest = hashlib.sha256(json.dumps([arms, sorted(identity)]).encode()).hexdigest()[:8]
        name = re.sub(r"[^A-Za-z0-9._=-]+", "-", f"{self.suite.name}-{title}-{digest}")
        if "search.name" in taken:
            name = str(value_of(next(w for w in shared if w.startswith("search.name="))))
        else:
            words.append(f"search.name={name}")
        return ["-m", f"search.arms={literal(arms)}", *words, f"runs={literal(self.runs)}"], name

    def _model(self) -> tuple[list[str], str | None, str]:
        """(words that name the source of weights, architecture of the model, its name)."""
        if self.model is None:
            plain = [word for word in self.words if not is_of(word, *OF_THE_SEARCH)]
            cfg = composed("train", [w for w in plain if w.partition("=")[0] in ("model", "size")])
            chosen = dict(word.split("=", 1) for word in plain)
            title = "-".join([chosen["model"], chosen.get("size", "tiny")])
            return [], compatibility.architecture(cfg), title
        from fxformer.warmstart.checkpoint_source import open_source

        source = open_source(self.model, self.runs, [])
        cfg = DictConfig({"model": OmegaConf.create(source.resolved_model)})
        quoted = str(source.folder).replace("\\", "\\\\").replace("'", "\\'")
        title = name_of(source.folder.name)
        return [f"warm_start.from='{quoted}'"], compatibility.architecture(cfg), title


def value_of(word: str) -> Any:
    """The value of a word KEY=VALUE. UserError where it is none."""
    try:
        (override,) = OverridesParser.create().parse_overrides([word])
    except HydraException as error:
        raise UserError(f"{word}: {str(error).splitlines()[0]}") from None
    return override.value()


def run(command: SuiteCommand, argv: Sequence[str], files: Mapping[str, str | None]) -> int:
    """Run or continue the search, print the table, write the files; returns the exit code.

    argv: words after `fxformer evaluate`; files: {"json", "markdown", "html": further file}
    """
    words, name = command.train_words()
    folder = study_io.study_folder(Path(command.runs).resolve(), name)
    model = command.model or name.removeprefix(f"{command.suite.name}-").rpartition("-")[0]
    write_definition(folder, command.suite, model)
    code = app.train(words, command=("evaluate", *argv))
    if not (folder / "study.json").is_file():  # refused
        (folder / DEFINITION).unlink()
        folder.rmdir()
        return code
    study = Study.open(folder)
    evaluations = {} if code == app.INTERRUPTED else evaluated_splits(command.suite, study)
    result = suite_result(command.suite, model, study, evaluations)
    console = Console()
    table.show(result, console)
    for file in write(result, study, files):
        console.print(f"wrote {file}", highlight=False, markup=False, soft_wrap=True)
    return code


def evaluated_splits(suite: Suite, study: Study) -> dict[tuple[int, str], dict[str, Any]]:
    """{(slot, split): facts} of the evaluations of test splits that metrics ask for; each is made
    once and kept in the folder of the study."""
    wanted = {
        name for name, task in suite.tasks.items()
        if any(one.startswith(TEST) for one in (*task.metrics, *task.also))
    }  # fmt: skip
    found = {}
    for trial in study.trials():
        if trial.state != "complete" or trial.params.get(space.ARM) not in wanted:
            continue
        facts = StoredRun(study.runs / (trial.run or "")).facts
        if "test" not in (facts.get("evaluation") or {}):
            found[trial.slot, "test"] = _evaluated(study, trial, "test")
    return found


def _evaluated(study: Study, trial: Trial, split: str) -> dict[str, Any]:
    file = study.folder / "evaluations" / f"{trial.slot:05d}.{split}.json"
    if file.is_file():
        return jsonl.load(file)
    from fxformer.evaluate.task_evaluation import evaluate_task

    facts = evaluate_task(study.runs / (trial.run or ""), split).facts()  # type: ignore[arg-type]
    file.parent.mkdir(exist_ok=True)
    jsonl.replace(file, json.dumps(jsonl.encode(facts), indent=1) + "\n")
    return facts


def write(result: SuiteResult, study: Study, files: Mapping[str, str | None]) -> list[Path]:
    """Write results.json, .md and .html into the folder of the study, and `files`."""
    again = shlex.join(("fxformer", *study.command))
    texts = {
        "json": json.dumps(jsonl.encode(result.to_json()), indent=1) + "\n",
        "markdown": table.markdown(result),
        "html": page.html(result, again),
    }
    suffixes = {"json": "json", "markdown": "md", "html": "html"}
    written = []
    for kind, text in texts.items():
        own = study.folder / f"results.{suffixes[kind]}"
        further = files.get(kind)
        for path in [own, *([Path(further).expanduser()] if further else [])]:
            jsonl.replace(path, text)
            written.append(path)
    return written
