"""Corpus of a labelled task: rows, encoded and packed. See conf/data/labelled.yaml."""

import dataclasses
import functools
import hashlib
import logging
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from fxformer.batch import Limit
from fxformer.config.build import build
from fxformer.data import disk_cache
from fxformer.data import tokenizer as tokenizers
from fxformer.data.corpus import Corpus, Prepared, Source
from fxformer.data.labelled.corpus import LabelledData, Opened
from fxformer.data.labelled.label_schemes import convert
from fxformer.data.labelled.labels import LabelSet, count
from fxformer.data.labelled.readers import SourceRecord
from fxformer.data.labelled.roles import INPUTS
from fxformer.data.labelled.rows import BadRow, Row, texts_of
from fxformer.data.labelled.statistics import SplitStatistics, of_split, show
from fxformer.data.packing import Packed, Padded, Segments
from fxformer.data.progress import Slow
from fxformer.data.tokenizer import Tokenizer
from fxformer.errors import UserError
from fxformer.task.base import RowTask, Task, TextEncoder
from fxformer.task.class_labels import balanced_weights
from fxformer.task.label_matching import in_order_of
from fxformer.task.task_split import TaskSplit
from fxformer.task.text_template import template_of
from fxformer.types import Count

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(kw_only=True)
class RowCorpus(Corpus):
    """Labelled rows as inputs of a task; a subclass says where the rows come from.

    Each row of a batch has one input (data/packing=padded, as long as the longest one of all), or
    several that fit together (data/packing=segments: less padding; then a batch has a varying
    number of examples, each of which counts the same).

    task: the labelled task
    separators: how many times what ends a text stands between two texts
    """

    task: RowTask
    separators: Count = 1

    @functools.cached_property
    def statistics(self) -> dict[str, SplitStatistics]:
        """Statistics of each split that is encoded."""
        return {}

    @functools.cached_property
    def skipped(self) -> dict[str, Counter[str]]:
        """Rows without a feature by split and reason."""
        return {}

    @functools.cached_property
    def lost(self) -> dict[str, int]:
        """Tokens of texts that are cut or left out, by split."""
        return {}

    @property
    @abstractmethod
    def opened(self) -> Opened:
        """The rows by split, and facts of them."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Hex digest of the rows and of the options that make them."""

    def open(self) -> Source:
        """The tokenizer, from the training rows where it is to be made, and facts; no token yet."""
        if self.tokenizer is None:
            raise UserError("labelled rows are text and need a tokenizer: tokenizer=…")
        content = f"{type(self).__name__} {self.fingerprint()} {self.task.added_texts}"
        root = Path(self.cache_dir).expanduser() if self.cache_dir else disk_cache.default_folder()
        name = hashlib.blake2b(f"{content}\n{self.tokenizer.key()}".encode(), digest_size=16)
        folder = root / "tokenizers" / name.hexdigest()
        recipe = self.tokenizer

        def train(draft: Path) -> None:
            with Slow("Training the tokenizer", "rows"):
                recipe.make(list(self._texts("train"))).save(draft)

        disk_cache.once(folder, train, tokenizers.is_sound)
        facts = {
            "corpus": type(self).__name__,
            "corpus_hash": self.fingerprint(),
            **self.opened.facts,
        }
        return Source(tokenizers.load(folder), {}, facts)

    def open_rows(self) -> dict[str, list[Row]]:
        """Rows by split, with roles that follow from others."""
        if "_rows_read" not in self.__dict__:
            self._rows_read = {
                split: [self.read_row(row) for row in rows]
                for split, rows in self.opened.rows.items()
            }
        return self._rows_read

    def read_row(self, row: Row) -> Row:
        """The row with all roles that the task reads, where some follow from others."""
        return self.task.read(row)

    def completed(self, cfg: DictConfig) -> DictConfig:
        """The config with what follows from the training rows: class names and weights, outputs.

        A run stores it, so that its model can be opened without the data.
        """
        made, rows = cfg.copy(), self.open_rows()["train"]
        OmegaConf.set_struct(made, False)
        role = self.task.label_role
        if role is not None:
            names = LabelSet.of(rows, cfg.task.get("labels"), role).names
            if cfg.task.get("labels") is None:
                names = in_order_of(names, (cfg.get("warm_start") or {}).get("labels"))
            made.task.labels = list(names)
            if cfg.task.get("class_weights") == "balanced":
                made.task.class_weights = balanced_weights(rows, names, role)
        self.task = build(made.task)
        self.task.check_rows(self.open_rows())
        heads = made.model.get("task_head") or {}
        if isinstance(self.task, Task) and self.task.head in heads:
            made.model.task_head[self.task.head].classes = self.task.outputs
        OmegaConf.set_struct(made, True)
        return made

    def prepare(
        self,
        row_length: int,
        limits: tuple[Limit, ...] = (),
        architecture: str | None = None,
    ) -> Prepared:
        """Encode and pack all splits into rows of at most `row_length` tokens."""
        source = self.source
        tokenizer = source.tokenizer
        encoder = self.encoder(tokenizer, row_length, architecture)
        encoded, facts = {}, dict(source.facts)
        for split, rows in self.open_rows().items():
            encoded[split] = self._encoded(split, rows, encoder)
            facts[split] = self.statistics[split].facts() | {
                "documents": len(rows),
                "tokens": sum(len(one.tokens) for one in encoded[split]),
                "bytes": None,
                "skipped": dict(self.skipped[split]),
                **self.task.facts(split, encoded[split]),
            }
        made = self.task.pack(encoded, encoder, shared=isinstance(self.packing, Segments))
        packed: dict[str, Packed] = {
            split: TaskSplit(rows, encoded[split], self.open_rows()[split])
            for split, rows in made.items()
        }
        facts |= {
            "tokenizer_hash": tokenizer.hash,
            "vocab_size": tokenizer.vocabulary.size,
            "length": made["train"].length,
            "bytes_per_token": None,
            "unigram_nats": self.guess(),
            "packing": {split: self._accounted(split, one) for split, one in packed.items()},
        }
        return Prepared(tokenizer, packed, facts)

    def encoder(
        self, tokenizer: Tokenizer, row_length: int, architecture: str | None
    ) -> TextEncoder:
        """What encodes texts for a model. UserError for a packing that no task has."""
        if not isinstance(self.packing, Padded | Segments):
            raise UserError(
                f"data/packing={type(self.packing).__name__}: inputs of a task are not cut or "
                "joined; write data/packing=padded or data/packing=segments"
            )
        read = tokenizer.of_source if architecture == "seq2seq" else tokenizer
        template = template_of(read, self.separators, closed=architecture != "decoder")
        return TextEncoder(read, template, row_length, tokenizer, architecture)

    def split_of(self, split: str, rows: Sequence[Row], encoder: TextEncoder) -> TaskSplit:
        """One split alone, encoded and packed.

        rows: of that split, with all roles, as open_rows gives them
        """
        features = self._encoded(split, rows, encoder)
        shared = isinstance(self.packing, Segments)
        return TaskSplit(
            self.task.pack({split: features}, encoder, shared=shared)[split], features, rows
        )

    def _accounted(self, split: str, packed: Packed) -> dict[str, Any]:
        """Facts of a packing that count the tokens which no feature has."""
        found, lost = packed.facts(), self.lost[split]
        return found | {"tokens_in": found["tokens_in"] + lost, "tokens_dropped": lost}

    def show(self, console: Console) -> None:
        """Print rows, lengths, truncation and classes by split."""
        facts = self.opened.facts
        dropped = {split: dict(facts["left_out"].get(split, {})) for split in self.statistics}
        for split, skipped in self.skipped.items():
            dropped[split] |= skipped
        show(self.statistics, console, dropped)

    def guess(self) -> float | None:
        """Entropy of the classes of the validation rows in nats; None without classes."""
        if self.task.label_role is None:
            return None
        counts = count(self.open_rows()["valid"], self.task.label_role)[0]
        shares = np.array(list(counts.values())) / max(sum(counts.values()), 1)
        return float(-(shares * np.log(shares)).sum())

    def _encoded(self, split: str, rows: Sequence[Row], encoder: TextEncoder) -> list[Any]:
        """The features of a split; keeps its statistics, and how many rows have none, by reason."""
        features: list[Any] = []
        skipped: Counter[str] = Counter()
        lengths, cut, lost = [], 0, 0
        with Slow(f"Encoding the {split} rows", "rows") as work:
            for number, row in enumerate(rows):
                made = self.task.encode(row, number, encoder)
                if made.skipped is not None:
                    skipped[made.skipped] += 1
                features += made.features
                cut += bool(made.cut)
                lost += made.cut if made.skipped is None else made.tokens
                lengths.append(made.tokens)
                work.advance(1)
        if not features:
            why = ", ".join(f"{n} with {one}" for one, n in skipped.items())
            raise UserError(f"data: no usable row in the {split} split ({why})")
        for reason, amount in skipped.items():
            _LOG.warning("%d of %d %s rows are left out: %s", amount, len(rows), split, reason)
        if cut:
            _LOG.warning(
                "%d of %d %s rows are longer than data.length=%d and lose text at their end",
                cut, len(rows), split, encoder.length,
            )  # fmt: skip
        found = of_split(rows, self.task.label_role, lengths)
        self.statistics[split] = dataclasses.replace(found, truncated=cut)
        self.skipped[split], self.lost[split] = skipped, lost
        return features

    def _texts(self, split: str) -> Iterator[str]:
        """All texts that the task reads, and targets, to train a tokenizer on."""
        for row in self.open_rows()[split]:
            for role in (*INPUTS, "target"):
                yield from texts_of(row.get(role))
            yield from self.task.added_texts


