"""Corpora of generated labelled rows: templates with label noise, and the standard library."""

import dataclasses
import functools
import hashlib
import json
from abc import abstractmethod
from pathlib import Path
from typing import Any, Literal

from fxformer import jsonl
from fxformer.data import disk_cache, stdlib
from fxformer.data.labelled.corpus import Opened
from fxformer.data.labelled.rows import Row
from fxformer.data.labelled.stdlib_rows import StdlibKind, stdlib_rows
from fxformer.data.labelled.template_rows import template_rows
from fxformer.errors import UserError
from fxformer.task.corpus import RowCorpus
from fxformer.types import Count, Natural, Rate


@dataclasses.dataclass(kw_only=True)
class GeneratedCorpus(RowCorpus):
    """Labelled rows that are a function of their options.

    examples, valid_examples: rows of the train and the valid split
    data_seed: seed of the rows, so that the seed of a run does not change its data
    """

    kind: str
    examples: Count
    valid_examples: Count
    data_seed: Natural = 0

    @abstractmethod
    def generate(self) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Any]]:
        """(values by role of the rows of each split, further facts)."""

    @property
    def counts(self) -> dict[str, int]:
        """Rows by split."""
        return {"train": self.examples, "valid": self.valid_examples}

    @functools.cached_property
    def opened(self) -> Opened:
        given, more = self.generate()
        rows = {
            split: [
                Row(values, f"{split} row {number} of data.kind={self.kind}", number)
                for number, values in enumerate(some)
            ]
            for split, some in given.items()
        }
        first = self.task.read(rows["train"][0])
        if lacking := [role for role in self.task.needed(first) if first.get(role) is None]:
            raise UserError(
                f"data.kind={self.kind} has rows of {', '.join(first.values)}, and "
                f"task={type(self.task).__name__} reads {', '.join(lacking)} too; choose the task "
                "that this kind is for (conf/data)"
            )
        counts = {split: len(some) for split, some in rows.items()}
        facts = {"rows": counts, "left_out": {}, "shared_inputs": {"valid": 0}, "bad_bytes": 0}
        return Opened(rows, facts | {"files_empty": 0} | more)

    def fingerprint(self) -> str:
        rows = {split: [row.values for row in some] for split, some in self.opened.rows.items()}
        return hashlib.blake2b(json.dumps(rows).encode(), digest_size=16).hexdigest()


@dataclasses.dataclass(kw_only=True)
class TemplateRows(GeneratedCorpus):
    """Sentences of templates; the best value of each metric is among the facts, under "best".

    noise: probability that a label is wrong
    """

    kind: Literal["classification", "entities", "answers"]
    noise: Rate = 0.0

    def generate(self) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Any]]:
        """Rows of templates, and the best values."""
        rows, best = template_rows(self.kind, self.noise, self.counts, self.data_seed)
        return rows, {"best": best}


@dataclasses.dataclass(kw_only=True)
class StdlibRows(GeneratedCorpus):
    """Docstrings and functions of this Python's standard library. See stdlib_rows."""

    kind: StdlibKind

    def generate(self) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Any]]:
        """The rows, from the cache where they were made before."""
        root = Path(self.cache_dir).expanduser() if self.cache_dir else disk_cache.default_folder()
        digest = hashlib.blake2b(digest_size=16)
        digest.update(f"2 {self.kind} {self.counts} {self.data_seed}".encode())
        for name, path in stdlib.modules().items():
            digest.update(f"{name} {path.stat().st_size} {path.stat().st_mtime_ns}".encode())
        folder = root / "rows" / digest.hexdigest()

        def make(draft: Path) -> None:
            rows = stdlib_rows(self.kind, self.counts, self.data_seed)
            (draft / "rows.json").write_text(json.dumps(rows), encoding="utf-8")

        disk_cache.once(folder, make, _is_whole)
        return jsonl.load(folder / "rows.json"), {}


def _is_whole(folder: Path) -> bool:
    try:
        return bool(jsonl.load(folder / "rows.json"))
    except (OSError, ValueError):
        return False
