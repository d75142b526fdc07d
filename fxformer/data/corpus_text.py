"""Corpora of text: split, tokenizer and token ids, each made once and cached on disk."""

import dataclasses
import hashlib
import json
import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from fxformer.data import control_codes, disk_cache, overlap, round_trip
from fxformer.data import tokenizer as tokenizers
from fxformer.data.corpus import Corpus, Source
from fxformer.data.documents import both, source_of
from fxformer.data.progress import Slow
from fxformer.errors import UserError
from fxformer.types import Rate

_LOG = logging.getLogger(__name__)
Groups = dict[bytes, tuple[bytes, int]]  # key of equal documents -> least hash, characters of all
VERSION = "2"  # of what is cached; a new version invalidates all caches


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

    def source_name(self) -> str | None:
        """Field with the source of each document, for pairs of texts; None: single texts."""
        return None

    def notes(self) -> dict:
        """Facts to store with the corpus, asked for when all documents have been read."""
        return {}

    def open(self) -> Source:
        if self.tokenizer is None:
            raise UserError(f"{type(self).__name__} is text and needs a tokenizer: tokenizer=…")
        root = Path(self.cache_dir).expanduser() if self.cache_dir else disk_cache.default_folder()
        content = f"{type(self).__name__} {self.fingerprint()}"
        recipe = self.tokenizer
        if self.source_name() is not None:
            self._check_pairs()
            content += f" source {self.source_name()}"
        if self.code is not None:
            content += f" code {self.code}"
            recipe = control_codes.with_codes(
                recipe, self._codes(root / "codes" / _name(VERSION, content))
            )

        def train(folder: Path) -> None:
            self._train(recipe, folder)

        own = root / "tokenizers" / _name(VERSION, content, recipe.key())
        disk_cache.once(own, train, tokenizers.is_sound)
        tokenizer = tokenizers.load(own)

        def write(folder: Path) -> None:
            self._write(folder, tokenizer)

        ids = root / "corpora" / _name(VERSION, content, tokenizer.hash)
        disk_cache.once(ids, write, disk_cache.is_whole)
        splits = {split: disk_cache.read(ids, split) for split in ("train", "valid")}
        facts = disk_cache.facts(ids)
        if said := overlap.warning(facts["overlap"]):
            _LOG.warning(said)
        return Source(tokenizer, splits, facts)

    def _check_pairs(self) -> None:
        """Raises UserError where the packing or the control codes would ignore the sources."""
        name, packing = self.source_name(), type(self.packing)
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

    def _codes(self, folder: Path) -> list[str]:
        """Control codes of the training text, cached in a folder."""

        def write(draft: Path) -> None:
            found = control_codes.gathered(self.documents("train"))
            (draft / "control_codes.json").write_text(json.dumps(found))

        disk_cache.once(folder, write, lambda kept: (kept / "control_codes.json").is_file())
        return json.loads((folder / "control_codes.json").read_text())

    def _train(self, recipe: tokenizers.Recipe, folder: Path) -> None:
        with Slow("Training the tokenizer", "documents") as work:
            recipe.make(_Counted(self.documents, work)).save(folder)

    def _write(self, folder: Path, tokenizer: tokenizers.Tokenizer) -> None:
        digest, counts = hashlib.blake2b(digest_size=16), {}
        known = tokenizer.ids.codes

        def code_id(text: str) -> int:
            return control_codes.id_of(control_codes.code_of(text), known)

        code = None if self.code is None else code_id
        source = None if self.source_name() is None else tokenizer.of_source.encode_batch
        compared = overlap.Overlap(self.documents("valid"))
        streams: dict[str, Iterable[str]] = {"train": compared.watch(self.documents("train"))}
        streams["valid"] = self.documents("valid")
        measuring = round_trip.Measuring(tokenizer, compared.size)
        encode = {"train": tokenizer.encode_batch, "valid": measuring}
        for split, stream in streams.items():
            texts = _digested(stream, digest)
            counts[split] = disk_cache.write(folder, split, texts, encode[split], code, source)
        counts["valid"]["round_trip"] = dataclasses.asdict(measuring.trip)
        facts: dict[str, Any] = {"corpus": type(self).__name__, "corpus_hash": digest.hexdigest()}
        facts["overlap"] = compared.facts()
        facts |= {} if self.code is None else {"codes": known}
        (folder / "facts.json").write_text(json.dumps(facts | counts | self.notes(), indent=1))


