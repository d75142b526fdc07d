"""Hydra sweeper of fxformer: `-m` starts or continues a search.

The configs of a search are validated before anything runs, as far as they are enumerable.
"""

import dataclasses
import importlib
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import configure_log
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper as HydraSweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from fxformer.cli.argv import again, flags, is_of
from fxformer.cli.errors import refusal, say, trace
from fxformer.cli.sweep_check import Judge, told
from fxformer.config.build import build
from fxformer.config.check import values
from fxformer.errors import UserError
from fxformer.search import space, study_io, table
from fxformer.search.config import Search
from fxformer.search.launchers import Job
from fxformer.search.leases import Unreachable
from fxformer.search.process import TrialCommands
from fxformer.search.prune import NoPruning
from fxformer.search.storage import redacted
from fxformer.search.study import WHOLE, Study
from fxformer.track.redact import Redactor

CODES = (1, 2, 3, 4, 75)  # exit codes by priority, for several jobs
HYDRA_KEYS = ("hydra.mode", "hydra.sweep", "hydra/sweeper", "hydra.sweeper", "hydra/launcher")


@dataclasses.dataclass(frozen=True)
class Invocation:
    """The command line that Hydra runs.

    trains: whether the job is training
    sample: (study, whether its sampler is pure) -> slots to run the job on; None: all
    command: what the user gave after `fxformer`; None: verb and argv
    """

    verb: str
    argv: tuple[str, ...]
    trains: bool
    sample: Callable[[Any, bool], Sequence[int]] | None = None
    command: tuple[str, ...] | None = None


