"""Going on with a run: its stored config, plus the few changes that leave it the same run."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fxformer.config.stored import load_config
from fxformer.config.target import ConfigError

# What may differ between the parts of one run: how long, who watches, where the folder lies.
FREE = (
    *(f"trainer.{key}" for key in ("steps", "budget_minutes", "log_every", "eval_every")),
    *(f"trainer.{key}" for key in ("save_every", "sample_every", "save_minutes")),
    *("trainer.keep_checkpoints", "trainer.patience", "trainer.compile_cache", "trainer.extend"),
    *("data.workers", "data.prefetch"),  # the batches are the same
    *("mesh", "distributed"),  # the losses differ by rounding
    *("tracker", "energy", "runs", "resume"),
)
MASK = "<redacted>"  # what a run's folder holds in place of a secret


def resumed(cfg: DictConfig, overrides: list[str], folder: str | Path) -> DictConfig:
    """The config with which the run in `folder` goes on.

    cfg: composed from the command line; overrides: that command line's words
    Raises ConfigError when there is no stored config, or when an override differs from it in a
    key outside FREE: all such keys are named with both values.
    """
    stored = load_config(folder)
    for key, value in flat(OmegaConf.to_container(stored, resolve=False)).items():
        if value == MASK:
            OmegaConf.update(stored, key, OmegaConf.select(cfg, key), merge=False)
    # a folder of compiled programs is this user's, never one that the run's folder names; where the
    # processes of an earlier attempt were says nothing of this one's
    for key in ("trainer.compile_cache", "distributed"):
        own = OmegaConf.select(cfg, key)
        OmegaConf.update(stored, key, own, merge=False, force_add=True)
    given, sources = stored.copy(), {}
    for key in _named(overrides):
        sources |= dict.fromkeys(_take(given, cfg, key), key)
    changes = differences(stored, given)
    wrong = [line for key, line in changes.items() if not _free(sources.get(key, key))]
    if wrong:
        raise ConfigError(
            "\n".join([f"resume={Path(folder).name}: these would make it another run", *wrong])
            + f"\nonly these may change: {', '.join(FREE[:-2])}; to begin another run with its "
            f"weights, write warm_start.from={Path(folder).name} instead of resume="
        )
    _extend(stored, given)
    given.resume, given.runs = str(folder), str(Path(folder).parent)
    OmegaConf.set_struct(given, True)
    return given


def _extend(stored: DictConfig, given: DictConfig) -> None:
    """Note in trainer.held_at where the schedule that is held ended, if the run is made longer."""
    select = OmegaConf.select
    before, now = select(stored, "trainer.steps"), select(given, "trainer.steps")
    if before == now:
        return
    held = [end for end in select(stored, "trainer.held_at") or [] if end < now]
    longer = [before] if now > before and before not in held else []
    kept = [*held, *longer] if select(given, "trainer.extend") == "hold" else []
    OmegaConf.update(given, "trainer.held_at", kept, merge=False, force_add=True)


def _named(overrides: list[str]) -> list[str]:
    """The keys of a command line; a group's name is the key its options write to."""
    words = [word for word in overrides if not word.startswith("hydra")]
    keys = [word.partition("=")[0].lstrip("+~").partition("@")[0] for word in words]
    if "experiment" in keys:
        raise ConfigError("resume: a run keeps its own recipe; leave out experiment=")
    if "size" in keys:
        keys[keys.index("size")] = "model"
    return [key.replace("/", ".") for key in keys if key not in ("resume", "runs")]


def _take(given: DictConfig, cfg: DictConfig, key: str) -> list[str]:
    """Copy a key's value from cfg, also to where cfg refers to it: stored references are resolved.

    Returns those other paths.
    """
    followers = []
    OmegaConf.update(given, key, _plain(OmegaConf.select(cfg, key)), merge=False, force_add=True)
    for path, raw in flat(OmegaConf.to_container(cfg, resolve=False)).items():
        if isinstance(raw, str) and raw.startswith("${" + key) and raw[2 + len(key)] in ".}":
            value = _plain(OmegaConf.select(cfg, path))
            OmegaConf.update(given, path, value, merge=False, force_add=True)
            followers.append(path)
    return followers


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def flat(tree: Any, path: str = "") -> dict[str, Any]:
    """{dotted path: leaf} of nested mappings; lists are leaves."""
    if not isinstance(tree, dict) or not tree:
        return {path: tree}
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= flat(value, f"{path}.{key}" if path else str(key))
    return found


def differences(old: DictConfig, new: DictConfig) -> dict[str, str]:
    """{key: `key: the run has 1, you gave 2`} for every leaf in which two configs differ."""
    try:
        before, after = flat(_plain(old)), flat(_plain(new))
    except OmegaConfBaseException as error:  # ${oc.env:NAME} in a shell without NAME
        raise ConfigError(f"resume: {str(error).splitlines()[0]}") from error
    absent = "nothing"
    return {
        key: f"{key}: the run has {before.get(key, absent)!r}, you gave {after.get(key, absent)!r}"
        for key in (before | after)
        if before.get(key, absent) != after.get(key, absent)
    }


def _free(key: str) -> bool:
    return any(key == free or key.startswith(free + ".") for free in FREE)
