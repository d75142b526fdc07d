"""Corpora of text: split, tokenizer and token ids, each made once and cached on disk."""

import dataclasses
import functools
import json
import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from fxformer.data import control_codes, disk_cache, overlap, preparation
from fxformer.data import tokenizer as tokenizers
from fxformer.data.corpus import Corpus, Source
from fxformer.data.progress import Slow
from fxformer.data.survey import SplitBy, Survey
from fxformer.data.text_files import ReadStats
from fxformer.data.units import Unit
from fxformer.errors import UserError
from fxformer.types import Count, Natural, Rate

_LOG = logging.getLogger(__name__)
VERSION = "4"  # of what is cached; a new version invalidates all caches
_SAMPLE = "sample.json"  # beside a tokenizer that was trained on a sample


@dataclasses.dataclass(kw_only=True)
class TextCorpus(Corpus):
    """Text by split; a subclass says where from.

    code: where a document's control code comes from (see control_codes.py); None: there are none
    """

    code: str | None = None

    @abstractmethod
    def fingerprint(self) -> str:
        """Key that changes whenever the documents do; every start computes it, so keep it cheap."""

    @abstractmethod
    def documents(self, split: str) -> Iterable[str]:
        """Documents of "train" or "valid"."""

    def units(self, split: str) -> list[Unit]:
        """Units of the stream that the documents of a split are in."""
        return [Unit(split)]

    def unit_texts(self, unit: Unit, stats: ReadStats) -> Iterator[str]:
        """Documents of a unit; counts in `stats` what was repaired or skipped."""
        return iter(self.documents(unit.split))

    def new_stats(self) -> ReadStats:
        """How to read, with nothing counted."""
        return ReadStats()

    @property
    def coded(self) -> bool:
        """Whether each document has a control code."""
        return self.code is not None

    @property
    def options(self) -> preparation.Options:
        """Those of the preparation."""
        return preparation.Options()

    def source_name(self) -> str | None:
        """Field with the source of each document, for pairs of texts; None: single texts."""
        return None

    def notes(self, stats: ReadStats, found: Survey) -> dict:
        """Facts to store with the corpus."""
        return {}

    def hint(self, found: Survey) -> None:  # noqa: B027 - optional
        """Warn of options that do not seem to fit the text; called once it has been read."""

    @property
    def _root(self) -> Path:
        """The folder of the cache."""
        given = self.cache_dir
        return Path(given).expanduser() if given else disk_cache.default_folder()

    @functools.cached_property
    def content(self) -> str:
        """The key of the documents in the cache."""
        content = f"{type(self).__name__} {self.fingerprint()}"
        if self.source_name() is not None:
            content += f" source {self.source_name()}"
        return content if self.code is None else f"{content} code {self.code}"

    @functools.cached_property
    def survey(self) -> Survey:
        """How much text there is, and which documents are held out; cached on disk."""
        folder = self._root / "surveys" / preparation.name(VERSION, self.content)
        known = folder.is_dir()
        units = tuple(self.units("train"))
        found = preparation.surveyed(self, folder, units, self.options)
        if not found.whole.documents:
            raise UserError(f"{type(self).__name__}: 0 usable documents")
        if not known:
            self.hint(found)
        return found

    def open(self) -> Source:
        return self.tokenized(self.trained())

    def codes(self) -> list[str]:
        """Control codes of the training text."""
        return self.survey.whole.codes

    def samples(self, work: Slow) -> list[preparation.TrainingSample]:
        """What a tokenizer is trained on."""
        units, most = tuple(self.units("train")), self.options.tokenizer_max
        return [preparation.TrainingSample.of(self, units, self.survey, most, work)]

    def trained(self) -> Path:
        """The folder of the tokenizer, which is made where it is not cached."""
        if self.tokenizer is None:
            raise UserError(f"{type(self).__name__} is text and needs a tokenizer: tokenizer=…")
        recipe = self.tokenizer
        self.check_pairs()
        if self.coded:
            recipe = control_codes.with_codes(recipe, self.codes())

        def train(folder: Path) -> None:
            self._train(recipe, folder)

        key = (VERSION, self.content, recipe.key(), self.sample_key())
        own = self._root / "tokenizers" / preparation.name(*key)
        return disk_cache.once(own, train, tokenizers.is_sound)

    def sample_key(self) -> str:
        """The options that decide what a tokenizer is trained on."""
        return str(self.options.tokenizer_max)

    def tokenized(self, own: Path) -> Source:
        """The ids of a tokenizer, given its folder; they are made where they are not cached."""
        tokenizer, content, options = tokenizers.load(own), self.content, self.options

        def write(folder: Path) -> None:
            preparation.Tokenization(
                corpus=self,
                train_units=tuple(self.units("train")),
                valid_units=tuple(self.units("valid")),
                found=self.survey,
                options=options,
                tokenizer=own,
                coded=self.coded,
                paired=self.source_name() is not None,
            )(folder)

        ids = self._root / "corpora" / preparation.name(VERSION, content, tokenizer.hash)
        disk_cache.resumable(ids, write, disk_cache.is_whole)
        splits = {split: disk_cache.read(ids, split) for split in ("train", "valid")}
        facts = disk_cache.facts(ids)
        if (own / _SAMPLE).is_file():
            facts["tokenizer_sample"] = json.loads((own / _SAMPLE).read_text())
        if said := overlap.warning(facts["overlap"]):
            _LOG.warning(said)
        return Source(tokenizer, splits, facts)

    def check_pairs(self) -> None:
        """Raises UserError where the packing or the control codes would ignore the sources."""
        name, packing = self.source_name(), type(self.packing)
        if name is None:
            return
        if not getattr(packing, "reads_pairs", False):
            raise UserError(
                f"data.source_field={name}: {packing.__name__} packs single texts and ignores the "
                "sources; write data/packing=paired (objective=seq2seq), paired_segments or "
                "prompted (a decoder)"
            )
        if self.code is not None:
            raise UserError(
                f"data.source_field={name}: pairs of texts have no control codes; leave out "
                "data.code"
            )

    def _train(self, recipe: tokenizers.Recipe, folder: Path) -> None:
        """Train a tokenizer on the training text, or on a sample of it."""
        with Slow("Training the tokenizer", "characters") as work:
            samples = self.samples(work)
            recipe.make(preparation.Chained(samples)).save(folder)
        if min(one.share for one in samples) < 1 and work.done:
            each = [one.facts() for one in samples]
            facts = {key: sum(one[key] for one in each) for key in ("characters", "of")}
            (folder / _SAMPLE).write_text(json.dumps(facts))
            _LOG.warning(
                "the tokenizer was trained on a sample of %s of %s characters (data.tokenizer_max)",
                f"{facts['characters']:,}",
                f"{facts['of']:,}",
            )


