"""A corpus: where text comes from, and how it becomes batches. conf/data has a yaml for each."""

import dataclasses
import functools
import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Annotated

import numpy as np
from omegaconf import DictConfig
from rich.console import Console

from fxformer.batch import Batch, Limit, Rows, Vocabulary
from fxformer.data.contiguous import ContinuedBatches, ContinuedPass, ContinuedStream
from fxformer.data.documents import Documents
from fxformer.data.loader import Batches, InOrder, Loader, OnePass, Shuffled, check_batch
from fxformer.data.packing import Packed, Packing, Template
from fxformer.data.tokenizer import Recipe, Tokenizer, shortfall
from fxformer.errors import UserError
from fxformer.types import Count, Natural, Range

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Source:
    """What a corpus has to give: a tokenizer, its splits "train" and "valid", and facts (for JSON):
    {"corpus_hash", "train": {"documents", "tokens", "bytes"}, "valid": {…}, …}; bytes is None for
    data that is not text."""

    tokenizer: Tokenizer
    splits: dict[str, Documents]
    facts: dict


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Packed rows, ready to be drawn from.

    facts, for the record of a run: those of the Source, with "tokenizer_hash", "vocab_size",
    "length", "bytes_per_token" (of valid; None where there are no bytes), and "packing" by split.
    """

    tokenizer: Tokenizer
    packed: dict[str, Packed]
    facts: dict

    @property
    def vocabulary(self) -> Vocabulary:
        return self.tokenizer.vocabulary

    def train(self, batch: int, seed: int, own: np.ndarray | None = None) -> Batches:
        """Endless shuffled batches; of a `ContinuedStream`, batches whose rows continue each other.
        UserError if there are fewer rows than `batch`.

        own: numbers of the rows of each batch that are made; None: all
        """
        packed = self.packed["train"]
        if isinstance(packed, ContinuedStream):
            return ContinuedBatches(packed, batch, seed, own)
        return Shuffled(packed, batch, seed, own)

    def valid(self, batch: int) -> OnePass:
        """Every held-out row once, always in the same order."""
        return self.in_order("valid", batch)

    def in_order(self, split: str, batch: int, own: np.ndarray | None = None) -> OnePass:
        """Every row of a split once, always in the same order. own: as in `train`"""
        packed = self.packed[split]
        if isinstance(packed, ContinuedStream):
            return ContinuedPass(packed, batch, None, own)
        return InOrder(packed, batch, own)

    def loader(
        self,
        batches: Batches,
        corrupt: Callable[[Rows], Batch],
        *,
        start: int = 0,
        stop: int | None = None,
        workers: int = 2,
        prefetch: int = 4,
    ) -> Loader:
        """A Loader that checks every id against the vocabulary."""
        size, of_source = self.vocabulary.size, self.tokenizer.of_source.vocabulary.size
        check = functools.partial(check_batch, vocab_size=size, source_vocab_size=of_source)
        return Loader(
            batches,
            corrupt,
            start=start,
            stop=stop,
            workers=workers,
            prefetch=prefetch,
            check=check,
        )


@dataclasses.dataclass(kw_only=True)
class Corpus(ABC):
    """The knobs every corpus has.

    tokenizer: how to get one; data made of ids does not ask for it
    packing: how documents share rows
    length: tokens the model sees at once
    batch: rows in a step
    workers, prefetch: threads that make batches, and how many batches ahead
    cache_dir: where ids are kept between runs; None: default_folder() of store.py
    """

    tokenizer: Recipe | None
    packing: Packing
    length: Annotated[int, Range(2)]  # one token alone says nothing of another
    batch: Count
    workers: Natural = 2
    prefetch: Count = 4
    cache_dir: str | None = None

    @abstractmethod
    def open(self) -> Source:
        """Read or make everything that does not depend on rows."""

    @property
    def memory(self) -> int | None:
        """Positions before a row whose hidden states it attends to, where rows continue those of
        the batch before (data/contiguous.py); None: rows are independent."""
        return getattr(self.packing, "memory", None)

    @functools.cached_property
    def source(self) -> Source:
        return self.open()

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        """Known before anything is packed; an objective needs it to say how long rows must be."""
        return self.source.tokenizer.spelt

    def pack(self, split: str, row_length: int, limits: tuple[Limit, ...] = ()) -> Packed:
        """One split in rows of `row_length` tokens that keep to the limits. UserError where it is
        empty."""
        tokenizer, documents = self.source.tokenizer, self.source.splits[split]
        if not len(documents.tokens):
            raise UserError(f"{type(self).__name__}: 0 usable tokens in the {split} split")
        template = template_of(tokenizer, limits)
        if tokenizer.source is not None:
            if documents.source is None:
                raise UserError(
                    "the tokenizer is one of two, for source and target, and this data has single "
                    "texts: write data.source_field=, the field with the source (data=jsonl, csv, "
                    "parquet or huggingface), or tokenizer= with one tokenizer"
                )
            template = dataclasses.replace(template, source=template_of(tokenizer.source, limits))
        return self.packing(documents, row_length, with_control_code(template, documents))

    def split_names(self) -> Iterable[str]:
        """Names of the splits that are packed."""
        return self.source.splits

    def unigram_nats(self) -> float:
        """Entropy of the frequencies of the held-out tokens."""
        return unigram_nats(self.source.splits["valid"].tokens)

    def show(self, console: Console) -> None:  # noqa: B027 - optional
        """Print what one should know of the data before training."""

    def completed(self, cfg: DictConfig) -> DictConfig:
        """The config with what follows from the data; of most corpora the same."""
        return cfg

    def prepare(
        self,
        row_length: int,
        limits: tuple[Limit, ...] = (),
        architecture: str | None = None,
    ) -> Prepared:
        """Pack both splits into rows of `row_length` tokens. UserError where a split is empty.

        architecture: of the model that reads them
        """
        tokenizer, facts = self.source.tokenizer, dict(self.source.facts)
        packed = {split: self.pack(split, row_length, limits) for split in self.split_names()}
        size = facts["valid"]["bytes"]
        said = shortfall(self.tokenizer, tokenizer) if size is not None else None
        if said is not None:  # of a text: other data do not use the tokenizer of the config
            log.warning(said)
        if tokenizer.source is not None:
            facts["source_vocab_size"] = tokenizer.source.vocabulary.size
        facts |= {
            "tokenizer_hash": tokenizer.hash,
            "vocab_size": tokenizer.vocabulary.size,
            "length": self.length,
            "bytes_per_token": size / facts["valid"]["tokens"] if size else None,
            "unigram_nats": self.unigram_nats(),
            "packing": {split: rows.facts() for split, rows in packed.items()},
        }
        return Prepared(tokenizer, packed, facts)


def template_of(tokenizer: Tokenizer, limits: tuple[Limit, ...]) -> Template:
    """What a tokenizer puts around a text."""
    ids, words = tokenizer.ids, tokenizer.vocabulary
    return Template(ids.pad, tokenizer.prefix, tokenizer.suffix, ids.bos, ids.eos, words, limits)


def with_control_code(template: Template, documents: Documents) -> Template:
    """The template, with one place before the text where each document has a control code."""
    if documents.codes is None:
        return template
    return dataclasses.replace(template, prefix=np.full(1, template.pad, np.int32))


def unigram_nats(tokens: np.ndarray) -> float:
    """Entropy of the tokens' own frequencies: the loss of a model that knows nothing but these."""
    counts = np.zeros(0, np.int64)
    for low in range(0, len(tokens), 1 << 24):
        found = np.bincount(tokens[low : low + (1 << 24)], minlength=len(counts))
        counts = found + np.pad(counts, (0, len(found) - len(counts)))
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def symbols_in(documents: Documents) -> dict:
    """The facts of a split that is not text."""
    return {"documents": len(documents), "tokens": int(len(documents.tokens)), "bytes": None}


def hash_of(*arrays: np.ndarray | None) -> str:
    """Hex digest of arrays."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
