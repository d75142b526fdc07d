"""-m: from the words of one command to a search. Hydra calls this its sweeper.

All configs that the space can give are judged before anything runs, as far as they can be listed.
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
from fxformer.search.process import Commands
from fxformer.search.prune import NoPruning
from fxformer.search.storage import shown
from fxformer.search.study import WHOLE, Study
from fxformer.track.redact import Redactor

CODES = (1, 2, 3, 4, 75)  # of several jobs, the first of these that occurred
HYDRAS = ("hydra.mode", "hydra.sweep", "hydra/sweeper", "hydra.sweeper", "hydra/launcher")


@dataclasses.dataclass(frozen=True)
class Call:
    """What the command line was.

    trains: its job is training
    sample: (study, sampler is pure) -> the slots that the job wants to see; None: all
    """

    verb: str
    argv: tuple[str, ...]
    trains: bool
    sample: Callable[[Any, bool], Sequence[int]] | None = None


class Sweeper(HydraSweeper):
    """`fxformer train -m` is a search, kept in a study; other jobs are done one by one."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config
        self.call: Call = task_function.call  # type: ignore[attr-defined]

    def sweep(self, arguments: list[str]) -> None:
        """Raises SystemExit with the exit code of all of it."""
        try:
            code = self._sweep(arguments)
        except Unreachable as error:
            say(f"{error}; what is done lies in {self.config.runs}, the same command goes on")
            code = 75
        except Exception as error:
            if sentence := refusal(error):
                code = say(sentence)
            elif isinstance(error, (HydraException, OmegaConfBaseException)):
                raise  # about the command line: said in our words by whom Hydra was called
            else:
                trace(error)
                code = 1
        raise SystemExit(code)

    def _sweep(self, arguments: list[str]) -> int:
        asked = OmegaConf.to_container(self.config.search, resolve=True)["space"]
        words = [*space.words_of(asked or {}), *arguments]
        fixed, dimensions = space.read(words, self.context.config_loader)
        if own := [one.key for one in dimensions if one.key.partition(".")[0] == "search"]:
            raise UserError(f"{', '.join(own)}: a search cannot search for itself; give one value")
        if wrong := values(self.config.search, "search"):
            raise UserError("\n".join(wrong))
        if self.config.search.trials and not dimensions:
            raise UserError(
                f"search.trials={self.config.search.trials}: there is nothing to search; give a "
                "key several values or an interval, as in seed=1,2,3"
            )
        verb = self.config.hydra.job.config_name or "train"
        objectives = [n for n in self.config.search.objectives or () if n not in WHOLE]

        def compose(words: Sequence[str]) -> DictConfig:
            return self.context.config_loader.load_sweep_config(self.config, [*fixed, *words])

        judge = Judge(compose, verb, self.call.trains, objectives)
        if not self.config.search.skip_illegal:
            self._judge(judge, dimensions)
        search = build(self.config.search).settled(dimensions)
        study = self._study(search, fixed, dimensions)
        if self.call.trains:
            return self._search(search, study, fixed, judge)
        return self._each(search, study, fixed, judge)

    def _judge(self, judge: Judge, dimensions: Sequence[Any]) -> None:
        """Raises UserError with every problem of every corner of the space: see space.corners."""
        found: dict[str, str] = {}
        with Console(stderr=True).status("judging the configs of the search …"):
            for params in space.corners(dimensions):
                words = space.overrides(dimensions, params)
                for problem in judge.problems(words):
                    found.setdefault(problem, f"{problem}   ({' '.join(words)})".replace(" ()", ""))
        if found:
            advice = "; write search.skip_illegal=true to leave out what cannot run"
            raise UserError("\n".join(found.values()) + (advice if dimensions else ""))

    def _skipped(self, judge: Judge, study: Study, search: Search) -> dict[int, str]:
        """{slot: why} of the trials that cannot run. Raises UserError for any of them unless
        search.skip_illegal, and where none is left."""
        if search.sampler.pure:
            drawn = {slot: search.sampler.draw(study, slot, ()) for slot in range(study.total)}
        else:  # what will be drawn follows from what will have been found
            drawn = dict(enumerate(space.corners(study.space)))
        words = {slot: space.overrides(study.space, params) for slot, params in drawn.items()}
        refused = judge.refused(words.items())
        told_of = told(words, refused)
        count = f"{len(refused)} of {len(words)} trials cannot run"
        if refused and len(refused) == len(words):
            raise UserError("\n".join([*told_of, f"{count}: none is left"]))
        if refused and not search.skip_illegal:
            advice = f"{count}; search.skip_illegal=true leaves them out"
            raise UserError("\n".join([*told_of, advice]))
        if refused:
            lines = "\n  ".join([f"{count} and are left out:", *told_of])
            Console(stderr=True).print(lines, highlight=False, markup=False)
        return refused if search.sampler.pure else {}

    def _each(self, search: Search, study: Study, fixed: Sequence[str], judge: Judge) -> int:
        """Jobs that train nothing, as plans and audits: none is gone on with, so none is kept."""
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
        # the same command again, as a worker of a cluster gives it, need not judge anew
        judged = study_io.judged(wanted)
        skipped = {} if judged else self._skipped(judge, wanted, search)
        claims = claims_of(study_io.begin(wanted), search)
        study = claims.study
        for slot, why in skipped.items():
            params = search.sampler.draw(study, slot, ())
            study_io.skip(study, slot, params, space.overrides(study.space, params), why)
        study_io.note_judged(study)
        if not any(is_of(one.key, "energy") for one in study.space):
            build(self.config.energy).carbon.warn_of_default()
        with open_dict(self.config):  # where Hydra's own launcher would make a folder
            self.config.hydra.sweep.dir = str(study.folder)
        words = [word for word in fixed if not is_of(word, "search")]
        hydras = [w for w in self.config.hydra.overrides.hydra if not w.startswith(HYDRAS)]
        job = Job(
            study=study,
            search=search,
            claims=claims,
            commands=Commands(
                flags=(*flags(self.call.argv), *hydras),
                overrides=tuple(words),
                plain=tuple(word for word in words if is_of(word, "tracker", "energy")),
            ),
            inline=lambda trial, slot: self._inline([*words, *trial], slot),
            command=(self.call.verb, *again(self.call.argv, study.name)),
            console=Console(),
            judge=judge.reason,
        )
        if other := study_io.drift(study):
            job.console.print(f"going on with {study.name}: {other}", highlight=False)
        return self._ended(job, search.launcher(job))

    def _study(self, search: Search, fixed: Sequence[str], dimensions: Sequence[Any]) -> Study:
        cfg, node = self.config.copy(), self.config.search
        with open_dict(cfg):
            cfg.pop("hydra")
        redactor = Redactor(cfg)
        overrides = [word for word in fixed if not is_of(word, "search", "runs")]
        pruner = OmegaConf.to_container(node.pruner, resolve=True)
        study = Study(
            folder=Path(),
            name="",
            command=tuple(redactor.arguments([self.call.verb, *self.call.argv])),
            overrides=tuple(redactor.arguments(overrides)),
            space=tuple(dimensions),
            sampler=_part(search.sampler),
            pruner=None if isinstance(search.pruner, NoPruning) else pruner,
            seed=search.seed,
            total=search.total(dimensions),
            objectives=tuple(search.objectives or [self.config.trainer.get("metric", "loss")]),
            maximize=tuple(search.maximize),
            budget_kwh=search.budget_kwh,
            storage=shown(search.storage or "files"),
        )
        name = search.name or study_io.name_of(study)
        folder = study_io.folder_of(Path(self.config.runs).resolve(), name)
        return dataclasses.replace(study, folder=folder, name=name)

    def _ended(self, job: Any, stopped: str) -> int:
        """Say what the search came to; the exit code: 75 where it was interrupted, that of a
        failed trial where there is one."""
        trials = job.study.trials()
        kwh = sum(trial.kwh for trial in trials)
        job.console.print(table.board(job.study, trials, kwh))
        if stopped:
            words = f"stopped: {stopped}; the same command goes on with it"
            job.console.print(words, highlight=False)
        if "budget" in stopped:
            return 0
        codes = [trial.code or 0 for trial in trials if trial.state == "failed"]
        if stopped and not (codes and "fail_fast" in stopped):
            return 75
        return worst([code if code in CODES else 1 for code in codes])

    def _inline(self, words: Sequence[str], slot: int) -> int:
        """One job in this process, by Hydra's own launcher."""
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self.context, task_function=self.task, config=self.config
        )
        try:
            code = launcher.launch([list(words)], initial_job_idx=slot)[0].return_value
        except SystemExit as end:
            code = end.code
        if code:
            say(f"job {slot} ({' '.join(words)}) ended with code {code}")
        return code