class Sweeper(HydraSweeper):
    """`fxformer train -m` runs a search, recorded in a study; other jobs run sequentially."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.context, self.task = hydra_context, task_function
        self.config: DictConfig = config
        self.call: Invocation = task_function.call  # type: ignore[attr-defined]

    def sweep(self, arguments: list[str]) -> None:
        """Run the sweep. Raises SystemExit with its exit code."""
        try:
            code = self._sweep(arguments)
        except Unreachable as error:
            say(f"{error}; results are in {self.config.runs}, the same command continues")
            code = 75
        except Exception as error:
            if sentence := refusal(error):
                code = say(sentence)
            elif isinstance(error, (HydraException, OmegaConfBaseException)):
                raise  # about the command line: reported by the caller of Hydra
            else:
                trace(error)
                code = 1
        raise SystemExit(code)

    def _sweep(self, arguments: list[str]) -> int:
        options: Any = OmegaConf.to_container(self.config.search, resolve=True)
        arguments = [*space.space_overrides(options["space"] or {}), *arguments]
        fixed, dimensions = space.parse(arguments, self.context.config_loader)
        if options["arms"]:
            taken = space.keys(fixed) | {one.key for one in dimensions}
            dimensions = [space.arms(options["arms"], taken), *dimensions]
        if own := [one.key for one in dimensions if one.key.partition(".")[0] == "search"]:
            raise UserError(
                f"{', '.join(own)}: options of the search cannot be searched; give one value"
            )
        if wrong := values(self.config.search, "search"):
            raise UserError("\n".join(wrong))
        if self.config.search.trials and not dimensions:
            raise UserError(
                f"search.trials={self.config.search.trials}: the search space is empty; give a "
                "key several values or an interval, as in seed=1,2,3"
            )
        verb = self.config.hydra.job.config_name or "train"
        given = self.config.search.objectives or [self.config.trainer.get("metric", "loss")]
        objectives = [name for name in given if name not in WHOLE]

        def compose(words: Sequence[str]) -> DictConfig:
            return self.context.config_loader.load_sweep_config(self.config, [*fixed, *words])

        maximize = self.config.search.maximize
        judge = Judge(compose, verb, self.call.trains, objectives, maximize)
        if not self.config.search.skip_illegal:
            self._validate_corners(judge, dimensions)
        search = build(self.config.search).resolved(dimensions)
        study = self._study(search, fixed, dimensions)
        if self.call.trains:
            return self._search(search, study, fixed, judge)
        return self._each(search, study, fixed, judge)

    def _validate_corners(self, judge: Judge, dimensions: Sequence[Any]) -> None:
        """Raises UserError with every problem at the corners of the space; see space.corners."""
        found: dict[str, str] = {}
        with Console(stderr=True).status("validating the configs of the search …"):
            for params in space.corners(dimensions):
                words = space.overrides(dimensions, params)
                for problem in judge.problems(words):
                    found.setdefault(problem, f"{problem}   ({' '.join(words)})".replace(" ()", ""))
        if found:
            advice = "; write search.skip_illegal=true to skip configs that cannot run"
            raise UserError("\n".join(found.values()) + (advice if dimensions else ""))

    def _skipped(self, judge: Judge, study: Study, search: Search) -> dict[int, str]:
        """{slot: why} of the trials that cannot run. Raises UserError for any of them without
        search.skip_illegal, or if all cannot run."""
        if search.sampler.pure:
            drawn = {slot: search.sampler.draw(study, slot, ()) for slot in range(study.total)}
        else:  # draws depend on results: validate the corners instead
            drawn = dict(enumerate(space.corners(study.space)))
        words: dict[int, Sequence[str]] = {
            slot: space.overrides(study.space, params) for slot, params in drawn.items()
        }
        refused = judge.refused(words.items())
        lines = told({n: space.shown(drawn[n], some) for n, some in words.items()}, refused)
        count = f"{len(refused)} of {len(words)} trials cannot run"
        if refused and len(refused) == len(words):
            raise UserError("\n".join([*lines, f"{count}: none is left"]))
        if refused and not search.skip_illegal:
            advice = f"{count}; search.skip_illegal=true skips them"
            raise UserError("\n".join([*lines, advice]))
        if refused:
            text = "\n  ".join([f"{count} and are skipped:", *lines])
            Console(stderr=True).print(text, highlight=False, markup=False)
        return refused if search.sampler.pure else {}

    def _each(self, search: Search, study: Study, fixed: Sequence[str], judge: Judge) -> int:
        """Run jobs other than training, as plans and audits; they are not recorded in a study."""
        codes, slots = [], range(study.total)
        if self.call.sample is not None:
            slots = self.call.sample(study, search.sampler.pure)
        skipped = self._skipped(judge, study, search)
        for slot in [slot for slot in slots if slot not in skipped]:
            params = search.sampler.draw(study, slot, ())
            codes.append(self._inline([*fixed, *space.overrides(study.space, params)], slot))
            if codes[-1] == 75:
                break
        return worst(codes)

    def _search(self, search: Search, wanted: Study, fixed: Sequence[str], judge: Judge) -> int:
        configure_log(self.config.hydra.job_logging, self.config.hydra.verbose)
        # the same command again, as by a worker of a cluster, need not validate again
        skipped = {} if study_io.is_validated(wanted) else self._skipped(judge, wanted, search)
        leases = open_leases(study_io.open_or_create(wanted), search)
        study = leases.study
        for slot, why in skipped.items():
            params = search.sampler.draw(study, slot, ())
            study_io.skip(study, slot, params, space.overrides(study.space, params), why)
        study_io.mark_validated(study)
        if not any(is_of(one.key, "energy") for one in study.space):
            build(self.config.energy).carbon.warn_of_default()
        with open_dict(self.config):  # where Hydra's launcher creates a folder
            self.config.hydra.sweep.dir = str(study.folder)
        words = [word for word in fixed if not is_of(word, "search")]
        hydras = [w for w in self.config.hydra.overrides.hydra if not w.startswith(HYDRA_KEYS)]
        job = Job(
            study=study,
            options=search,
            leases=leases,
            commands=TrialCommands(
                flags=(*flags(self.call.argv), *hydras),
                overrides=tuple(words),
                resumable=tuple(word for word in words if is_of(word, "tracker", "energy")),
            ),
            inline=self._inline,
            command=(self.call.verb, *again(self.call.argv, study.name)),
            console=Console(),
            reject=judge.reason,
        )
        if other := study_io.version_changes(study):
            job.console.print(
                f"continuing {study.name} with other versions: {other}", highlight=False
            )
        return self._ended(job, search.launcher(job))

    def _study(self, search: Search, fixed: Sequence[str], dimensions: Sequence[Any]) -> Study:
        cfg, node = self.config.copy(), self.config.search
        with open_dict(cfg):
            cfg.pop("hydra")
        redactor = Redactor(cfg)
        overrides = [word for word in fixed if not is_of(word, "search", "runs")]
        pruner: Any = OmegaConf.to_container(node.pruner, resolve=True)
        metric = self.config.trainer.get("metric", "loss")
        study = Study(
            folder=Path(),
            name="",
            command=tuple(
                redactor.arguments(self.call.command or [self.call.verb, *self.call.argv])
            ),
            overrides=tuple(redactor.arguments(overrides)),
            space=tuple(dimensions),
            sampler=_part(search.sampler),
            pruner=None if isinstance(search.pruner, NoPruning) else pruner,
            seed=search.seed,
            total=search.total(dimensions),
            objectives=tuple(search.objectives or [metric]),
            maximize=search.maximized(metric, self.config.trainer.get("direction")),
            budget_kwh=search.budget_kwh,
            storage=redacted(search.storage or "files"),
        )
        name = search.name or study_io.study_name(study)
        folder = study_io.study_folder(Path(self.config.runs).resolve(), name)
        return dataclasses.replace(study, folder=folder, name=name)

    def _ended(self, job: Any, stopped: str) -> int:
        """Print the result; returns the exit code: 75 if interrupted, else of a failed trial."""
        trials = job.study.trials()
        kwh = sum(trial.kwh for trial in trials)
        job.console.print(table.progress_table(job.study, trials, kwh))
        if stopped:
            words = f"stopped: {stopped}; the same command continues it"
            job.console.print(words, highlight=False)
        if "budget" in stopped:
            return 0
        codes = [trial.code or 0 for trial in trials if trial.state == "failed"]
        if stopped and not (codes and "fail_fast" in stopped):
            return 75
        return worst([code if code in CODES else 1 for code in codes])

    def _inline(self, words: Sequence[str], slot: int) -> int:
        """Run one job in this process, by Hydra's launcher."""
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self.context, task_function=self.task, config=self.config
        )
        try:
            code = launcher.launch([list(words)], initial_job_idx=slot)[0].return_value
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        if code:
            say(f"job {slot} ({' '.join(words)}) exited with code {code}")
        return code


