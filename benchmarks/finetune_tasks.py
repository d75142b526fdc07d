"""The tasks of `benchmarks finetune`: files, command-line words and head of each."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

Words = Callable[[Path, Path], list[str]]  # (folder of the data, scratch folder) -> words

EVALUATED = 12  # articles of XQuAD that are held out, the last ones


@dataclasses.dataclass(frozen=True)
class BenchmarkTask:
    """A labelled task on real data.

    kind: class of transformers: sequence | token | question
    metric: the one that is compared
    files: words that name the data
    length: tokens of an input at most; tokens: on average
    lr: learning rate at the start
    """

    kind: str
    metric: str
    task: str
    files: Words
    tokens: int
    length: int = 64
    lr: float = 2e-4
    epochs: float = 1.0

    def words(self, data: Path, scratch: Path, batch: int, packing: str) -> list[str]:
        """What one would write after `fxformer train`. batch: examples, about, if they are packed
        into shared rows"""
        rows = round(batch * self.tokens / self.length) if packing == "segments" else batch
        return [
            f"task={self.task}", f"data.length={self.length}", f"data/packing={packing}",
            f"data.batch={max(rows, 1)}", *self.files(data, scratch),
        ]  # fmt: skip


def _polarity(data: Path, scratch: Path) -> list[str]:
    folder = data / "cls/sentence_polarity"
    pair = f"{{pos: {folder}/rt-polarity.pos, neg: {folder}/rt-polarity.neg}}"
    return [f"data.files={pair}", "data.encoding_errors=replace", "data.valid_share=0.05"]


def _subjectivity(data: Path, scratch: Path) -> list[str]:
    folder = data / "cls/subjectivity"
    pair = f"{{subjective: {folder}/quote.tok.gt9.5000, objective: {folder}/plot.tok.gt9.5000}}"
    return [f"data.files={pair}", "data.encoding_errors=replace", "data.valid_share=0.05"]


def _clinc(data: Path, scratch: Path) -> list[str]:
    return [f"data.files={data}/cls/clinc150/data_full.json", "data.columns={text: 0, label: 1}"]


def _wnut(data: Path, scratch: Path) -> list[str]:
    folder = data / "ner/wnut17"
    return [f"data.files={folder}/train.conll", f"data.valid_files={folder}/dev.conll"]


def _xquad(data: Path, scratch: Path) -> list[str]:
    """The first articles are trained on, the last ones evaluated."""
    articles = json.loads((data / "qa/xquad/xquad.en.json").read_text("utf-8"))["data"]
    parts = {"train": articles[:-EVALUATED], "valid": articles[-EVALUATED:]}
    for name, some in parts.items():
        whole = {"version": "1.1", "data": some}
        (scratch / f"xquad-{name}.json").write_text(json.dumps(whole), "utf-8")
    return [
        f"data.files={scratch}/xquad-train.json",
        f"data.valid_files={scratch}/xquad-valid.json",
        "task.stride=64",
    ]


TASKS = {
    "sentence_polarity": BenchmarkTask(
        "sequence", "accuracy", "classification", _polarity, tokens=27
    ),
    "subjectivity": BenchmarkTask(
        "sequence", "accuracy", "classification", _subjectivity, tokens=29
    ),
    "clinc150": BenchmarkTask(
        "sequence", "accuracy", "classification", _clinc, tokens=11, length=32, lr=5e-4, epochs=2
    ),
    "wnut17": BenchmarkTask(
        "token", "entity_f1", "token_classification", _wnut, tokens=27, epochs=2
    ),
    "xquad_en": BenchmarkTask(
        "question",
        "squad_f1",
        "question_answering",
        _xquad,
        tokens=170,
        length=192,
        epochs=2,
    ),
}
