"""Set-ups of tiny models that write a text from another one, on rows that reverse words."""

from pathlib import Path

from fxformer.train.setup import Setup, set_up
from tests.composing import composed
from tests.task.rows import TINY, sentences, write

ARCHITECTURE = {"bart": (), "t5": ("objective.start=pad",), "gpt2": ("objective=clm",)}


def reversed_rows(count: int, seed: int = 0, longest: int = 9) -> list[dict]:
    """Sources with their words in reverse order as targets; every second row has two references."""
    made = []
    for n, words in enumerate(sentences(count, seed, longest)):
        target = " ".join(words[::-1])
        made.append({"source": " ".join(words), "target": [target, "x"] if n % 2 else target})
    return made


def setup_of(folder: Path, *overrides: str, model: str = "bart", count: int = 24) -> Setup:
    """A tiny model of a family on such rows, built but not compiled."""
    train = write(folder / "train.jsonl", reversed_rows(count))
    valid = write(folder / "valid.jsonl", reversed_rows(count // 2, seed=1))
    words = [f"model={model}", "task=seq2seq", *ARCHITECTURE[model], *TINY, "data.length=32",
             "task.target_length=16", f"data.files={train}", f"data.valid_files={valid}",
             f"data.cache_dir={folder / 'cache'}"]  # fmt: skip
    return set_up(composed([*words, *overrides]))
