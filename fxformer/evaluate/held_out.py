"""Text that all of several runs hold out."""

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from fxformer.data.corpus_text import TextCorpus
from fxformer.data.overlap import normal
from fxformer.errors import UserError
from fxformer.inference.loaded_run import LoadedRun


def held_out(loaded: Sequence[LoadedRun]) -> tuple[list[str], float]:
    """(texts, their share of the first run's held-out characters).

    Of runs of one corpus: the held-out documents. Of runs that split the same text otherwise
    (another data.document_is, valid_share or choice of files): the lines that all of them hold out
    and none has trained on. UserError where there are none, or where a corpus is no text.
    """
    for one in loaded:
        if not isinstance(one.corpus, TextCorpus):
            raise UserError(
                f"{one.run.id} was trained on labelled or synthetic rows, not on text; compare "
                f"scores language models on held-out text; for its metrics write fxformer show "
                f"{one.run.id}"
            )
    by_hash = {one.run.facts["data"]["corpus_hash"]: one for one in loaded}
    texts = list(cast(TextCorpus, loaded[0].corpus).documents("valid"))
    if len(by_hash) == 1:
        return texts, 1.0
    common = _common_lines([cast(TextCorpus, one.corpus) for one in by_hash.values()])
    kept = [part for text in texts for part in _stretches(text, common)]
    if not kept:
        first, other = list(by_hash.values())[:2]
        raise UserError(
            f"{first.run.id} and {other.run.id} were trained on different text: there is no line "
            "that all the runs hold out and none has trained on; give them the same data.files "
            "and data.valid_files"
        )
    return kept, sum(map(len, kept)) / sum(map(len, texts))


def _common_lines(corpora: Sequence[TextCorpus]) -> set[str]:
    """Lines that are in every held-out split and in no training split."""
    common = set(_lines(corpora[0].documents("valid")))
    for corpus in corpora[1:]:
        common.intersection_update(_lines(corpus.documents("valid")))
    for corpus in corpora:
        common.difference_update(_lines(corpus.documents("train")))
    return common


def _lines(documents: Iterable[str]) -> Iterator[str]:
    """The lines of documents that are not blank, as they are compared."""
    for document in documents:
        for line in document.split("\n"):
            if line.strip():
                yield _plain(line)


def _plain(line: str) -> str:
    return " ".join(normal(line).split())


def _stretches(text: str, common: set[str]) -> Iterator[str]:
    """The longest runs of lines of a text that are common; blank lines belong to either side."""
    held: list[str] = []
    for line in [*text.split("\n"), None]:
        if line is not None and (not line.strip() or _plain(line) in common):
            held.append(line)
            continue
        if part := "\n".join(held).strip("\n"):
            yield part
        held = []
