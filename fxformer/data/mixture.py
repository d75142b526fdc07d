"""Mixture of text corpora in given proportions, with one tokenizer: data=mixture."""

import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import numpy as np

from fxformer.batch import Limit
from fxformer.config.type_check import nearest
from fxformer.data import round_trip
from fxformer.data import tokenizer as tokenizers
from fxformer.data.corpus import Source, unigram_nats
from fxformer.data.corpus_text import TextCorpus
from fxformer.data.mixture_rows import JoinedRows, MixedRows
from fxformer.data.packing import Packed
from fxformer.data.preparation import TrainingSample
from fxformer.data.progress import Slow
from fxformer.errors import UserError
from fxformer.types import Positive


@dataclasses.dataclass(kw_only=True)
class CorpusMixture(TextCorpus):
    """Several text corpora, read with one tokenizer in rows of one packing.

    parts: corpora by name; their own packing, length, batch, workers, prefetch and cache_dir are
        replaced by those of the mixture
    weights: share of each part, in any unit; None: its size, so that all text is read equally often
    weigh_by: whether the weights are shares of tokens, or of examples (pieces of text in rows)
    max_repeats: a warning is given where a part is read more often. Up to four times, repeated text
        is nearly as good as new (Muennighoff et al. 2023, "Scaling data-constrained language
        models")
    """

    parts: dict[str, Any]
    weights: dict[str, Positive] | None = None
    weigh_by: Literal["tokens", "examples"] = "tokens"
    max_repeats: Positive = 4.0

    def __post_init__(self) -> None:
        if not self.parts:
            raise UserError("data.parts is empty: write +data@data.parts.NAME=text, for example")
        if self.code is not None:
            raise UserError(
                f"data.code={self.code}: of a mixture each part has its own; write "
                + " ".join(f"data.parts.{name}.code={self.code}" for name in self.parts)
            )
        for name, weight in (self.weights or {}).items():
            if name not in self.parts:
                raise UserError(
                    f"data.weights.{name}: there is no such part{nearest(name, self.parts)}; there "
                    f"are {', '.join(self.parts)}"
                )
            known = isinstance(weight, int | float) and not isinstance(weight, bool)
            if not known or not 0 < weight < float("inf"):
                raise UserError(f"data.weights.{name}={weight}: expected a number above 0")
        if self.weights and (lacking := [name for name in self.parts if name not in self.weights]):
            raise UserError(
                f"data.weights: {', '.join(lacking)} has no weight; leave a part out with "
                f"~data@data.parts.{lacking[0]}"
            )

    @functools.cached_property
    def corpora(self) -> dict[str, TextCorpus]:
        """The corpora of the parts."""
        shared = {
            "tokenizer": self.tokenizer,
            "packing": self.packing,
            "length": self.length,
            "batch": self.batch,
            "cache_dir": self.cache_dir,
        }
        made = {}
        for name, part in self.parts.items():
            corpus = part(**shared) if callable(part) else None
            if not isinstance(corpus, TextCorpus) or isinstance(corpus, CorpusMixture):
                what = type(corpus).__name__ if corpus is not None else repr(part)
                raise UserError(
                    f"data.parts.{name}: {what} is no corpus of text; write "
                    f"+data@data.parts.{name}=text (or jsonl, csv, parquet, huggingface, …)"
                )
            try:
                corpus.check_pairs()
            except UserError as problem:
                raise UserError(f"data.parts.{name}: {problem}") from problem
            made[name] = corpus
        coded = {name: one.coded for name, one in made.items()}
        if len(set(coded.values())) > 1:
            lacking = next(name for name, has in coded.items() if not has)
            raise UserError(
                f"data.parts.{lacking}.code is null, and other parts have control codes: write "
                f"data.parts.{lacking}.code= too, or null for all"
            )
        return made

    @property
    def coded(self) -> bool:
        return any(one.coded for one in self.corpora.values())

    def fingerprint(self) -> str:
        return " ".join(f"{name} {one.content}" for name, one in self.corpora.items())

    def documents(self, split: str) -> Iterator[str]:
        return itertools.chain.from_iterable(one.documents(split) for one in self.corpora.values())

    def codes(self) -> list[str]:
        return sorted({code for one in self.corpora.values() for code in one.codes()})

    def samples(self, work: Slow) -> list[TrainingSample]:
        return [sample for one in self.corpora.values() for sample in one.samples(work)]

    def sample_key(self) -> str:
        return " ".join(one.sample_key() for one in self.corpora.values())

    def split_names(self) -> Iterable[str]:
        return ("train", "valid")

    def open(self) -> Source:
        own = self.trained()
        sources = {name: one.tokenized(own) for name, one in self.corpora.items()}
        for name, one in self.corpora.items():
            one.source = sources[name]
        facts: dict[str, Any] = {"corpus": "CorpusMixture", "corpus_hash": self._hash(sources)}
        each = {name: source.facts for name, source in sources.items()}
        for split in ("train", "valid"):
            facts[split] = {
                key: sum(one[split][key] for one in each.values())
                for key in ("documents", "tokens", "bytes")
            }
        trips = (round_trip.of(one["valid"]) for one in each.values())
        facts["valid"]["round_trip"] = dataclasses.asdict(sum(trips, round_trip.RoundTrip()))
        facts["overlap"] = _overlap(each)
        for key in ("bad_bytes", "documents_cut", "records_blank", "files_empty"):
            facts[key] = sum(one.get(key) or 0 for one in each.values())
        return Source(tokenizers.load(own), {}, facts | {"parts": each})

    def _hash(self, sources: Mapping[str, Source]) -> str:
        """Of the documents of all parts, and of their shares."""
        named = [f"{name} {one.facts['corpus_hash']}" for name, one in sources.items()]
        whole = " ".join([*named, repr(self.weights), self.weigh_by])
        return hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()

    def unigram_nats(self) -> float:
        valid = [np.asarray(one.source.splits["valid"].tokens) for one in self.corpora.values()]
        return unigram_nats(np.concatenate(valid))

    def pack(self, split: str, row_length: int, limits: tuple[Limit, ...] = ()) -> Packed:
        if self.memory is not None:
            raise UserError(
                "data/packing=contiguous reads one stream of documents, and a mixture draws rows "
                "of several: write data/packing=segments, or one corpus such as data=text"
            )
        parts = {}
        for name, one in self.corpora.items():
            try:
                parts[name] = one.pack(split, row_length, limits)
            except UserError as problem:
                raise UserError(f"data.parts.{name}: {problem}") from problem
        if split != "train":
            return JoinedRows(parts, self.batch)
        return MixedRows(parts, self.shares(parts))

    def shares(self, parts: Mapping[str, Packed]) -> dict[str, float]:
        """Share of the rows of each part, from its weight and what a row of it holds."""
        rows = {}
        for name, one in parts.items():
            facts = one.facts()
            held = facts["tokens_used" if self.weigh_by == "tokens" else "pieces"] / len(one)
            rows[name] = len(one) if not self.weights else float(self.weights[name]) / held
        whole = sum(rows.values())
        return {name: number / whole for name, number in rows.items()}

    def repeat_lines(self, packed: MixedRows, rows: int) -> dict[str, str]:
        """Of each part: its share, and how often it is read by so many rows."""
        facts = {name: one.facts() for name, one in packed.parts.items()}
        tokens = {n: packed.shares[n] * f["tokens_used"] / f["rows"] for n, f in facts.items()}
        whole = sum(tokens.values())
        return {
            name: f"{tokens[name] / whole:.1%} of the tokens, its text read {times:.3g} times"
            for name, times in packed.repeats(rows).items()
        }

    def warnings(self, packed: MixedRows, rows: int) -> list[str]:
        """A sentence for each part that is repeated too often."""
        return [
            f"data.parts.{name} is read {times:.3g} times, more than data.max_repeats="
            f"{self.max_repeats:g}: give it a smaller weight, more text, or train for fewer steps"
            for name, times in packed.repeats(rows).items()
            if times > self.max_repeats
        ]


def _overlap(each: Mapping[str, dict]) -> dict[str, float]:
    """Overlap of the held-out text of each part with its own training text, weighted by bytes."""
    sizes = {name: one["valid"]["bytes"] for name, one in each.items()}
    whole = max(sum(sizes.values()), 1)
    names = ("documents", "almost", "lines", "text")
    return {
        key: sum(each[name]["overlap"][key] * size for name, size in sizes.items()) / whole
        for key in names
    }
