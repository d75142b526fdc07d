"""What `fxformer train` does with a command line before anything compiles, in this process."""

import copy
import functools
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from fxformer.cli import errors
from fxformer.cli.argv import name_texts
from fxformer.config import folders
from fxformer.config.build import build
from fxformer.config.check import check
from fxformer.train.setup import Setup, check_memory, set_up

SMALL = ("model.dim=16", "model.heads=2", "model.ffn.hidden=32", "data.length=16", "data.batch=8")
TINY = (*SMALL, "trainer.steps=8")
CHAIN = ("data=markov", "tokenizer=none", "data.symbols=8", "data.examples=64", "energy=tdp")
DECODER = ("model=gpt2", "objective=clm", *CHAIN, *TINY)


def encoder(file: Path) -> tuple[str, ...]:
    """A BERT on characters of `file`."""
    return ("model=bert", "objective=mlm", *text(file))


def seq2seq(file: Path) -> tuple[str, ...]:
    """A BART on characters of `file`."""
    return ("model=bart", "objective=denoise", *text(file))


def text(file: Path) -> tuple[str, ...]:
    """Any model on characters of `file`."""
    return ("data=text", f"data.files={file}", "tokenizer=char", *TINY, f"data.cache_dir={file}.d")


def passed(argv: list[str]) -> Setup:
    """Compose, check and set up; raises what the command would refuse."""
    cfg = composed(argv)
    check(cfg)
    build(cfg.energy)
    return set_up(cfg)


def composed(argv: list[str]) -> DictConfig:
    """What Hydra makes of a command line. The choices of groups are composed once; the values are
    set by Hydra's own function in a copy, as it does for a whole command line."""
    words = list(argv)
    chosen = chosen_groups(tuple(word for word in words if chooses(word)))
    cfg = copy.deepcopy(chosen)
    values = OverridesParser.create().parse_overrides([w for w in words if not chooses(w)])
    ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
    return cfg


def chooses(word: str) -> bool:
    """Whether a word is about a group, and not about a value."""
    key = word.partition("=")[0].lstrip("+~")
    if "/" in key or "@" in key or key == "experiment":
        return True
    return (folders.conf_folder() / key).is_dir()


@functools.lru_cache(100)
def chosen_groups(words: tuple[str, ...]) -> DictConfig:
    """The config of some choices of groups."""
    folders.register()
    with initialize_config_dir(str(folders.conf_folder()), version_base="1.3"):
        return compose("train", list(words))


def refusal(argv: list[str]) -> str | None:
    """What the command would say against `argv`; None where it would train. A bug is raised."""
    if said := errors.unfit(argv):
        return said
    try:
        cfg = composed(argv)
    except Exception as error:
        return errors.composition(error, argv)
    try:
        name_texts(cfg, argv)
        check(cfg)
        build(cfg.energy)
        check_memory(set_up(cfg))
    except Exception as error:
        said = errors.refusal(error)
        if said is None:
            raise
        return said
    return None
