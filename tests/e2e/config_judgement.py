"""What `fxformer train` does with a command line before anything compiles, in this process."""

from pathlib import Path

from fxformer.cli import errors, overrides
from fxformer.cli.argv import name_texts
from fxformer.config.build import build
from fxformer.config.check import check
from fxformer.train.memory_check import check_memory
from fxformer.train.setup import Setup, set_up
from tests.composing import composed

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


def refusal(argv: list[str]) -> str | None:
    """What the command would say against `argv`; None where it would train. A bug is raised."""
    if said := overrides.unfit(argv):
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
