"""What `--help` of a verb that composes a config prints, read from the yaml files themselves.

Hydra would compose the whole config first and list each group through a copy of all of its sources.
"""

import string
from collections.abc import Iterator
from pathlib import Path

import yaml

from fxformer.config import folders, packages


def help_text(verb: str) -> str:
    """The template of conf/hydra/help that conf/VERB.yaml chooses, with the options of all groups:
    ours and those of declared packages."""
    conf = folders.conf_folder()
    chosen = {}
    for entry in _read(conf / f"{verb}.yaml")["defaults"]:
        if isinstance(entry, dict):
            chosen |= entry
    own = _read(conf / "hydra/help" / f"{chosen['override hydra/help']}.yaml")
    template = own["template"].replace("${hydra.help.header}", own["header"])
    return string.Template(template).substitute(APP_CONFIG_GROUPS=_groups())


def _groups() -> str:
    """A line for each group: its name and its options."""
    found: dict[str, set[str]] = {"experiment": set(folders.recipe_files())}
    for place in (folders.conf_folder(), *packages.folders("conf").values()):
        for group, option in _options(place):
            found.setdefault(group, set()).add(option)
    lines = (f"{group}: {', '.join(sorted(options))}" for group, options in sorted(found.items()))
    return "".join(f"{line}\n" for line in lines)


def _options(place: Path) -> Iterator[tuple[str, str]]:
    """(group, option) of every yaml of a folder of groups, but for Hydra's own groups."""
    for file in place.rglob("*.yaml"):
        group = file.parent.relative_to(place).as_posix()
        if group != "." and group.partition("/")[0] != "hydra":
            yield group, file.stem


def _read(file: Path) -> dict:
    return yaml.safe_load(file.read_text(encoding="utf-8"))