class _Counted:
    """Training documents, iterable repeatedly, with their number shown as progress."""

    def __init__(self, documents: Callable[[str], Iterable[str]], work: Slow):
        self._documents, self._work = documents, work

    def __iter__(self) -> Iterator[str]:
        for document in self._documents("train"):
            self._work.advance(1)
            yield from both([document])


def _name(*parts: str) -> str:
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


def _digested(texts: Iterable[str], digest) -> Iterator[str]:
    for text in texts:
        digest.update(f"{len(text)}:".encode() + text.encode())
        if (code := control_codes.code_of(text)) is not None:
            digest.update(f"code:{code}".encode())
        if (source := source_of(text)) is not None:
            digest.update(f"source:{len(source)}:".encode() + source.encode())
        yield text


@dataclasses.dataclass(kw_only=True)
class SplitCorpus(TextCorpus):
    """Text corpus whose valid split is given, or a share of its text.

    valid_share: share of all characters to hold out, copies included
    split_by: "documents" holds out whole documents, chosen by the hash of their text, so the choice
        does not depend on their order; documents that differ only in case and white space stay
        together. "tail" holds out the end of the text. A single document, or copies of one, is
        always split at its tail
    """

    valid_share: Rate = 0.1
    split_by: Literal["documents", "tail"] = "documents"

    @abstractmethod
    def contents(self) -> str:
        """Key that changes whenever the documents do, whatever the split."""

    def fingerprint(self) -> str:
        return f"{self.contents()} {self.valid_share} {self.split_by}"

    @abstractmethod
    def stream(self) -> Iterator[str]:
        """All documents, or those of train where `given_valid` is not None. Read repeatedly."""

    def given_valid(self) -> Callable[[], Iterator[str]] | None:
        """Function that yields the documents of a given valid split; None where there is none."""
        return None

    def documents(self, split: str) -> Iterator[str]:
        if given := self.given_valid():
            return given() if split == "valid" else self.stream()
        if self.valid_share == 0:
            raise UserError(
                "data.valid_share=0 leaves no valid split: give a share, or a valid split"
            )
        groups = self._groups()
        total = sum(size for _, size in groups.values())
        if self.source_name() is not None and (self.split_by == "tail" or len(groups) == 1):
            wrong = "data.split_by=tail" if len(groups) > 1 else "all targets are one text"
            raise UserError(
                f"data.source_field: {wrong}, and a pair cannot be cut in two; write "
                "data.split_by=documents, or give a valid split"
            )
        if self.split_by == "tail" or len(groups) == 1:
            return _tail(self.stream(), int(total * (1 - self.valid_share)), split)
        chosen = _choose(groups, total * self.valid_share)
        wanted = split == "valid"
        return (text for text in self.stream() if (overlap.key(text) in chosen) == wanted)

    def notes(self) -> dict:
        if self.given_valid():
            return {"split_by": "given"}
        single = len(self._groups()) == 1
        return {"split_by": "tail" if single else self.split_by, "valid_share": self.valid_share}

    def _groups(self) -> Groups:
        """Documents grouped by `overlap.key`, which is equal for copies; read once."""
        if "_known" not in self.__dict__:
            self._known: Groups = {}
            with Slow("Reading the text", "documents") as work:
                for text in self.stream():
                    same, own = overlap.key(text), _key(text)
                    first, size = self._known.get(same, (own, 0))
                    self._known[same] = min(first, own), size + len(text)
                    work.advance(1)
            if not self._known:
                raise UserError(f"{type(self).__name__}: 0 usable documents")
        return self._known


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=12).digest()


def _choose(groups: Groups, characters: float) -> set[bytes]:
    """Groups to hold out, in ascending order of the hash of their first document.

    As many as fit into so many characters; at least one (the smallest), and never all.
    """
    chosen: set[bytes] = set()
    ranked = sorted((first, size, same) for same, (first, size) in groups.items())
    for _, size, same in ranked[:-1]:
        if size <= 1.5 * characters:
            chosen.add(same)
            characters -= size
    return chosen or {min(ranked, key=lambda group: group[1])[2]}


def _tail(texts: Iterator[str], at: int, split: str) -> Iterator[str]:
    """The part of the joined text before character `at` ("train") or after it ("valid")."""
    left = at
    for text in texts:
        keep, left = min(left, len(text)), max(left - len(text), 0)
        if part := control_codes.part_of(
            text, slice(keep) if split == "train" else slice(keep, None)
        ):
            yield part
