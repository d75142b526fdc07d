"""Rows of template tasks with known answers, and set-ups of tiny models that read them."""

import json
from pathlib import Path

import numpy as np

from fxformer.train.setup import Setup, set_up
from tests.composing import composed

TASKS = (
    "classification",
    "multi_label",
    "regression",
    "token_classification",
    "question_answering",
    "multiple_choice",
)
PACKED = ("data/packing=segments", "data.length=64")
COLOURS = ("red", "green", "blue", "white")
THINGS = ("stone", "river", "tree", "cloud", "house", "road", "bird", "lamp")
TINY = ("size=tiny", "model.dim=16", "model.layers=1", "model.heads=2", "model.ffn.hidden=32",
        "tokenizer=wordpiece", "tokenizer.vocab_size=400", "data.batch=4", "data.workers=0",
        "model.dropout=0")  # fmt: skip

MORE = {"question_answering": ["metric@task.metrics.squad=squad_v2"]}


def sentences(count: int, seed: int = 0, longest: int = 9) -> list[list[str]]:
    """Random words, of which some are colours."""
    draw = np.random.default_rng(seed)
    words = [*COLOURS, *THINGS]
    return [
        [words[i] for i in draw.integers(len(words), size=draw.integers(2, longest + 1))]
        for _ in range(count)
    ]


def rows_of(task: str, count: int = 40, seed: int = 0) -> list[dict]:
    """Rows of a task whose answer a reader can tell from the words."""
    made = []
    for words in sentences(count, seed):
        text, colours = " ".join(words), [word for word in words if word in COLOURS]
        if task == "classification":
            made.append({"text": text, "label": "many" if len(colours) > 1 else "few"})
        elif task == "multi_label":
            made.append({"text": text, "label": sorted(set(colours))})
        elif task == "regression":
            made.append({"text": text, "label": len(colours) / 2})
        elif task == "token_classification":
            labels = ["B-COL" if word in COLOURS else "O" for word in words]
            made.append({"words": words, "labels": labels})
        elif task == "question_answering":
            answers = [{"text": colours[0], "start": text.index(colours[0])}] if colours else []
            made.append({"id": str(len(made)), "question": "which colour", "context": text,
                         "answers": answers})  # fmt: skip
        else:
            choices = [words[0], "xyz", "abc", "uvw"]
            turn = len(made) % 4
            made.append({"text": text, "choices": choices[turn:] + choices[:turn],
                         "label": (4 - turn) % 4})  # fmt: skip
    return made


def write(path: Path, rows: list[dict]) -> Path:
    """Rows as JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def setup_of(
    folder: Path, task: str, *overrides: str, model: str = "bert", count: int = 40
) -> Setup:
    """A tiny model on rows of a task, built but not compiled."""
    train = write(folder / "train.jsonl", rows_of(task, count))
    valid = write(folder / "valid.jsonl", rows_of(task, count // 2, seed=1))
    words = [f"model={model}", f"task={task}", *TINY, *MORE.get(task, ()), f"data.files={train}",
             f"data.valid_files={valid}", f"data.cache_dir={folder / 'cache'}"]  # fmt: skip
    return set_up(composed([*words, *overrides]))