@dataclasses.dataclass(kw_only=True)
class SplitCorpus(TextCorpus):
    """Text corpus whose valid split is given, or a share of its text.

    valid_share: share of all characters to hold out, copies included
    valid_max: characters to hold out at most
    split_by: "documents" holds out whole documents, chosen by the hash of their text, so the choice
        does not depend on their order; documents that differ only in case and white space stay
        together. "tail" holds out the end of the text. A single document, or copies of one, is
        always split at its tail
    tokenizer_max: a tokenizer is trained on a sample of so many characters where there are more
    processes: that prepare the text; 0: one per core, where it is more than 64 MiB
    """

    valid_share: Rate = 0.1
    valid_max: Count = 1 << 25
    split_by: SplitBy = "documents"
    tokenizer_max: Count = 1 << 28
    processes: Natural = 0

    @abstractmethod
    def contents(self) -> str:
        """Key that changes whenever the documents do, whatever the split."""

    def fingerprint(self) -> str:
        return f"{self.contents()} {self.valid_share} {self.valid_max} {self.split_by}"

    @abstractmethod
    def stream(self) -> Iterator[str]:
        """All documents, or those of train where `given_valid` is not None. Read repeatedly."""

    def given_valid(self) -> Callable[[], Iterator[str]] | None:
        """Function that yields the documents of a given valid split; None where there is none."""
        return None

    def units(self, split: str) -> list[Unit]:
        return [Unit(split if self.given_valid() else "train")]

    def unit_texts(self, unit: Unit, stats: ReadStats) -> Iterator[str]:
        given = self.given_valid() if unit.split == "valid" else None
        return self.stream() if given is None else given()

    @property
    def options(self) -> preparation.Options:
        share = None if self.given_valid() else self.valid_share
        if share == 0:
            raise UserError(
                "data.valid_share=0 leaves no valid split: give a share, or a valid split"
            )
        return preparation.Options(
            self.processes, share, self.split_by, self.valid_max, self.tokenizer_max
        )

    @functools.cached_property
    def survey(self) -> Survey:
        found = super().survey
        cut = found.selection is not None and found.selection.tail is not None
        if self.source_name() is not None and cut:
            wrong = "data.split_by=tail" if self.split_by == "tail" else "all targets are one text"
            raise UserError(
                f"data.source_field: {wrong}, and a pair cannot be cut in two; write "
                "data.split_by=documents, or give a valid split"
            )
        return found

    def documents(self, split: str) -> Iterator[str]:
        units = self.units(split)
        selection = None if self.given_valid() else self.survey.selection
        for number, unit in enumerate(units):
            if selection is None:
                yield from self.unit_texts(unit, self.new_stats())
            elif split == "train" or number in selection.valid_units:
                texts = self.unit_texts(unit, self.new_stats())
                yield from selection.texts(number, texts, split)

    def notes(self, stats: ReadStats, found: Survey) -> dict:
        if found.selection is None:
            return {"split_by": "given"}
        by = "documents" if found.selection.tail is None else "tail"
        return {"split_by": by, "valid_share": self.valid_share}
