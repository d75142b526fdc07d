"""Reading the config.yaml of a run's folder, which somebody else may have written."""

from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fxformer.config import packages
from fxformer.config.check import values
from fxformer.config.target import ConfigError
from fxformer.files import read_text

LARGEST = 4_000_000  # bytes; the largest of our own is about 20 kB
READ = ("data", "tokenizer", "model", "objective")  # what opening a run's model builds


def load_config(folder: str | Path) -> DictConfig:
    """The stored config of a run, not judged: nothing may be built from it.

    Raises ConfigError, naming the file, where it is missing, no yaml mapping, too large, or has
    yaml aliases (which our files never have, and which can expand without bound).
    """
    file = Path(folder) / "config.yaml"
    try:
        if file.stat().st_size > LARGEST:
            raise ConfigError(f"{file} is larger than {LARGEST:,} bytes: not a run's config")
        text = read_text(file)
        events = list(yaml.parse(text, yaml.CSafeLoader))
        if any(isinstance(event, yaml.AliasEvent) for event in events):
            raise ConfigError(f"{file} has yaml aliases (*name): not written by fxformer")
        # omegaconf asserts that a text is a mapping, a list or a word
        mapping = any(isinstance(event, yaml.MappingStartEvent) for event in events[2:3])
        config = OmegaConf.create(text) if mapping else None
    except FileNotFoundError:
        raise ConfigError(f"{file} is missing, so {Path(folder).name} is not a run") from None
    except RecursionError:
        raise ConfigError(f"{file} is nested too deeply: not a run's config") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{file} cannot be read: {str(error).splitlines()[0]}") from None
    if not isinstance(config, DictConfig) or not text.strip():
        raise ConfigError(f"{file} holds no mapping, so {Path(folder).name} is not a run")
    return config


def opened_config(folder: str | Path) -> DictConfig:
    """The stored config of a run whose model is to be built, judged like one that is to train.

    Raises ConfigError with the file and everything wrong with it: a `_target_` that may not run,
    unknown keys, values out of range.
    """
    config = load_config(folder)
    given = OmegaConf.to_container(config, resolve=False)
    assert isinstance(given, dict)
    wrong = packages.undeclared(given.get("packages"))
    wrong += [f"{group}: is missing" for group in READ if not config.get(group)]
    read = [group for group in (*READ, "task", "adapter") if config.get(group)]
    wrong += [
        f"{group}: expected a mapping with _target_, got {given[group]!r:.60}"
        for group in read
        if not isinstance(given[group], dict)
    ]
    wrong = wrong or values(OmegaConf.masked_copy(config, read))
    if wrong:
        listed = "\n".join(wrong)
        raise ConfigError(f"{Path(folder) / 'config.yaml'} may not be opened:\n{listed}")
    return config


def plain_config(folder: str | Path) -> dict[str, Any]:
    """`load_config` as plain values; interpolations of the environment stay as they are."""
    found = OmegaConf.to_container(load_config(folder), resolve=False)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}
