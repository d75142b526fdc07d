"""The verbs that Hydra composes: the gate checks, the job runs, every end has its exit code.

0 done; 75 interrupted but resumable; 2 bad config or data; 1 a bug; 3 diverged; 4 a rule broken.
A verb's config is conf/VERB.yaml.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator

from omegaconf import DictConfig, OmegaConf, open_dict

from fxformer.cli import errors, overrides, sweeper
from fxformer.cli.argv import name_texts
from fxformer.config import folders
from fxformer.errors import UserError

DONE, BUG, BAD, BROKEN, INTERRUPTED = 0, 1, 2, 4, 75
Job = Callable[[DictConfig], None]


def train(
    argv: list[str], job: Job | None = None, *, command: tuple[str, ...] | None = None
) -> int:
    """Train as `argv` says, or run another `job` on what it composes; returns the exit code.

    command: what the user gave after `fxformer`, where another verb trains
    """
    return run("train", argv, job or _training, command)


def audit(argv: list[str], job: Job | None = None) -> int:
    """Audit the objective that `argv` names; returns the exit code, BROKEN where a rule is."""
    return run("audit", argv, job or _auditing)


def plan(argv: list[str], job: Job | None = None) -> int:
    """Say what `fxformer train` with these words would cost; returns the exit code."""
    if job is not None:
        return run("plan", argv, job)
    from fxformer.plan.main import Planner
    from fxformer.search.cost_forecast import SearchForecaster

    planner = SearchForecaster(Planner())
    code = run("plan", argv, planner)
    planner.close()
    return code


def run(verb: str, argv: list[str], job: Job, command: tuple[str, ...] | None = None) -> int:
    """Run Hydra on `argv` and `job` on what it composes. command: see `train`

    Returns the exit code; of several jobs (-m) the worst.
    """
    import hydra

    folders.register()
    sweeper.register()
    if refused := overrides.problems(argv, verb):
        return errors.say(refused)
    codes: list[int] = []
    wanted = os.environ.get("HYDRA_FULL_ERROR")

    def task(cfg: DictConfig) -> int:
        _restore("HYDRA_FULL_ERROR", wanted)
        sys.argv = ["fxformer", verb, *argv]  # what a run records as its command
        codes.append(_attempt(verb, cfg, job, bool(wanted)))
        if codes[-1] == INTERRUPTED:
            raise SystemExit(INTERRUPTED)
        return codes[-1]

    sample = getattr(job, "sample", None)
    call = sweeper.Invocation(verb, tuple(argv), job is _training, sample, command)
    task.call = call  # type: ignore[attr-defined]

    conf = str(folders.conf_folder())
    app = hydra.main(version_base="1.3", config_path=conf, config_name=verb)(task)
    argv_before, sys.argv = sys.argv, [f"fxformer {verb}", *switches_first(argv)]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra's errors come to us, to be said in our words
    try:
        with _mode_of_switches(argv):
            app()
    except BrokenPipeError:  # --help | head
        raise
    except Exception as error:
        if wanted:
            raise
        return errors.say(errors.composition(error, argv, verb))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else DONE
    finally:
        sys.argv = argv_before
        _restore("HYDRA_FULL_ERROR", wanted)
    return sweeper.worst(codes)


def switches_first(argv: list[str]) -> list[str]:
    """`argv` with -m before all overrides: Hydra's parser takes these as one group only."""
    return sorted(argv, key=lambda word: word not in ("-m", "--multirun"))


@contextlib.contextmanager
def _mode_of_switches(argv: list[str]) -> Iterator[None]:
    """Let -m alone tell Hydra whether it sweeps. It would compose the whole config once more, for
    0.2 s, to read hydra.mode, which no yaml of ours sets."""
    from hydra._internal.hydra import Hydra

    if any(word.lstrip("+~").startswith("hydra") for word in argv):
        yield
        return
    composing = Hydra.get_mode
    Hydra.get_mode = lambda self, config_name, overrides: None
    try:
        yield
    finally:
        Hydra.get_mode = composing


def _training(cfg: DictConfig) -> None:
    from fxformer.search.trial_callback import trial_callback
    from fxformer.train.main import main

    main(cfg, trial_callback())


def _auditing(cfg: DictConfig) -> None:
    from fxformer.evaluate.audit.main import main

    if not main(cfg):
        raise SystemExit(BROKEN)


def _attempt(verb: str, cfg: DictConfig, job: Job, full: bool) -> int:
    """Settle, check and run one job; what goes wrong is said and becomes its exit code."""
    from hydra.core.hydra_config import HydraConfig

    from fxformer.config.check import check

    try:
        name_texts(cfg, list(HydraConfig.get().overrides.task))
        cfg = _settled(cfg, verb)
        _record_packages(cfg)
        check(cfg, folders.top_keys(verb))
        _check_name(cfg)
        with open_dict(cfg):
            cfg.pop("search", None)  # a run is the same run, whatever it was searched with
        job(cfg)
    except SystemExit as end:
        if words := getattr(end, "words", ""):
            errors.say(words)
        return end.code if isinstance(end.code, int) else BUG if end.code else DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return _unexpected(error, full, cfg)
        errors.say(
            f"{error.filename or cfg.get('runs', '')}: {error.strerror}; make room and "
            "give the same command again"
        )
        return INTERRUPTED
    except Exception as error:
        return _unexpected(error, full, cfg)
    return DONE


def _record_packages(cfg: DictConfig) -> None:
    """Add the extension packages that the config names to its `packages`, so that a run says what
    opening it needs."""
    from fxformer.config import packages

    given = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(given, dict)
    named = given.get("packages") or []
    if isinstance(named, list):  # anything else is refused by the check
        with open_dict(cfg):
            cfg.packages = list(dict.fromkeys([*named, *packages.used(given)]))


def _unexpected(error: Exception, full: bool, cfg: DictConfig) -> int:
    """Say what an error is, with its traceback if it is a bug or the user wants that."""
    if not full and (sentence := errors.refusal(error)):
        return errors.say(_without_secrets(cfg, sentence))
    errors.trace(error)
    return BUG if not errors.refusal(error) else BAD


def _check_name(cfg: DictConfig) -> None:
    """UserError where the name of a run's folder, which everybody sees, would hold a secret."""
    from fxformer.track.redact import unnameable

    given = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(given, dict)
    found = unnameable(given.get("name"))
    if found:
        raise UserError(
            f"name: holds the environment variable {', '.join(found)}, and a folder's name is seen "
            "by everybody; write a name out, or use one that identifies the job (SLURM_JOB_ID)"
        )


def _without_secrets(cfg: DictConfig, sentence: str) -> str:
    """A refusal may quote a value: one that came from the environment is not shown."""
    from omegaconf.errors import OmegaConfBaseException

    from fxformer.track.redact import Redactor

    try:
        return Redactor(cfg).text(sentence)
    except OmegaConfBaseException:  # what cannot be resolved is what the refusal is about
        return Redactor().text(sentence)


def _settled(cfg: DictConfig, verb: str) -> DictConfig:
    """The config to run: with resume=RUN that run's, else with what its sources bring."""
    from hydra.core.hydra_config import HydraConfig

    if cfg.get("resume") is None or verb != "train":
        from fxformer.cli.sweep_check import with_sources

        return with_sources(cfg, list(HydraConfig.get().overrides.task), verb)
    from fxformer.config.resume import resumed
    from fxformer.track.run_reader import find

    return resumed(cfg, list(HydraConfig.get().overrides.task), find(cfg.runs, cfg.resume).folder)


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