@dataclasses.dataclass(kw_only=True)
class TaskCorpus(LabelledData, RowCorpus):
    """Labelled rows of files or a dataset as inputs of a task. See LabelledData, RowCorpus."""

    def open_rows(self) -> dict[str, list[Row]]:
        """Rows by split, with roles that follow from others."""
        return RowCorpus.open_rows(self)

    def all_rows(self) -> list[Row]:
        """As LabelledData, with roles that follow from others."""
        return [self.read_row(row) for row in super().all_rows()]

    def read_row(self, row: Row) -> Row:
        """As RowCorpus; labels that are made of entities are in the scheme of the others."""
        made, scheme = super().read_row(row), self.label_scheme
        if row.get("labels") is not None or scheme in (None, "BIO"):
            return made
        if not isinstance(labels := made.get("labels"), list):
            return made
        return dataclasses.replace(
            made, values=made.values | {"labels": convert(labels, "BIO", scheme)}
        )

    def _row(self, record: SourceRecord, index: int) -> Row:
        """As LabelledData; a row that lacks a value that the task reads cannot be used either."""
        row = super()._row(record, index)
        read = self.task.read(row)
        for role in self.task.needed(read):
            try:
                read.value(role)
            except UserError as problem:
                if index == 0 and role not in read.values:  # the column has another name
                    raise
                raise BadRow(f"no {role}", str(problem)) from None
        return row
