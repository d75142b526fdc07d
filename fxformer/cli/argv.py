"""The words of a command that is a search: which are of what, and which its trials need."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict

from fxformer.config.target import ConfigError
from fxformer.config.type_check import type_problem

NAMES = ("name", "resume", "runs", "warm_start.from", "warm_start.encoder", "warm_start.decoder")


def is_of(word: str, *groups: str) -> bool:
    """Whether an override is of one of these groups or top-level keys."""
    key = word.partition("=")[0].lstrip("+~")
    return any(key == g or key.startswith((f"{g}.", f"{g}/", f"{g}@")) for g in groups)


def name_texts(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Make texts of names of runs and folders that Hydra has read as numbers, as `resume=20261129`.

    overrides: the words of the command line, for how a name was written (1_0, 1e5)
    Raises ConfigError for a name that is neither text nor number.
    """
    for key in NAMES:
        value = OmegaConf.select(cfg, key)
        if isinstance(value, (int, float)):
            written = [w.partition("=")[2] for w in overrides if w.partition("=")[0] == key]
            with open_dict(cfg):
                OmegaConf.update(cfg, key, written[-1] if written else str(value))
            continue
        plain = OmegaConf.to_object(value) if OmegaConf.is_config(value) else value
        if wrong := type_problem(plain, str if key == "runs" else str | None):
            raise ConfigError(f"{key}: {wrong}")


def again(argv: Sequence[str], name: str) -> list[str]:
    """The words of a worker of the same study that trains one trial at a time and then leaves."""
    own = ("search/launcher=", "search.launcher.")
    own += ("search.workers=", "search.wait=", "search.name=")
    rest = [word for word in argv if not word.startswith(own)]
    ours = ["search/launcher=process", "search.workers=1", "search.wait=false"]
    return [*rest, *ours, f"search.name={name}"]


def flags(argv: Sequence[str]) -> list[str]:
    """The flags of a command that its trials need too."""
    from hydra._internal.utils import get_args_parser

    given = get_args_parser().parse_known_args(list(argv))[0]
    words = []
    if given.config_dir is not None:
        words += ["--config-dir", str(Path(given.config_dir).resolve())]
    if given.config_name is not None:
        words += ["--config-name", given.config_name]
    return words