def open_leases(study: Any, search: Any) -> Any:
    """The lease store of a study: files, or the database of search.storage."""
    from fxformer.search.leases import FileLeases
    from fxformer.search.remote import DatabaseLeases

    if search.storage is None:
        return FileLeases(study, search.lease_seconds)
    return DatabaseLeases(study, search.storage, search.lease_seconds)


def worst(codes: Sequence[int]) -> int:
    """The exit code of several jobs, by the priority of CODES."""
    return next((code for code in CODES if code in codes), max(codes, default=0))


def _part(part: Any) -> dict[str, Any]:
    """The config of a built part, with `_target_`."""
    return {"_target_": f"{type(part).__module__}.{type(part).__qualname__}"} | (
        dataclasses.asdict(part)
    )


def register() -> None:
    """Register the sweeper with Hydra, which loads plugins from the package hydra_plugins only.

    The module is created in memory; it has no file.
    """
    try:
        package = importlib.import_module("hydra_plugins")
    except ModuleNotFoundError:  # no other plugin is installed
        package = sys.modules["hydra_plugins"] = types.ModuleType("hydra_plugins")
        package.__path__ = []
    name = Sweeper.__module__ = "hydra_plugins.fxformer"
    module = sys.modules[name] = types.ModuleType(name, __doc__)
    package.fxformer, module.Sweeper = module, Sweeper  # type: ignore[attr-defined]
    Plugins.instance().register(Sweeper)
