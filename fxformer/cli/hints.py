"""What to write instead of words that the verbs train, plan and audit do not take.

They take `key=value` and Hydra's own flags. Options of other tools (`--lr 3`), bare choices
(`bert`) and keys without their group (`lr=3`) are answered with the key they most likely mean.
"""

import functools
import os
from collections.abc import Sequence

from fxformer.cli.composed import keys_of
from fxformer.config import folders
from fxformer.config.type_check import nearest

NO_GROUPS = ("hydra", "generation")  # folders of conf/ that are no groups of a run
# Common names of other tools, by the end of the key here.
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
    "num_hidden_layers": "layers",
    "n_layers": "layers",
    "num_attention_heads": "heads",
    "n_heads": "heads",
    "n_embd": "dim",
    "intermediate_size": "ffn.hidden",
    "d_ff": "ffn.hidden",
    "mlm_probability": "masking.rate",
    "max_seq_length": "length",
    "block_size": "length",
    "train_batch_size": "batch",
    "per_device_train_batch_size": "batch",
    "num_train_epochs": "epochs",
    "num_epochs": "epochs",
    "warmup_steps": "warmup",
    "warmup_ratio": "warmup",
    "max_grad_norm": "clip",
    "eval_steps": "eval_every",
    "save_steps": "save_every",
    "logging_steps": "log_every",
    "save_total_limit": "keep_checkpoints",
    "early_stopping_patience": "patience",
    "metric_for_best_model": "metric",
    "model_name_or_path": "warm_start.from",
    "optim": "optimizer",
    "lr_scheduler_type": "schedule",
    "report_to": "tracker",
    "r": "rank",
    "target_modules": "matrices",
}
CHOICES = {"fp16": "precision=bfloat16", "bf16": "precision=bfloat16"}  # switches of other tools


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
    return CHOICES.get(name) or _either(_ending(ALIASES.get(name, name), _names(verb)), value)


def renamed(key: str, value: str, keys: Sequence[str]) -> str:
    """`optimizer.lr=3` for ("trainer.learning_rate", "3"): the keys that end like the unknown
    dotted `key`, or like what its last part is called here, those of its group first; "": none.

    keys: all that are there
    """
    group, _, last = key.partition(".")[0], *key.rpartition(".")[1:]
    name = ALIASES.get(last, last)
    own = _ending(name, [one for one in keys if one.startswith(f"{group}.")])
    if group not in keys and (groups := _groups_of(group)):  # wandb.project
        return _either(groups, group)
    return CHOICES.get(last) or _either(own or _ending(name, keys), value)


def alike(key: str, keys: Sequence[str]) -> str:
    """`; did you mean 'trainer.steps'?` for an unknown key, by its last part within its group;
    where no key of the group looks like it, which keys the group has.

    keys: all that are there
    """
    group, dot, last = key.partition(".")[0], *key.rpartition(".")[1:]
    public = [one for one in keys if not _last(one).startswith("_")]
    own = [one for one in public if one.startswith(f"{group}.")]
    if not dot or not own:
        return nearest(key, public)

    def closeness(one: str) -> tuple[int, int]:
        """Leading parts in common with the unknown key, then the least nested."""
        return len(os.path.commonprefix([one.split("."), key.split(".")])), -_depth(one)

    lasts = {_last(one): one for one in sorted(own, key=closeness)}
    if near := nearest(last, lasts).partition("'")[2].partition("'")[0]:
        return f"; did you mean {lasts[near]!r}?"
    first = dict.fromkeys(one.split(".")[1] for one in own)
    return f"; {group} has: {', '.join(first)}"


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


def _ending(name: str, keys: Sequence[str]) -> list[str]:
    """Of the keys that end with the parts `name`, the least nested ones, three at most."""
    found = [key for key in keys if f".{key.replace('/', '.')}".endswith(f".{name}")]
    found = list(dict.fromkeys(found))  # a group is also a key
    least = min(map(_depth, found), default=0)
    return [key for key in found if _depth(key) == least][:3]


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
