"""Reference of all config groups, options and keys as Markdown, generated from the yaml files.

    python -m fxformer.config.reference > docs/configs.md      (make configs)

The first comment of a file describes the option, the comment behind a key describes the key.
"""

import dataclasses
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from fxformer.config import folders

INTRODUCTION = """# Config groups and keys

Generated from the files of `conf/` by `make configs`; do not edit by hand.

`fxformer train GROUP=OPTION` chooses an option of a group, `fxformer train GROUP.KEY=VALUE` sets a
key of the chosen option: `fxformer train model=bert optimizer=lion optimizer.lr=1e-4`. The keys of
`model/PART=OPTION` are set as `model.PART.KEY`. `fxformer train --cfg job` prints the whole config
of a command line. `generation` is chosen by `fxformer generate --generation OPTION`;
`metric` holds the metrics of labelled tasks, see [metrics.md](metrics.md); `bias` the audits of
`fxformer bias`, whose keys are given there.
"""
# key, value, comment of a line of a yaml file
LINE = re.compile(r"^(\s*)([\w.]+):(?:\s+(.*?))?\s*(?:(?<=\s)#\s*(.*))?$")
PREFIX = re.compile(r"^((override|optional)\s+|/model/(?!\w+@))")  # of a group in a defaults list
DIRECTIVES = {"_target_", "_partial_", "_args_", "_convert_", "_recursive_", "defaults", "hydra"}


@dataclasses.dataclass(frozen=True)
class Key:
    """A key of an option: its dotted path, default value and description."""

    path: str
    value: str
    about: str


@dataclasses.dataclass(frozen=True)
class Option:
    """A yaml file of a config group.

    base: the option of the same group that it builds on; chosen: group -> option that its defaults
    list sets
    """

    name: str
    about: str
    target: str | None
    base: str | None
    chosen: dict[str, str]
    keys: tuple[Key, ...]


def read(path: Path) -> Option:
    """Parse one option; comments are part of what is read."""
    text = path.read_text(encoding="utf-8")
    tree = yaml.safe_load(text) or {}
    base, chosen = None, {}
    for entry in tree.get("defaults") or []:
        if isinstance(entry, str) and entry != "_self_" and not entry.startswith("/"):
            base = entry
        elif isinstance(entry, dict):
            chosen |= {re.sub(PREFIX, "", group): str(o) for group, o in entry.items()}
    return Option(
        path.stem, _about(text), tree.get("_target_"), base, chosen, tuple(_keys(text, tree))
    )


def _about(text: str) -> str:
    """The comment lines that a file begins with, package directives aside, as one sentence."""
    found = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            found.append(line.lstrip("# ").strip())
    return " ".join(found)


def _keys(text: str, tree: dict) -> Iterator[Key]:
    """Every key with a value, in the order of the file; nested ones by their dotted path."""
    comments: dict[str, str] = {}
    stack: list[tuple[int, str]] = []
    for line in text.splitlines():
        if not (match := LINE.match(line)):
            continue
        depth = len(match[1])
        while stack and stack[-1][0] >= depth:
            stack.pop()
        path = ".".join([*(key for _, key in stack), match[2]])
        stack.append((depth, match[2]))
        if match[4]:
            comments[path] = match[4]
    for path, value in _flat(tree):
        if path.split(".")[0] not in DIRECTIVES and path.split(".")[-1] not in DIRECTIVES:
            yield Key(path, _spelled(value), comments.get(path, ""))


def _flat(tree: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{path}.")
        else:
            yield path, value


def _spelled(value: object) -> str:
    """A value as one would write it on the command line."""
    return (
        yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()
    )


def groups() -> dict[str, list[Option]]:
    """The options of each config group, in alphabetical order; Hydra's own groups are left out."""
    conf, found = folders.conf_folder(), {}
    for path in sorted(conf.rglob("*.yaml")):
        group = path.parent.relative_to(conf).as_posix()
        if group != "." and not group.startswith("hydra"):
            found.setdefault(group, []).append(read(path))
    return found


def common() -> Option:
    """Parts and keys that all models share: conf/hydra/model/common.yaml."""
    return read(folders.conf_folder() / "hydra" / "model" / "common.yaml")


def defaults() -> dict[str, str]:
    """The option of each group that a command line without it gets, unless another option sets it.

    From conf/train.yaml, the parts that all models share, and the defaults lists of the options.
    """
    found = {group: str(option) for group, option in folders.defaults().items() if option}
    for group, options in (("model", [common()]), *groups().items()):
        for option in options:
            for part, choice in option.chosen.items():
                found.setdefault(f"{group}/{part}", choice)
    return found


def document() -> str:
    """The whole reference."""
    usual = defaults()
    top = read(folders.conf_folder() / "train.yaml")
    parts = [INTRODUCTION, "## Keys at the top", *_table(top.keys)]
    parts += ["", "## Keys of every model", *_table(common().keys)]
    for group, options in groups().items():
        parts += ["", f"## {group}", ""]
        if "$" not in (default := usual.get(group, "$")):
            unless = ", unless the model sets another" if group.startswith("model/") else ""
            parts += [f"Default: `{default}`{unless}.", ""]
        parts += ["| option | what it is |", "|---|---|"]
        parts += [f"| `{option.name}` | {_cell(_summary(option))} |" for option in options]
        for option in options:
            if option.keys:
                parts += ["", f"**`{group}={option.name}`**", *_table(option.keys)]
    return "\n".join(parts) + "\n"


def _summary(option: Option) -> str:
    """The description of an option, what it builds on and what it chooses."""
    built = f"`{option.base}`" if option.base else ""
    chosen = ", ".join(f"`{group}={name}`" for group, name in option.chosen.items())
    more = " with ".join(filter(None, [built, chosen]))
    about = option.about or (f"`{option.target}`" if option.target else "")
    return " ".join(filter(None, [about, f"({more})" if more else ""]))


def _table(keys: Iterable[Key]) -> list[str]:
    rows = [f"| `{key.path}` | `{_cell(key.value)}` | {_cell(key.about)} |" for key in keys]
    return ["", "| key | default | meaning |", "|---|---|---|", *rows]


def _cell(text: str) -> str:
    """Text that does not end a cell of a table."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(document())
