"""Several runs by one command (-m): all are checked first, the end of each is recorded."""

import json
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict


class CheckJobs(Callback):
    """Refuses a sweep, with every job's problems, before its first job has cost anything.

    Knows the grid of Hydra's own sweeper; another sweeper draws as it goes, and each of its jobs is
    checked when it starts.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        from fxformer.launch.explain import say

        if config.hydra.sweeper._target_.endswith("BasicSweeper"):
            if found := _problems(config):
                raise SystemExit(say("\n".join(found)))


def _problems(config: DictConfig) -> list[str]:
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from fxformer.config import folders
    from fxformer.config.check import problems

    top = folders.top_keys(config.hydra.job.config_name or "train")
    loader = GlobalHydra.instance().config_loader()
    swept = OmegaConf.to_container(config.hydra.sweeper.get("params") or OmegaConf.create({}))
    words = [f"{key}={value}" for key, value in swept.items()] + list(config.hydra.overrides.task)
    parsed = OverridesParser.create(loader).parse_overrides(words)
    found: dict[str, str] = {}
    for job in BasicSweeper.split_arguments(parsed, None)[0]:
        cfg = loader.load_sweep_config(config, list(job))
        with open_dict(cfg):
            cfg.pop("hydra", None)
        for problem in problems(cfg, top):
            found.setdefault(problem, f"{problem}   ({' '.join(job)})")
    return list(found.values())


def record(code: int) -> None:
    """Append the end of the present job to jobs.jsonl in the sweep's folder."""
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    line = {"job": hydra.job.num, "overrides": list(hydra.overrides.task), "code": code}
    with Path(hydra.sweep.dir, "jobs.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    if code:
        from fxformer.launch.explain import say

        words = " ".join(line["overrides"])
        say(f"job {line['job']} ({words}) ended with code {code}; the rest go on")