def claims_of(study: Any, search: Any) -> Any:
    """Where the workers of a study make their claims."""
    from fxformer.search.leases import FileClaims
    from fxformer.search.remote import StoreClaims

    if search.storage is None:
        return FileClaims(study, search.lease_seconds)
    return StoreClaims(study, search.storage, search.lease_seconds)


def worst(codes: Sequence[int]) -> int:
    """The exit code of several jobs: the most telling one of them."""
    return next((code for code in CODES if code in codes), max(codes, default=0))


def _part(part: Any) -> dict[str, Any]:
    """A part that was built, as its config: `auto` has become what it stands for."""
    return {"_target_": f"{type(part).__module__}.{type(part).__qualname__}"} | (
        dataclasses.asdict(part)
    )


def register() -> None:
    """Make the sweeper known to Hydra, which takes plugins from a package of its name only: a
    module that is there although it has no file."""
    try:
        package = importlib.import_module("hydra_plugins")
    except ModuleNotFoundError:  # no other plugin is installed
        package = sys.modules["hydra_plugins"] = types.ModuleType("hydra_plugins")
        package.__path__ = []
    name = Sweeper.__module__ = "hydra_plugins.fxformer"
    module = sys.modules[name] = types.ModuleType(name, __doc__)
    package.fxformer, module.Sweeper = module, Sweeper  # type: ignore[attr-defined]
    Plugins.instance().register(Sweeper)
