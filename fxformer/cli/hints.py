"""What to write instead of words that the verbs train, plan and audit do not take.

They take `key=value` and Hydra's own flags. Options of other tools (`--lr 3`), bare choices
(`bert`) and keys without their group (`lr=3`) are answered with the key they most likely mean.
"""

import functools
from collections.abc import Sequence

from fxformer.cli.composed import keys_of
from fxformer.config import folders
from fxformer.config.type_check import nearest

NO_GROUPS = ("hydra", "generation")  # folders of conf/ that are no groups of a run
# Common names of other tools, by the last part of the key here.
ALIASES = {
    "learning_rate": "lr",
    "batch_size": "batch",
    "max_steps": "steps",
    "num_layers": "layers",
    "n_layer": "layers",
    "num_heads": "heads",
    "n_head": "heads",
    "hidden_size": "dim",
    "d_model": "dim",
    "max_length": "length",
    "seq_len": "length",
    "gradient_accumulation_steps": "accumulate",
    "output_dir": "runs",
    "root": "runs",
    "run_name": "name",
    "resume_from_checkpoint": "resume",
    "run": "resume",
}


def foreign_words(argv: Sequence[str], verb: str) -> str:
    """A line for each word that is neither `key=value` nor a flag of Hydra's; "": all words are.

    verb: train, plan or audit
    """
    lines, words = [], list(argv)
    while words:
        word = words.pop(0)
        if word.startswith("-") and word not in ("-", "--"):
            name, given, value = word.partition("=")
            follows = words and "=" not in words[0] and not words[0].startswith("-")
            if name in _flags():
                takes = _flags()[name]
                if not given and (takes == "1" or (takes == "?" and follows)):
                    words.pop(0)
                continue
            value = value if given else words.pop(0) if follows else "VALUE"
            lines.append(f"{word}: {_instead(name, value, verb)}")
        elif "=" not in word and not word.startswith("~"):
            lines.append(f"{word}: {_bare(word, argv)}")
    return "\n".join(lines)


def missing_group(word: str, verb: str) -> str:
    """What to write for `lr=3` or `wandb=true`: a key without its group; "": nothing is like it."""
    key, _, value = word.lstrip("+~").partition("=")
    if "." in key or "/" in key:
        return ""
    if found := assignment(key, value, verb):
        return f"there is no such key; write {found}"
    groups = _groups_of(key)
    return f"{key} is an option of a group; write {_either(groups, key)}" if groups else ""


def assignment(name: str, value: str, verb: str) -> str:
    """`optimizer.lr=3` for ("lr", "3"): the keys, or groups, whose last part is `name`, those
    that are least nested; "" where there is none."""
    name = name.strip("-").replace("-", "_")
    name = ALIASES.get(name, name)
    found = [key for key in _names(verb) if _last(key) == name or key == name]
    least = min(map(_depth, found), default=0)
    return _either([key for key in found if _depth(key) == least][:3], value)


def _instead(option: str, value: str, verb: str) -> str:
    """What to write instead of an option `--name value`."""
    if found := assignment(option, value, verb):
        return f"options are written as key=value: write {found}"
    name = option.strip("-").replace("-", "_")
    if groups := _groups_of(name):
        return f"options are written as key=value: write {_either(groups, name)}"
    lasts = {_last(key): key for key in reversed(_names(verb))}
    near = nearest(name, lasts).partition("'")[2].partition("'")[0]
    advice = f"; did you mean {lasts[near]}={value}?" if near else f"; see fxformer {verb} --help"
    return f"there is no such option{advice}"


def _bare(word: str, argv: Sequence[str]) -> str:
    place = list(argv).index(word)
    after = place > 0 and argv[place - 1] in ("-m", "--multirun")
    what = "-m searches over several values and takes none; " if after else ""
    if groups := _groups_of(word):
        return f"{what}write {_either(groups, word)}"
    if word in folders.defaults():
        return f"{what}write {word}=NAME"
    return f"{what}cannot be read as key=value; is a quote, a bracket or a key amiss?"


def _groups_of(option: str) -> list[str]:
    """The least nested groups that have an option of this name."""
    conf = folders.conf_folder()
    files = [file.relative_to(conf).parent.as_posix() for file in conf.rglob(f"*/{option}.yaml")]
    found = sorted(group for group in files if not group.startswith(NO_GROUPS) and group != ".")
    least = min(map(_depth, found), default=0)
    return [group for group in found if _depth(group) == least]


def _names(verb: str) -> list[str]:
    """Keys and groups that a command line may name; `model.network` holds references only."""
    conf = folders.conf_folder()
    groups = {file.relative_to(conf).parent.as_posix() for file in conf.rglob("*/*.yaml")}
    groups = {group for group in groups if not group.startswith(NO_GROUPS)} - {"."}
    keys = [key for key in keys_of([], verb) if not _last(key).startswith("_")]
    plain = [key for key in keys if not key.startswith("model.network.") and key not in groups]
    return [*sorted(groups), *(key for key in plain if key.replace(".", "/") not in groups)]


def _last(key: str) -> str:
    return key.replace("/", ".").rpartition(".")[2]


def _depth(key: str) -> int:
    return key.replace("/", ".").count(".")


def _either(keys: Sequence[str], value: str) -> str:
    return " or ".join(f"{key}={value}" for key in keys)


@functools.cache
def _flags() -> dict[str, str]:
    """{flag of Hydra's: how many values it takes, "0", "1" or "?"}"""
    from hydra._internal.utils import get_args_parser

    return {
        name: {None: "1", "?": "?"}.get(action.nargs, "0")
        for name, action in get_args_parser()._option_string_actions.items()
        if name not in ("--run", "-r")  # what Hydra does anyway
    }
